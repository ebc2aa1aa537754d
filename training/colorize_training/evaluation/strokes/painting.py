"""Strokes as a user paints them: the pixels of a hint layer."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from colorize_client import HintTiles
from scipy import ndimage

LONGEST = 25  # pixels from the middle of a stroke to its ends
MARGIN = 4.0  # pixels from a stroke's middle line to the border of what it lies on; less in what is thinner

Place = tuple[slice, slice]  # rows and columns


class Stroke(NamedTuple):
    """A rectangle of one colour (3,) uint8 sRGB."""

    place: Place
    colour: np.ndarray


class Painting(NamedTuple):
    """A hint layer: pixels (H, W, 4) uint8, straight sRGB and alpha."""

    pixels: np.ndarray

    def tiles(self) -> HintTiles:
        """As one rectangle around all that is painted, or none."""
        painted = np.argwhere(self.pixels[..., 3])
        if not len(painted):
            return HintTiles([], [])
        (top, left), (bottom, right) = painted.min(0), painted.max(0) + 1
        box = (int(left), int(top), int(right - left), int(bottom - top))
        return HintTiles([box], [self.pixels[top:bottom, left:right].tobytes()])


def paint(height: int, width: int, strokes: Iterable[Stroke]) -> Painting:
    """A hint layer with these strokes; a later one covers an earlier one."""
    pixels = np.zeros((height, width, 4), np.uint8)
    for place, colour in strokes:
        pixels[place] = (*colour, 255)
    return Painting(pixels)


def depth(mask: np.ndarray) -> np.ndarray:
    """Distance (H, W) of each pixel of a mask to the nearest one outside, beyond the picture's border too."""
    return ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]


def level_stroke(mask: np.ndarray) -> Place:
    """Where a level stroke through the deepest place of a mask (H, W), not empty, lies: up to 51 x 5 pixels."""
    deep = depth(mask)
    y, x = (int(i) for i in np.unravel_index(deep.argmax(), deep.shape))
    margin = min(MARGIN, deep[y, x] / 2)
    start = stop = x
    while start > 0 and x - start < LONGEST and deep[y, start - 1] >= margin:
        start -= 1
    while stop < mask.shape[1] - 1 and stop - x < LONGEST and deep[y, stop + 1] >= margin:
        stop += 1
    half = int(margin / 2)
    return slice(y - half, y + half + 1), slice(start, stop + 1)
