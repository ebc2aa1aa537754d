"""Colour hints from a picture: tiles, scaling, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from colorize_cli.hintfile import read_strokes
from colorize_cli.problems import PictureError
from colorize_client.messages import TILE_SIDE
from PIL import Image

RED = (200, 30, 40, 255)


def save(path: Path, rgba: np.ndarray) -> Path:
    Image.fromarray(rgba).save(path)
    return path


def clear(height: int, width: int) -> np.ndarray:
    """A transparent picture, green under its transparency."""
    return np.full((height, width, 4), (0, 255, 0, 0), np.uint8)


def painted(height: int, width: int, tiles: object) -> np.ndarray:
    """The tiles laid back on a picture."""
    picture = np.zeros((height, width, 4), np.uint8)
    for (x, y, w, h), data in zip(tiles.tiles, tiles.data, strict=True):
        picture[y : y + h, x : x + w] = np.frombuffer(data, np.uint8).reshape(h, w, 4)
    return picture


def test_only_painted_tiles_are_sent_and_exactly(tmp_path: Path) -> None:
    rgba = clear(600, 700)
    rgba[10, 20], rgba[599, 699] = RED, (1, 2, 3, 7)
    tiles = read_strokes(save(tmp_path / "h.png", rgba)).over(700, 600)
    assert list(tiles.tiles) == [(0, 0, TILE_SIDE, TILE_SIDE), (512, 512, 188, 88)]
    back = painted(600, 700, tiles)
    assert (back[back[..., 3] > 0] == rgba[rgba[..., 3] > 0]).all()


def test_another_size_of_the_same_aspect_is_scaled_by_alpha(tmp_path: Path) -> None:
    rgba = clear(400, 600)
    rgba[100:140, 100:140] = RED
    back = painted(200, 300, read_strokes(save(tmp_path / "h.png", rgba)).over(300, 200))
    opaque = back[..., 3] > 250
    assert opaque[52:68, 52:68].all()
    assert 15 * 15 <= opaque.sum() <= 21 * 21
    seen = back[back[..., 3] > 16]
    assert np.abs(seen[:, :3].astype(int) - RED[:3]).max() <= 4  # no green from under the transparency


def test_a_thin_stroke_survives_shrinking(tmp_path: Path) -> None:
    rgba = clear(800, 800)
    rgba[:, 401] = RED
    back = painted(100, 100, read_strokes(save(tmp_path / "h.png", rgba)).over(100, 100))
    assert (back[..., 3].max(axis=1) > 0).all()


def test_another_aspect_is_refused_with_both_sizes(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match=r"300 x 400 .* 400 x 300"):
        read_strokes(save(tmp_path / "h.png", clear(400, 300))).over(400, 300)


def test_without_transparency_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="transparent areas"):
        read_strokes(save(tmp_path / "h.png", clear(40, 30)[..., :3])).over(30, 40)


def test_nothing_painted_means_no_tiles(tmp_path: Path) -> None:
    assert list(read_strokes(save(tmp_path / "h.png", clear(40, 30))).over(30, 40).tiles) == []


def test_gray_hints_with_16_bits(tmp_path: Path) -> None:
    import pyvips

    pixels = np.zeros((40, 30, 2), np.uint16)
    pixels[5, 5] = (30000, 65535)
    pyvips.Image.new_from_array(pixels).copy(interpretation="grey16").write_to_file(str(tmp_path / "h.png"))
    back = painted(40, 30, read_strokes(tmp_path / "h.png").over(30, 40))
    assert back[5, 5].tolist() == [117, 117, 117, 255]
