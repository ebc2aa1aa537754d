"""Sheets to judge strokes by eye: before, the stroke with its thing's outline, after, and after a second stroke."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from colorize_training.evaluation.methods import Method
from colorize_training.evaluation.strokes.cases import Case
from colorize_training.evaluation.strokes.measures import choose_strokes
from colorize_training.evaluation.strokes.painting import Painting
from colorize_training.pictures import gray_of, shown_gray
from colorize_training.writing import replacing

GAP = 4  # white pixels between the pictures of a sheet
QUALITY = 88  # of WebP


def draw_case(case: Case, method: Method, others: Sequence[Method]) -> np.ndarray:
    """The sheet (h, w, 3) uint8 of a case, with the strokes that it has where `others` are measured too."""
    strokes = choose_strokes(case, others)
    before, after = (method.colorize(case.rgb, case.painted(*strokes[:n])) for n in (0, 1))
    panels = [before, outlined(shown(case.rgb, case.painted(strokes[0])), case.first.mask), after]
    if len(strokes) > 1:
        panels.append(shown(case.rgb, case.painted(*strokes)))
        panels.append(method.colorize(case.rgb, case.painted(*strokes)))
    return beside(panels)


def shown(rgb: np.ndarray, painting: Painting) -> np.ndarray:
    """The gray photograph (H, W, 3) uint8 under its strokes."""
    alpha = painting.pixels[..., 3:] / 255
    mixed = shown_gray(gray_of(rgb)) * (1 - alpha) + painting.pixels[..., :3] * alpha
    return mixed.round().astype(np.uint8)


def outlined(rgb: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The picture with a line around a mask, white within and black without."""
    drawn = rgb.copy()
    drawn[mask & ~ndimage.binary_erosion(mask, border_value=1)] = 255
    drawn[~mask & ndimage.binary_dilation(mask)] = 0
    return drawn


def beside(panels: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures (H, W, 3) of one height, with a gap between them."""
    gap = np.full((len(panels[0]), GAP, 3), 255, np.uint8)
    parts = [part for panel in panels for part in (gap, panel)]
    return np.concatenate(parts[1:], 1)


def save(sheet: np.ndarray, path: Path) -> None:
    """As WebP."""
    with replacing(path) as part:
        Image.fromarray(sheet).save(part, quality=QUALITY, method=6)
