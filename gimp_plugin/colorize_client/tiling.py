"""How a picture is cut into the tiles in which hints go up and colours come down. Needs neither pyzmq nor msgpack."""

from __future__ import annotations

from collections.abc import Iterator

from colorize_client.messages import TILE_SIDE

Rectangle = tuple[int, int, int, int]  # x, y, width, height in the picture's pixels


def cut(width: int, height: int) -> Iterator[Rectangle]:
    """The tiles of a picture, row by row; those at the right and lower edge may be smaller."""
    for y in range(0, height, TILE_SIDE):
        for x in range(0, width, TILE_SIDE):
            yield x, y, min(TILE_SIDE, width - x), min(TILE_SIDE, height - y)


def meet(one: Rectangle, other: Rectangle) -> bool:
    """Whether two rectangles have a pixel in common."""
    return all(one[n] < other[n] + other[n + 2] and other[n] < one[n] + one[n + 2] for n in (0, 1))
