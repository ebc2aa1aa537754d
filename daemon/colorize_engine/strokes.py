"""From the cells of a hint layer to strokes: what hangs together in one colour means one thing."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b

import numpy as np

from colorize_engine.hints import HintGrid

SAME_COLOUR = 6.0  # ab distance between neighbouring cells of one stroke
GAP = 2  # cells between two dabs of one stroke, as a brush with spacing leaves them
# More strokes than this are taken together by place and colour: each costs a pass of the network's light part.
MOST = 96
BLOCK, COLOUR_STEP = 4, 12.0  # of the first attempt to take them together: side in cells, width in ab


@dataclass(frozen=True)
class Stroke:
    """Cells that one stroke covers.

    Attributes:
        cells: (N,) int64, ascending indices into the flattened grid.
        ab: (2, N) float32, CIELAB chroma asked for in each.
        coverage: (N,) float32, the painted share of each, above 0.
    """

    cells: np.ndarray
    ab: np.ndarray
    coverage: np.ndarray

    @cached_property
    def key(self) -> bytes:
        """Equal for equal strokes on grids of equal size."""
        return blake2b(
            b"".join(part.tobytes() for part in (self.cells, self.ab, self.coverage)), digest_size=16
        ).digest()


def split(grid: HintGrid) -> list[Stroke]:
    """The strokes of a hint grid, in the order of their first cells; at most `MOST`.

    Two cells belong to one stroke where a chain of covered cells, no more than `GAP` apart and each within
    `SAME_COLOUR` of the next, joins them. So a stroke stays the same stroke whatever is painted elsewhere.
    """
    cells = np.flatnonzero(grid.coverage)
    if not len(cells):
        return []
    ab, coverage = grid.ab.reshape(2, -1)[:, cells], grid.coverage.reshape(-1)[cells]
    labels = _connected(grid.coverage > 0, grid.ab)
    if len(np.unique(labels)) > MOST:
        labels = _joined(cells, ab, grid.coverage.shape)
    order = np.argsort(labels, kind="stable")
    starts = np.flatnonzero(np.diff(labels[order], prepend=-1))
    return [Stroke(cells[part], ab[:, part], coverage[part]) for part in np.split(order, starts[1:])]


def grew_from(stroke: Stroke, earlier: Stroke) -> bool:
    """Whether a stroke on the same grid goes on with an earlier one: where that lies, it lies too, in its colour."""
    if not np.isin(earlier.cells, stroke.cells).all():
        return False
    return bool(np.linalg.norm(stroke.ab.mean(1) - earlier.ab.mean(1)) <= SAME_COLOUR)


def _connected(covered: np.ndarray, ab: np.ndarray) -> np.ndarray:
    """For each covered cell, in order, the number of the first cell of its stroke."""
    pairs = np.concatenate([np.empty((0, 2), int), *_neighbours(covered, ab[:, covered])])
    labels = np.arange(np.count_nonzero(covered))
    while True:
        least = labels.copy()
        meeting = np.minimum(labels[pairs[:, 0]], labels[pairs[:, 1]])
        np.minimum.at(least, pairs[:, 0], meeting)
        np.minimum.at(least, pairs[:, 1], meeting)
        least = least[least]  # a jump along the chain
        if np.array_equal(least, labels):
            return labels
        labels = least


def _neighbours(covered: np.ndarray, ab: np.ndarray) -> Iterator[np.ndarray]:
    """Pairs (n, 2) of covered cells, by their numbers, that lie near each other and are of one colour (2, N)."""
    height, width = covered.shape
    number = np.full((height + GAP, width + 2 * GAP), -1)  # with a border, so that no place lies outside
    number[:height, GAP : GAP + width][covered] = np.arange(ab.shape[1])
    places = np.flatnonzero(number >= 0)
    for dy in range(GAP + 1):
        for dx in range(-GAP if dy else 1, GAP + 1):
            there = number.ravel()[places + dy * number.shape[1] + dx]
            here = np.flatnonzero(there >= 0)
            there = there[here]
            alike = np.linalg.norm(ab[:, here] - ab[:, there], axis=0) <= SAME_COLOUR
            yield np.stack([here, there], -1)[alike]


def _joined(cells: np.ndarray, ab: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A label for each cell, no more than `MOST`: cells of one square and about one colour go together."""
    side, step = BLOCK, COLOUR_STEP
    while True:
        place = np.stack(np.unravel_index(cells, shape)) // side
        colour = np.floor(ab / step).astype(int)
        labels = np.unique(np.concatenate([place, colour]), axis=1, return_inverse=True)[1].reshape(-1)
        if labels.max() < MOST:
            return labels
        side, step = 2 * side, 1.5 * step
