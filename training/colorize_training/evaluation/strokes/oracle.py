"""The ceiling of every measure of strokes: somebody who knows what each stroke means."""

import numpy as np

from colorize_training.evaluation.methods import Method, with_chroma
from colorize_training.evaluation.metrics import to_lab
from colorize_training.evaluation.protocols import Painted
from colorize_training.evaluation.strokes.cases import Case


class TrueThing(Method):
    """Lays the colour of a stroke on the whole of the true thing that it was painted on, and nowhere else.

    Lightness stays and the gamut is sRGB's, so not even this fills a dark thing with a bright colour.
    """

    def __init__(self, case: Case, base: Method) -> None:
        """base: gives the picture without strokes."""
        super().__init__("true thing (an oracle)")
        self.things = [thing for thing in (case.first, case.second) if thing]
        self.ab = to_lab(base.colorize(case.rgb, case.painted()))[..., 1:]

    def colorize(self, rgb: np.ndarray, hints: Painted) -> np.ndarray:
        ab, tiles = self.ab.copy(), hints.tiles()
        layer = np.zeros((*rgb.shape[:2], 4), np.uint8)
        for (x, y, w, h), data in zip(tiles.tiles, tiles.data, strict=True):
            layer[y : y + h, x : x + w] = np.frombuffer(data, np.uint8).reshape(h, w, 4)
        for thing in self.things:
            under = layer[thing.place]
            if under[..., 3].any():
                ab[thing.mask] = to_lab(under[..., :3])[under[..., 3] > 0, 1:].mean(0)
        return with_chroma(rgb, ab)
