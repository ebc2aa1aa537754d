"""Hint tiles: each pixel of a photograph is in exactly one, and only painted ones are sent."""

from __future__ import annotations

import numpy as np
import pytest
import tiles
from colorize_client import HintTiles


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 700), (256, 256), (257, 255), (1000, 513)])
def test_tiles_cover_each_pixel_once(width: int, height: int) -> None:
    covered = np.zeros((height, width), int)
    for x, y, w, h in tiles.cut(width, height):
        assert 1 <= w <= tiles.SIDE
        assert 1 <= h <= tiles.SIDE
        assert covered[y : y + h, x : x + w].shape == (h, w)
        covered[y : y + h, x : x + w] += 1
    assert (covered == 1).all()


def test_the_client_takes_them() -> None:
    places = list(tiles.cut(600, 300))
    HintTiles(places, [bytes(tiles.CHANNELS * w * h) for _x, _y, w, h in places]).to_wire(600, 300)


@pytest.mark.parametrize("count", [1, 300, tiles.SIDE**2])
@pytest.mark.parametrize("colour", [(0, 0, 0), (200, 60, 30)])
def test_transparent_pixels_are_not_painted(count: int, colour: tuple[int, int, int]) -> None:
    assert not tiles.is_painted(bytes([*colour, 0]) * count)


@pytest.mark.parametrize("alpha", [1, 255])
@pytest.mark.parametrize("place", [0, 150, 299])
def test_one_pixel_of_black_is_painted(alpha: int, place: int) -> None:
    pixels = bytearray(tiles.CHANNELS * 300)
    pixels[tiles.CHANNELS * place + 3] = alpha
    assert tiles.is_painted(bytes(pixels))


def test_over_takes_what_covers_more_and_the_upper_of_two() -> None:
    red, blue, faint, nothing = b"\xc8\x14\x14\xff", b"\x14\x14\xc8\xff", b"\x14\xc8\x14\x20", b"\x07\x07\x07\x00"
    upper = red + nothing + faint + red
    lower = blue + blue + blue + nothing
    assert tiles.over(upper, lower) == red + blue + blue + red
