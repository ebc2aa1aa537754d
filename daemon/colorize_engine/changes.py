"""Which tiles of a picture two predictions make different, so that a change costs what it changes and no more.

Where no stroke reaches, a prediction is bit for bit what it was (see `composition`), and a lifted pixel depends on the
few cells around it only. So what changed of the grid says exactly which tiles change, and all others come out equal.
"""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from colorize_client.messages import TILE_SIDE, Update, unpack_tiles
from colorize_client.tiling import Rectangle, cut, meet

from colorize_engine.colorizer import Embedding, Prediction
from colorize_engine.guided_lift import RADIUS
from colorize_engine.windows import Detail

# Of the way from a prediction to pixels; another number for every version that makes others of the same.
RENDERING = b"1"
# Cells around a changed one whose lifted pixels change: two box means, and the interpolation to the next cell.
REACH = 2 * RADIUS + 1
# Of ab: a draft leaves tiles that move less as they are, since the answer that follows it brings them.
SEEN = 0.5
DRAWN = 12  # tiles of a draft: while the brush moves, an editor has no time to show more


def state_of(prediction: Prediction, layout: str, picture: str) -> str:
    """The name of what a prediction makes of the picture of this key in a layout: where it is equal, all pixels are."""
    digest = blake2b(RENDERING + layout.encode() + picture.encode(), digest_size=16)
    digest.update(prediction.ab.cpu().numpy().tobytes())
    for detail in prediction.details:
        digest.update(_content(detail))
    return digest.hexdigest()


def wanted(
    embedding: Embedding, prediction: Prediction, state: str, update: Update, others: Sequence[Rectangle] = ()
) -> list[Rectangle]:
    """The tiles that a client needs so that it holds what a prediction, of this name, makes of its photograph.

    With those that touch `others`. Of a draft, the nearest `DRAWN` of them.
    """
    stale = [*others, *(unpack_tiles(update.stale) if update.stale else [])]
    newer = unpack_tiles(update.newer.tiles) if update.newer else []
    changed = _changed_since(embedding, prediction, state, update.since, update.draft)
    again = _changed_since(embedding, prediction, state, update.newer.since, update.draft) if update.newer else set()
    tiles = [
        tile
        for tile in cut(embedding.width, embedding.height)
        if touches(tile, stale) or tile in (again if touches(tile, newer) else changed)
    ]
    return nearest_first(tiles, update.near)[: DRAWN if update.draft else len(tiles)]


def _changed_since(embedding: Embedding, prediction: Prediction, state: str, since: str, draft: bool) -> set[Rectangle]:
    """The tiles that changed since a state; all of them where it is not known any more."""
    if since == state:
        return set()
    before = embedding.recall(since)
    height, width = embedding.gray.shape
    if before is None:
        return set(cut(width, height))
    return set(changed_tiles(before, prediction, height, width, SEEN if draft else 0.0))


def changed_tiles(
    before: Prediction, after: Prediction, height: int, width: int, least: float = 0.0
) -> list[Rectangle]:
    """The tiles of a picture of this size that two predictions for it make different, by more than `least` of ab."""
    cells = (~((before.ab - after.ab).abs() <= least)).any(0).cpu().numpy()  # what is no number counts as changed
    across, down = (_cells_of(side, pixels) for side, pixels in zip(cells.shape[::-1], (width, height), strict=True))
    windows = _changed_windows(before.details, after.details)
    return [
        tile
        for tile in cut(width, height)
        if cells[down[tile[1] // TILE_SIDE], across[tile[0] // TILE_SIDE]].any() or touches(tile, windows)
    ]


def _cells_of(cells: int, pixels: int) -> list[slice]:
    """For each tile along an axis, the cells that its pixels depend on."""
    starts = np.arange(0, pixels, TILE_SIDE)
    ends = np.minimum(starts + TILE_SIDE, pixels) - 1
    first, last = (((edge + 0.5) * cells / pixels - 0.5).clip(0, cells - 1).astype(int) for edge in (starts, ends))
    return [slice(max(0, a - REACH), b + REACH + 2) for a, b in zip(first, last, strict=True)]


def _changed_windows(before: Sequence[Detail], after: Sequence[Detail]) -> list[Rectangle]:
    """Where details came or went; which lies over which counts, too."""
    old, new = ([_content(detail) for detail in details] for details in (before, after))
    if old == new:
        return []
    same = [content for content in old if content in new] == [content for content in new if content in old]
    return [
        (detail.window.x, detail.window.y, detail.window.width, detail.window.height)
        for details, others in ((before, new), (after, old))
        for detail in details
        if not same or _content(detail) not in others
    ]


def _content(detail: Detail) -> bytes:
    planes = (detail.lightness, detail.ab, detail.reach)
    return repr(detail.window).encode() + b"".join(plane.cpu().numpy().tobytes() for plane in planes)


def touches(tile: Rectangle, others: Sequence[Rectangle]) -> bool:
    """Whether a rectangle has a pixel in common with any of the others."""
    return any(meet(tile, other) for other in others)


def nearest_first(tiles: Sequence[Rectangle], near: tuple[int, int] | None) -> list[Rectangle]:
    """Tiles in the order of their distance from a place; as they are where there is none."""
    if near is None:
        return list(tiles)

    def distance(tile: Rectangle) -> int:
        x, y, w, h = tile
        across, down = (
            max(first - at, at - last, 0) for at, first, last in ((near[0], x, x + w - 1), (near[1], y, y + h - 1))
        )
        return across**2 + down**2

    return sorted(tiles, key=distance)
