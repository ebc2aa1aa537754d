"""Hints as a person would paint them, drawn from the true colours: first draw, then rasterise (no randomness there).

Points are small patches of one colour (iColoriT, SIGGRAPH17); strokes are random walks of a round brush that stay on
what has the colour they started on, as a careful hand does. Colours may be a little wrong. Counts are log-uniform,
none for a quarter.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import label


@dataclass(frozen=True)
class HintSettings:
    """Shares and sizes of simulated hints; lengths in cells of the chroma grid (2 pixels of the network's picture)."""

    share_without: float = 0.25
    most: int = 80
    share_strokes: float = 0.35
    largest_patch: int = 5
    largest_brush: float = 2.5
    longest_stroke: int = 30
    same_colour: float = 14.0  # ab distance within which a stroke stays
    share_noisy: float = 0.3
    noise: float = 5.0  # ab deviation of a noisy hint's colour
    least_change: float = 15.0  # ab distance by which a recoloured object moves
    most_change: float = 60.0
    object_shares: tuple[float, float] = (0.01, 0.5)  # of the picture, that an object to recolour covers


@dataclass(frozen=True)
class Hint:
    """Cells (N, 2) of (y, x), each within the grid, their coverage (N,), and one colour ab (2,)."""

    cells: np.ndarray
    coverage: np.ndarray
    ab: np.ndarray


def draw_hints(ab: np.ndarray, rng: np.random.Generator, settings: HintSettings) -> list[Hint]:
    """Hints for one picture. ab (2, h, w) is its true chroma on the grid."""
    if rng.random() < settings.share_without:
        return []
    count = int(np.exp(rng.uniform(0, np.log(settings.most + 1))))
    return [draw_hint(ab, rng, settings) for _ in range(count)]


def recolour_object(ab: np.ndarray, rng: np.random.Generator, settings: HintSettings) -> tuple[np.ndarray, np.ndarray]:
    """Another truth: one thing in the picture has another colour, and nothing else has changed.

    A person paints a hint because *this* should be different. In photographs as they are, a hint tells much about the
    whole picture, and a network that saw no others lets one stroke tint everything.

    Returns ab (2, h, w) and the thing's cells (N, 2), none where no thing of a fitting size was found.
    """
    _, height, width = ab.shape
    y, x = rng.integers(height), rng.integers(width)
    alike = np.linalg.norm(ab - ab[:, y, x, None, None], axis=0) < settings.same_colour
    parts, _ = label(alike)
    thing = parts == parts[y, x]
    smallest, largest = settings.object_shares
    if not smallest <= thing.mean() <= largest:
        return ab, np.empty((0, 2), int)
    angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(settings.least_change, settings.most_change)
    change = length * np.array([np.cos(angle), np.sin(angle)], np.float32)
    return ab + thing * change[:, None, None], np.argwhere(thing)


def draw_hint(
    ab: np.ndarray, rng: np.random.Generator, settings: HintSettings, start: np.ndarray | None = None
) -> Hint:
    """One point or stroke, from the cell `start` or somewhere in the picture."""
    _, height, width = ab.shape
    if start is None:
        start = np.array([rng.integers(height), rng.integers(width)])
    if rng.random() < settings.share_strokes:
        cells = _stroke_cells(ab, start, rng, settings)
    else:
        side = int(rng.integers(1, settings.largest_patch + 1)) if rng.random() < 0.5 else 1
        cells = _block(start, side, height, width)
    colour = ab[:, cells[:, 0], cells[:, 1]].mean(1)
    if rng.random() < settings.share_noisy:
        colour = colour + rng.normal(0, settings.noise, 2)
    soft = rng.random() < 0.3
    coverage = rng.uniform(0.1, 1.0, len(cells)) if soft else np.ones(len(cells))
    return Hint(cells, coverage, colour)


def _block(start: np.ndarray, side: int, height: int, width: int) -> np.ndarray:
    ys, xs = (np.arange(s, min(s + side, end)) for s, end in zip(start, (height, width), strict=True))
    return np.stack(np.meshgrid(ys, xs, indexing="ij"), -1).reshape(-1, 2)


def _stroke_cells(ab: np.ndarray, start: np.ndarray, rng: np.random.Generator, settings: HintSettings) -> np.ndarray:
    _, height, width = ab.shape
    length = int(rng.integers(3, settings.longest_stroke + 1))
    angle = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.35, length))
    path = start + np.cumsum(np.stack([np.sin(angle), np.cos(angle)], -1), 0)  # (length, 2)
    radius = rng.uniform(0.5, settings.largest_brush)
    reach = np.arange(-int(radius), int(radius) + 1)
    brush = np.stack(np.meshgrid(reach, reach, indexing="ij"), -1).reshape(-1, 2)
    brush = brush[(brush**2).sum(1) <= radius**2]
    cells = np.unique((np.rint(path)[:, None] + brush).reshape(-1, 2).astype(int), axis=0)
    cells = cells[((cells >= 0) & (cells < (height, width))).all(1)]
    distance = np.linalg.norm(ab[:, cells[:, 0], cells[:, 1]].T - ab[:, start[0], start[1]], axis=1)
    cells = cells[distance <= settings.same_colour]
    return cells if len(cells) else start[None]


def rasterise(hints: list[Hint], height: int, width: int) -> np.ndarray:
    """Hint planes (3, height, width) float32: a, b, coverage; where hints overlap the later lies on top."""
    planes = np.zeros((3, height, width), np.float32)
    for hint in hints:
        ys, xs = hint.cells.T
        planes[0, ys, xs], planes[1, ys, xs] = hint.ab
        planes[2, ys, xs] = hint.coverage
    return planes
