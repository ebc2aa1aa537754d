"""The tiles that hints travel in: how a photograph is cut into them, and which of them are painted."""

from collections.abc import Collection, Iterable

import masks
from colorize_client.messages import TILE_SIDE as SIDE
from colorize_client.tiling import Rectangle, cut, meet

__all__ = ["SIDE", "Rectangle", "cut", "meet"]

CHANNELS = 4  # R'G'B'A u8
EVERYTHING = 255

_NOTHING = bytes(CHANNELS * SIDE * SIDE)


def is_painted(pixels: bytes) -> bool:
    """Whether any pixel of a tile, R'G'B'A u8, is not wholly transparent, whatever colour lies under that."""
    if _NOTHING.startswith(pixels):
        return False
    alpha = pixels[CHANNELS - 1 :: CHANNELS]
    return alpha.count(0) != len(alpha)


def around(places: Collection[Rectangle]) -> Rectangle:
    """The smallest rectangle that holds all of these, at least one."""
    left, top = (min(place[axis] for place in places) for axis in (0, 1))
    right, bottom = (max(place[axis] + place[axis + 2] for place in places) for axis in (0, 1))
    return left, top, right - left, bottom - top


def boxes(places: Collection[Rectangle]) -> list[Rectangle]:
    """Rectangles that hold all of these places and do not meet: one around all that lie near each other."""
    found: list[Rectangle] = []
    for place in places:
        box = place
        while near := [other for other in found if meet(_wider(other), box)]:
            found = [other for other in found if other not in near]
            box = around([box, *near])
        found.append(box)
    return found


def _wider(place: Rectangle) -> Rectangle:
    x, y, width, height = place
    return x - SIDE, y - SIDE, width + 2 * SIDE, height + 2 * SIDE


def trimmed(place: Rectangle, pixels: bytes) -> tuple[Rectangle, bytes]:
    """A painted tile, R'G'B'A u8, less the rows above and below that hold nothing at all."""
    x, y, w, h = place
    row = CHANNELS * w
    above = (len(pixels) - len(pixels.lstrip(b"\0"))) // row
    below = (len(pixels) - len(pixels.rstrip(b"\0"))) // row
    return (x, y + above, w, h - above - below), pixels[above * row : (h - below) * row]


def merged(layers: Iterable[dict[Rectangle, bytes]]) -> list[tuple[Rectangle, bytes]]:
    """The tiles of several layers, from the top down, as one layer's, row by row; where tiles meet, see `over`."""
    found: dict[Rectangle, bytes] = {}
    for own in layers:
        for place, pixels in own.items():
            found[place] = over(found[place], pixels) if place in found else pixels
    return sorted(found.items(), key=lambda tile: (tile[0][1], tile[0][0]))


def over(upper: bytes, lower: bytes) -> bytes:
    """Two tiles of one place, R'G'B'A u8, as one: of each pixel the one that covers more, where both do the upper."""
    mask = bytes(EVERYTHING * (a >= b) for a, b in zip(upper[3::CHANNELS], lower[3::CHANNELS], strict=True))
    return masks.where(mask, upper, lower)
