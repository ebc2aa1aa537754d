"""Hints as a user would paint them, drawn from the true colours: first draw, then rasterize (no randomness there).

Points are small patches of one colour (iColoriT, SIGGRAPH17); strokes are random walks of a round brush that stay on
what has the colour they started on, as a careful hand does. Colours may be a little wrong. Counts are log-uniform,
none for a quarter.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import label

from colorize_training.settings import setting

CIRCLE_RADII = (25 / 224, 35 / 224)  # of the picture's side, Daly and Zhao's


@dataclass(frozen=True)
class HintSettings:
    """How hints are simulated; lengths in cells of the chroma grid, 2 pixels of the network's picture."""

    share_without: float = setting(0.25, "share of the pictures without a hint")
    most: int = setting(80, "hints in a picture")
    share_strokes: float = setting(0.35, "share of the hints that are strokes; what is left is points")
    share_circles: float = setting(0.0, "share that are circles of Daly and Zhao, with all the colours they cover")
    share_whole: float = setting(0.0, "share that cover a whole region")
    largest_patch: int = setting(5, "side of a point, in cells")
    largest_brush: float = setting(2.5, "radius of a stroke, in cells")
    longest_stroke: int = setting(30, "length of a stroke, in cells")
    same_colour: float = setting(14.0, "ab distance that is one region, within which a stroke stays")
    share_noisy: float = setting(0.3, "share of the hints whose colour is a little wrong")
    noise: float = setting(5.0, "ab deviation of a wrong colour")
    share_recoloured: float = setting(0.4, "share of the pictures in which one region gets another colour, and a hint")
    share_grey: float = setting(0.0, "share of the recoloured regions that become gray")
    least_change: float = setting(15.0, "least ab distance by which a recoloured region moves")
    most_change: float = setting(60.0, "greatest ab distance by which it moves")
    smallest_thing: float = setting(0.01, "smallest region to recolour, as a share of the picture")
    largest_thing: float = setting(0.5, "largest region to recolour")


@dataclass(frozen=True)
class Hint:
    """Cells (N, 2) of (y, x), each within the grid, their coverage (N,), and one colour ab (2,) or theirs (2, N)."""

    cells: np.ndarray
    coverage: np.ndarray
    ab: np.ndarray


def draw_hints(ab: np.ndarray, rng: np.random.Generator, settings: HintSettings) -> list[Hint]:
    """Hints for one picture. ab (2, h, w) is its true chroma on the grid."""
    if rng.random() < settings.share_without:
        return []
    count = int(np.exp(rng.uniform(0, np.log(settings.most + 1))))
    return [draw_hint(ab, rng, settings) for _ in range(count)]


def recolour_region(ab: np.ndarray, rng: np.random.Generator, settings: HintSettings) -> tuple[np.ndarray, np.ndarray]:
    """Another truth: one region of the picture has another colour, and nothing else has changed.

    A user paints a hint because *this* should be different. In photographs as they are, a hint tells much about the
    whole picture, and a network that saw no others lets one stroke tint everything.

    Returns ab (2, h, w) and the region's cells (N, 2), none where no region of a fitting size was found.
    """
    _, height, width = ab.shape
    region = _region(ab, rng.integers((height, width)), settings)
    if not settings.smallest_thing <= region.mean() <= settings.largest_thing:
        return ab, np.empty((0, 2), int)
    if rng.random() < settings.share_grey:
        return ab * ~region, np.argwhere(region)
    angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(settings.least_change, settings.most_change)
    change = length * np.array([np.cos(angle), np.sin(angle)], np.float32)
    return ab + region * change[:, None, None], np.argwhere(region)


def draw_hint(
    ab: np.ndarray, rng: np.random.Generator, settings: HintSettings, start: np.ndarray | None = None
) -> Hint:
    """One point or stroke, from the cell `start` or somewhere in the picture."""
    _, height, width = ab.shape
    if start is None:
        start = np.array([rng.integers(height), rng.integers(width)])
    kind = rng.random() - settings.share_strokes
    if kind < 0:
        cells = _stroke_cells(ab, start, rng, settings)
    elif kind < settings.share_circles:
        cells = np.argwhere(circle(start, height, width, rng))
        return Hint(cells, np.ones(len(cells)), ab[:, cells[:, 0], cells[:, 1]])
    elif kind < settings.share_circles + settings.share_whole:
        cells = np.argwhere(_region(ab, start, settings))
    else:
        side = int(rng.integers(1, settings.largest_patch + 1)) if rng.random() < 0.5 else 1
        cells = _block(start, side, height, width)
    colour = ab[:, cells[:, 0], cells[:, 1]].mean(1)
    if rng.random() < settings.share_noisy:
        colour = colour + rng.normal(0, settings.noise, 2)
    soft = rng.random() < 0.3
    coverage = rng.uniform(0.1, 1.0, len(cells)) if soft else np.ones(len(cells))
    return Hint(cells, coverage, colour)


def _region(ab: np.ndarray, start: np.ndarray, settings: HintSettings) -> np.ndarray:
    """What has the colour of the cell `start` and hangs together with it, as a mask (h, w)."""
    y, x = start
    parts, _ = label(np.linalg.norm(ab - ab[:, y, x, None, None], axis=0) < settings.same_colour)
    return parts == parts[y, x]


def circle(start: np.ndarray, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Mask (height, width) of a circle around `start`, as large as Daly and Zhao draw them."""
    ys, xs = np.ogrid[:height, :width]
    radius = rng.uniform(*CIRCLE_RADII) * min(height, width)
    return (ys - start[0]) ** 2 + (xs - start[1]) ** 2 <= radius**2


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


def rasterize(hints: list[Hint], height: int, width: int) -> np.ndarray:
    """Hint planes (3, height, width) float32: a, b, coverage; where hints overlap the later lies on top."""
    planes = np.zeros((3, height, width), np.float32)
    for hint in hints:
        ys, xs = hint.cells.T
        planes[0, ys, xs], planes[1, ys, xs] = hint.ab
        planes[2, ys, xs] = hint.coverage
    return planes
