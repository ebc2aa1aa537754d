"""Flat margins: paper around a print, a mount, a film's rebate, the scanner's bed, a strip with a caption.

They are found from lightness alone, and only where there is no doubt: skies, snow and studio backdrops reach the
picture's border too, and may be flat there. What tells a margin from them is that it ends at one straight sharp edge
all along its side, leaning by no more than a print on a scanner does; that another side has a margin as light, with an
edge that leans as much; and that it is even. Text in it is no hindrance.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

BANDS = 32  # of a side, over which lightness is averaged along it: grain and letters count less, a lean is kept
SHORTEST = 2 * BANDS  # side of a picture that is looked at, in pixels
LEFT = 16  # pixels of a photograph within its margins, at least
LAYERS = 3  # margins within margins: the scanner's bed, an album page, the print's paper
DEEPEST, LEAST = 0.45, 3  # how deep a margin may be, as a share of the picture, and must be, in pixels
MOST_LEAN = 0.03  # pixels for each pixel along the side: 1.7 degrees
RING = 3  # pixels at the picture's border that tell a margin's level
LEVEL, SPREAD = 2.5, 2.0  # in L: how far a flat place is from the margin's level, and its standard deviation in a band
STEEPEST = 6.0  # in L, drift along a side that is still a margin's
BEFORE, AFTER = 0.85, 0.4  # shares of the bands that are flat: more before an edge, less after it
WAY, LETTERS = 0.6, 0.3  # and all the way from the border to the edge; less where both sides beside it are like it
NEAR, SOFT = 3, 2  # pixels that are looked at before and after an edge, and between them
AS_LIGHT, AS_LEAN = 3.0, 0.02  # by how much the margins of two sides differ at most, in L and in lean
SLACK = 2  # bands, where the edges of two sides meet

# Each turns a picture, as a view, so that the side lies on top; what is along it runs from left or from top.
TURNS = {"top": lambda p: p, "bottom": lambda p: p[::-1], "left": lambda p: p.T, "right": lambda p: p.T[::-1]}
LEANS = {"top": 1, "bottom": -1, "left": -1, "right": 1}  # which way the edges of one print lean, so turned
BESIDE = {side: ("left", "right") if side in ("top", "bottom") else ("top", "bottom") for side in TURNS}
OPPOSITE = {"top": "bottom", "bottom": "top", "left": "right", "right": "left"}


class Edge(NamedTuple):
    """Where the margin of a side ends, and what tells how sure that is; lightness in L.

    Attributes:
        depth: pixels from the border, at the middle of the side.
        lean: how much deeper it gets, in pixels for each pixel along the side.
        skipped: pixels of the side before and after those that end at this edge; margins of the sides beside it.
        level: of the margin.
        along, inward: drift of the level along the side, and from the border to the edge.
        rough: what remains of its variation then, as standard deviation of the bands.
        step: from the margin to the photograph, median of the bands.
        least: the same of the quarter of the bands where it is lowest.
        clear: share of the bands that are flat before the edge, less that of those after it.
        way: share that is flat all the way.
    """

    depth: float
    lean: float
    skipped: tuple[float, float]
    level: float
    along: float
    inward: float
    rough: float
    step: float
    least: float
    clear: float
    way: float


class _Limits(NamedTuple):
    along: float
    inward: float
    rough: float
    step: float
    least: float
    clear: float


# For a margin with others on all sides, with one opposite, with one at a corner, and by itself. Chosen on 21,956
# photographs, of which 4,384 are flat along a side: 131 have something found, a border or a strip (one a plaque's rim).
FRAMED = _Limits(along=6.0, inward=2.0, rough=0.9, step=3.0, least=0.0, clear=0.45)
OPPOSED = FRAMED._replace(least=0.8)
CORNER = _Limits(along=3.0, inward=1.0, rough=0.5, step=4.0, least=3.0, clear=0.8)
ALONE = _Limits(along=2.5, inward=0.5, rough=0.35, step=6.0, least=3.0, clear=0.9)
DARK = 15.0  # L of what is not taken for a strip by itself: ground under an evening sky; no cast is seen on it


class _Bands(NamedTuple):
    """A side on top: means (depth, bands) of those that are looked at, the level (bands,) of a margin there, what is
    flat (depth, bands), their places along the side (bands,), -0.5..0.5, and how many are skipped before and after."""

    means: np.ndarray
    level: np.ndarray
    flat: np.ndarray
    places: np.ndarray
    skipped: tuple[int, int]


class _Found(NamedTuple):
    """Depth in pixels, how much deeper over the whole side, and the flat shares before, after and on the way."""

    depth: int
    lean: int
    before: float
    after: float
    way: float


def flat_margins(lightness: np.ndarray) -> np.ndarray:
    """Which share of each pixel is flat margin.

    Args:
        lightness: L (h, w) float32, 0..100, of the network's picture.

    Returns:
        (h, w) float32, 0..1; zeros where no margin is sure.
    """
    share, widths = np.zeros_like(lightness), dict.fromkeys(TURNS, 0)
    for _ in range(LAYERS):
        part = _within(lightness, widths)
        edges = sure_edges(part)
        inner = {
            side: widths[side] + _cleared(edges.get(side), turned(part).shape[1]) for side, turned in TURNS.items()
        }
        if not edges or min(_within(lightness, inner).shape) < LEFT:
            break
        for side, edge in edges.items():
            _cover(share, side, edge, widths)
        widths = inner
    return share


def _within(picture: np.ndarray, widths: dict[str, int]) -> np.ndarray:
    """What margins of these widths leave of a picture, a view."""
    height, width = picture.shape
    return picture[widths["top"] : max(height - widths["bottom"], 0), widths["left"] : max(width - widths["right"], 0)]


def _cover(share: np.ndarray, side: str, edge: Edge, widths: dict[str, int]) -> None:
    """Mark what lies between the border and the edge of what is within the margins of these widths."""
    picture = TURNS[side](share)
    length = picture.shape[1]
    before, after = (widths[beside] for beside in BESIDE[side])
    middle = (before + length - after) / 2
    line = widths[side] + edge.depth + edge.lean * (np.arange(length) + 0.5 - middle)
    reached = picture[: int(line.max()) + 1]
    np.maximum(reached, (line - np.arange(len(reached))[:, None]).clip(0, 1), out=reached)


def _cleared(edge: Edge | None, length: int) -> int:
    """Pixels to the end of an edge, wherever it leans to."""
    return int(np.ceil(edge.depth + abs(edge.lean) * length / 2)) + 1 if edge else 0


def sure_edges(lightness: np.ndarray) -> dict[str, Edge]:
    """The edges of the outermost margins of L (h, w), by side: those that support each other, however few remain."""
    if min(lightness.shape) < SHORTEST:
        return {}
    found = {side: find_edge(turned(lightness)) for side, turned in TURNS.items()}
    edges = {side: edge for side, edge in found.items() if edge and _keeps(edge, FRAMED)}
    while True:
        sure = {side: edge for side, edge in edges.items() if _is_whole(side, edges) and _is_supported(side, edges)}
        if len(sure) == len(edges):
            return sure
        edges = sure


def _keeps(edge: Edge, limits: _Limits) -> bool:
    even = abs(edge.along) < limits.along and abs(edge.inward) < limits.inward and edge.rough < limits.rough
    return even and edge.step > limits.step and edge.least > limits.least and edge.clear > limits.clear


def _is_whole(side: str, edges: dict[str, Edge]) -> bool:
    """Whether an edge runs from one end of its side to the other, or to the margins there."""
    depths = (edges[beside].depth if beside in edges else 0 for beside in BESIDE[side])
    return all(skipped <= depth for skipped, depth in zip(edges[side].skipped, depths, strict=True))


def _is_supported(side: str, edges: dict[str, Edge]) -> bool:
    """Whether the other sides, or the margin itself, leave no doubt. At the bottom is where captions are alone."""
    edge = edges[side]
    like = {other for other in edges if other != side and _are_alike(side, other, edges)}
    if not _keeps(edge, OPPOSED):
        return len(like) == 3
    if like.issuperset(BESIDE[side]):
        return True
    at_corner = _keeps(edge, CORNER) and any(_keeps(edges[other], CORNER) for other in like)
    alone = side == "bottom" and edge.level > DARK and _keeps(edge, ALONE)
    return edge.way >= WAY and (OPPOSITE[side] in like or at_corner or alone)


def _are_alike(side: str, other: str, edges: dict[str, Edge]) -> bool:
    one, two = edges[side], edges[other]
    turned = LEANS[side] * one.lean - LEANS[other] * two.lean
    return abs(one.level - two.level) < AS_LIGHT and abs(turned) < AS_LEAN


def find_edge(lightness: np.ndarray) -> Edge | None:
    """The straight edge of what is flat along the top of L (h, w); the innermost, since lines of text are straight."""
    bands = _bands(lightness)
    found = bands and _search(bands, lightness.shape[1])
    return _measured(bands, found, lightness.shape[1]) if bands and found else None


@lru_cache(maxsize=16)
def _averaging(length: int) -> np.ndarray:
    """(length, BANDS) float32: the means of a side's bands as a matrix product."""
    band = np.arange(length) * BANDS // length
    matrix = (band[:, None] == np.arange(BANDS)).astype(np.float32)
    return matrix / matrix.sum(0)


