"""Small things: a stroke on an iris, lips or a button is answered from a window around it, at a finer scale.

The network's picture of a large photograph shows an iris as a single cell. So the surroundings of a short stroke are
looked at again by themselves, as a photograph of their own. What the stroke reaches there counts, if it ends within
the window; a short stroke on a large thing runs out of its window, and means what it means in the whole picture.
"""

from typing import NamedTuple

import numpy as np
from torch import Tensor

from colorize_engine.composition import Answer
from colorize_engine.strokes import Stroke

SHORT = 4  # cells of the whole picture's chroma grid that a stroke extends over, at most, to be looked at again
AROUND = 8  # the window's side, in lengths of the stroke
SMALLEST = 96  # side of a window, in pixels of the photograph
FINER = 1.9  # times as much as the whole picture must a window show of the photograph's detail, along a side
STEPS = 8  # windows begin at multiples of their side's share, so that strokes beside each other look at the same one
RIM, RUNS_OUT = 4, 0.1  # cells along the window's border, and the greatest reach there of a thing that ends within it
LARGEST = 0.5  # share of the window that such a thing may have


class Window(NamedTuple):
    """A rectangle in the photograph's pixels."""

    x: int
    y: int
    width: int
    height: int

    def cut(self, gray: np.ndarray) -> np.ndarray:
        """The photograph's pixels in it, a view."""
        return gray[self.y : self.y + self.height, self.x : self.x + self.width]


class ShiftedTiles(NamedTuple):
    """Hint tiles as a window sees them, see `hints.Tiles`."""

    tiles: list[tuple[int, int, int, int]]
    data: list


def window_around(stroke: Stroke, grid: tuple[int, ...], photograph: tuple[int, ...]) -> Window | None:
    """The window in which a stroke on a small thing is looked at again; None for a stroke that the whole answers.

    Args:
        stroke: on the whole picture's chroma grid.
        grid: that grid's height and width.
        photograph: height and width in pixels.
    """
    places = np.unravel_index(stroke.cells, grid)
    first, last = ([int(f(axis)) for axis in places] for f in (np.min, np.max))
    extent = max(b - a + 1 for a, b in zip(first, last, strict=True))
    pixels = max(side / cells for side, cells in zip(photograph, grid, strict=True))  # of a cell
    side = max(SMALLEST, round(AROUND * extent * pixels))
    seen, seen_near = (min(1.0, 2 * (grid[0] * grid[1]) ** 0.5 / shown) for shown in (_side(photograph), side))
    if extent > SHORT or seen_near < FINER * seen or side > min(photograph):
        return None
    step = max(1, side // STEPS)
    middle = [(a + b + 1) / 2 * pixels for a, b in zip(first, last, strict=True)]
    corner = [round((m - side / 2) / step) * step for m in middle]
    y, x = (min(max(0, c), whole - side) for c, whole in zip(corner, photograph, strict=True))
    return Window(x, y, side, side)


def _side(photograph: tuple[int, ...]) -> float:
    """Of the square that has as many pixels."""
    return float((photograph[0] * photograph[1]) ** 0.5)


def ends_within(reach: Tensor) -> bool:
    """Whether a thing (h, w), 0..1, ends within its window."""
    inner = reach[RIM:-RIM, RIM:-RIM]
    rim = (reach.sum() - inner.sum()) / max(1, reach.numel() - inner.numel())
    return bool(rim < RUNS_OUT and reach.mean() < LARGEST)


class Sight(NamedTuple):
    """What a window shows of a stroke.

    Attributes:
        window: where it lies.
        lightness: L (h, w), 0..100, of the window's grid.
        strokes: what the stroke is on that grid, one or more.
        answers: of the network, one for each.
    """

    window: Window
    lightness: Tensor
    strokes: list[Stroke]
    answers: list[Answer]


class Look(NamedTuple):
    """A stroke whose window was looked at, and what it shows; None where it shows no paint."""

    stroke: Stroke
    sight: Sight | None


class Sketch(NamedTuple):
    """What a stroke is drawn with before its window is looked at: an answer of the whole picture, and what another
    stroke's window showed, or None."""

    answer: Answer
    sight: Sight | None


class Detail(NamedTuple):
    """What a stroke makes of a small thing, on the grid of its window.

    Attributes:
        window: where it lies.
        lightness: L (h, w), 0..100.
        ab: (2, h, w) chroma of the thing, everywhere.
        reach: (h, w), 0..1.
    """

    window: Window
    lightness: Tensor
    ab: Tensor
    reach: Tensor
