"""How hints behave, measured with strokes that a user might paint: are they obeyed, do they stay in their region."""

import numpy as np

from colorize_training.evaluation.methods import Served
from colorize_training.evaluation.metrics import to_lab
from colorize_training.evaluation.protocols import Hints
from colorize_training.pictures import gray_of

STROKE = 8  # pixels: the side of a square stroke
SAME = 8.0  # ab distance to the colour under the stroke below which a pixel belongs to the same region
REACH = 48  # pixels around the stroke in which that is asked
COLOURED = 20.0  # C* of the region that is to become gray
ODD = np.array([[200, 40, 40], [40, 90, 200], [60, 160, 60], [190, 60, 170]], np.uint8)  # colours asked for


def obedience(image: np.ndarray, hints: Hints) -> list[float]:
    """CIE76 between what was asked for and what is there, at each hint, with the picture's own L on both sides."""
    lab, asked = to_lab(image), to_lab(hints.colours[None])[0]
    errors = []
    for (y, x), wanted in zip(hints.places, asked, strict=True):
        own = lab[y : y + hints.side, x : x + hints.side, 1:].mean((0, 1))
        errors.append(float(np.linalg.norm(own - wanted[1:])))
    return errors


def behave(method: Served, rgb: np.ndarray, seed: int) -> dict[str, float]:
    """One odd stroke and one gray stroke in a picture.

    inside, outside: mean change of ab that the odd stroke makes in the same region and in others, both nearby; the
    region is all that had nearly the stroke's true colour. The third: C* under the gray stroke, which should be 0.
    """
    rng, gray, lab = np.random.default_rng([13, seed]), gray_of(rgb), to_lab(rgb)
    y, x = rng.integers(STROKE, np.array(gray.shape) - 2 * STROKE)
    place = np.s_[y : y + STROKE, x : x + STROKE]
    before = to_lab(method.paint(gray, _stroke(y, x, None)))[..., 1:]
    after = to_lab(method.paint(gray, _stroke(y, x, ODD[rng.integers(len(ODD))])))[..., 1:]
    change = np.linalg.norm(after - before, axis=-1)
    near = np.zeros(gray.shape, bool)
    near[max(0, y - REACH) : y + REACH, max(0, x - REACH) : x + REACH] = True
    same = np.linalg.norm(lab[..., 1:] - lab[place][..., 1:].mean((0, 1)), axis=-1) < SAME
    result = {"inside": _mean(change[near & same]), "outside": _mean(change[near & ~same])}
    return result | {"grey_chroma": _gray_chroma(method, gray, lab)}  # codespell:ignore grey


def _gray_chroma(method: Served, gray: np.ndarray, lab: np.ndarray) -> float:
    """C* under a gray stroke on the most colourful place; NaN where the picture has none worth it."""
    chroma = np.linalg.norm(lab[..., 1:], axis=-1)[: -2 * STROKE, : -2 * STROKE]
    if chroma.max() < COLOURED:
        return float("nan")
    y, x = np.unravel_index(chroma.argmax(), chroma.shape)
    level = np.full(3, gray[y : y + STROKE, x : x + STROKE].mean() / 257, np.uint8)
    after = to_lab(method.paint(gray, _stroke(y, x, level)))
    return _mean(np.linalg.norm(after[y : y + STROKE, x : x + STROKE, 1:], axis=-1))


def _stroke(y: int, x: int, colour: np.ndarray | None) -> Hints:
    """One square stroke, or none."""
    count = 0 if colour is None else 1
    colours = np.empty((0, 3), np.uint8) if colour is None else np.asarray(colour, np.uint8)[None]
    return Hints(np.array([[y, x]])[:count], STROKE, colours)


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")