def _bands(lightness: np.ndarray) -> _Bands | None:
    """None where too little of the side is flat at the border."""
    averaging = _averaging(lightness.shape[1])
    places = (np.arange(BANDS) + 0.5) / BANDS - 0.5
    level = _level(_middle(lightness[:RING] @ averaging), places)
    means = lightness @ averaging
    if (np.abs(means[:RING] - level) < LEVEL).mean() < WAY * BEFORE:
        return None
    spread = np.sqrt(np.maximum((lightness * lightness) @ averaging - means * means, 0))
    flat = (np.abs(means - level) < LEVEL) & (spread < SPREAD)
    used = np.flatnonzero((flat[:RING].mean(0) > 0.5) & (flat.mean(0) < 0.9))
    if len(used) < 0.4 * BANDS or len(used) < 0.8 * (used[-1] + 1 - used[0]):
        return None
    own = slice(used[0], used[-1] + 1)
    return _Bands(means[:, own], level[own], flat[:, own], places[own], (int(used[0]), int(BANDS - used[-1] - 1)))


def _level(ring: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Of a margin, along the side (bands,): a straight line through most of what is at the border."""
    third = BANDS // 3
    drift = _middle(ring[-third:]) - _middle(ring[:third])
    drift *= BANDS / (BANDS - third) if abs(drift) < STEEPEST else 0
    return _middle(ring - drift * places) + drift * places


def _middle(values: np.ndarray) -> np.ndarray:
    """The upper median over the first axis; of a few values, ten times as fast as numpy's."""
    return np.sort(values, axis=0)[len(values) // 2]


def _search(bands: _Bands, length: int) -> _Found | None:
    most, steepest = int(len(bands.flat) * DEEPEST), int(MOST_LEAN * length)
    leans = np.array(sorted(range(-steepest, steepest + 1), key=abs))  # of equals, the least counts
    flat = _flatness(bands, leans, most + NEAR + SOFT)
    sums = np.pad(flat.cumsum(1), ((0, 0), (1, 0)))
    depth = np.arange(LEAST, most)
    before = (sums[:, depth] - sums[:, depth - NEAR]) / NEAR
    after = (sums[:, depth + SOFT + NEAR] - sums[:, depth + SOFT]) / NEAR
    way = sums[:, depth] / depth
    possible = (before >= BEFORE) & (after <= AFTER) & (way >= LETTERS)
    if not possible.any():
        return None
    innermost = np.flatnonzero(possible.any(0))[-1]
    # An edge is seen at several depths: the best is where flatness ends.
    score = before - after + 0.1 * (flat[:, depth] - flat[:, depth + 1])
    score[~possible | (np.arange(len(depth)) < innermost - SOFT - 2)] = -1
    best = np.unravel_index(score.argmax(), score.shape)
    return _Found(int(depth[best[1]]), int(leans[best[0]]), float(before[best]), float(after[best]), float(way[best]))


def _flatness(bands: _Bands, leans: np.ndarray, depth: int) -> np.ndarray:
    """(leans, depth) float32: share of the bands that are flat along each line that may be the edge."""
    shifts = np.rint(leans[:, None] * bands.places).astype(int)
    outside = int(-shifts.min())  # rows beyond the border, where a line leans out of the picture
    count = len(bands.places)
    flat = np.pad(bands.flat, ((outside, outside), (0, 0)), constant_values=True).astype(np.float32)
    begins = (shifts + outside) * count + np.arange(count)
    places = np.arange(depth)[:, None] * count + begins[:, None]
    return flat.ravel()[places] @ np.full(count, 1 / count, np.float32)


def _measured(bands: _Bands, found: _Found, length: int) -> Edge:
    shifts = np.rint(found.lean * bands.places).astype(int)
    height, count = bands.means.shape
    rows = (found.depth + shifts + np.arange(-NEAR, SOFT + NEAR)[:, None]).clip(0, height - 1)
    around = bands.means[rows, np.arange(count)]  # before the edge, the edge, after it
    steps = np.sort(np.abs(around[:NEAR].mean(0) - around[-NEAR:-1].mean(0)))
    level, along, inward, rough = _evenness(bands, found.depth, shifts)
    before, after = (max(0, skipped - SLACK) * length / BANDS for skipped in bands.skipped)
    return Edge(
        depth=found.depth + _within_pixels(around, bands.level),
        lean=found.lean / length,
        skipped=(before, after),
        level=level,
        along=along,
        inward=inward,
        rough=rough,
        step=float(steps[count // 2]),
        least=float(steps[count // 4]),
        clear=found.before - found.after,
        way=found.way,
    )


def _within_pixels(around: np.ndarray, level: np.ndarray) -> float:
    """Where the edge is, in pixels from the place where it was found: how much of each pixel is still margin."""
    photograph = around[-NEAR:].mean(0)
    differ = np.abs(level - photograph) > LEVEL
    margin = (around[NEAR - 2 : NEAR + SOFT + 1] - photograph)[:, differ] / (level - photograph)[differ]
    return float(_middle(margin.clip(0, 1).sum(0))) - 2 if differ.any() else 0.0


def _evenness(bands: _Bands, depth: int, shifts: np.ndarray) -> tuple[float, float, float, float]:
    """Of a margin without its last pixels: its level at its middle, its drift along and inward, and what remains."""
    last = np.maximum(depth + shifts - (2 if depth > 2 * NEAR else 1), RING - 1)
    row, band = np.nonzero(bands.flat[: last.max()] & (np.arange(last.max())[:, None] < last))
    values = bands.means[row, band]
    plane = np.stack((np.ones_like(values), bands.places[band], row / depth - 0.5), 1)
    drift = np.linalg.lstsq(plane, values, rcond=None)[0]
    rough = np.sqrt(np.mean((values - plane @ drift) ** 2))
    return float(drift[0]), float(drift[1]), float(drift[2]), float(rough)
