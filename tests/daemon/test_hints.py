"""Painted hints on the grid: what they ask for, what they never do."""

import tracemalloc
from dataclasses import dataclass

import numpy as np
import pytest
from colorize_engine.hints import rasterize
from skimage import color, data


@dataclass
class Painted:
    tiles: list[tuple[int, int, int, int]]
    data: list[bytes]


def painted(*tiles: tuple[int, int, np.ndarray]) -> Painted:
    """Hints of (x, y, pixels (h, w, 4)) tiles."""
    return Painted([(x, y, p.shape[1], p.shape[0]) for x, y, p in tiles], [p.tobytes() for _, _, p in tiles])


def flat(height: int, width: int, rgba: tuple[int, int, int, int]) -> np.ndarray:
    return np.full((height, width, 4), rgba, np.uint8)


def ab_of(rgb: tuple[float, float, float]) -> np.ndarray:
    """CIELAB chroma of encoded 0..255 values, by scikit-image."""
    return color.rgb2lab(np.array(rgb, float).reshape(1, 1, 3) / 255.0)[0, 0, 1:]


def slow(layer: np.ndarray, grid_height: int, grid_width: int) -> tuple[np.ndarray, np.ndarray]:
    """Cell by cell, pixel by pixel, with scikit-image's colour: ab (2, h, w) and coverage (h, w)."""
    height, width = layer.shape[:2]
    ab, coverage = np.zeros((2, grid_height, grid_width)), np.zeros((grid_height, grid_width))
    linear = np.where(
        layer[..., :3] <= 10, layer[..., :3] / 255 / 12.92, ((layer[..., :3] / 255 + 0.055) / 1.055) ** 2.4
    )
    for row in range(grid_height):
        for column in range(grid_width):
            down = slice(row * height // grid_height, (row + 1) * height // grid_height)
            across = slice(column * width // grid_width, (column + 1) * width // grid_width)
            alpha = layer[down, across, 3] / 255.0
            coverage[row, column] = alpha.mean()
            if alpha.any():
                mean = (linear[down, across] * alpha[..., None]).sum((0, 1)) / alpha.sum()
                encoded = np.where(mean <= 0.0031308, mean * 12.92, 1.055 * mean ** (1 / 2.4) - 0.055)
                ab[:, row, column] = ab_of(tuple(encoded * 255.0))
    return ab, coverage


def test_no_hints_is_an_empty_grid() -> None:
    grid = rasterize(None, 30, 40, 6, 8)
    assert grid.ab.shape == (2, 6, 8) and grid.coverage.shape == (6, 8)
    assert grid.cells == 0 and not grid.ab.any()


@pytest.mark.parametrize("tile", [64, 50, 7])
def test_a_painted_photograph_cut_in_tiles_agrees_with_the_definition(tile: int) -> None:
    photo = data.astronaut()[:150, :211]
    alpha = np.random.default_rng(0).choice([0, 1, 128, 255], photo.shape[:2], p=[0.6, 0.1, 0.1, 0.2])
    alpha[40:90, 60:130] = 0
    layer = np.dstack((photo, alpha)).astype(np.uint8)
    places = [(x, y) for y in range(0, 150, tile) for x in range(0, 211, tile)]
    grid = rasterize(painted(*((x, y, layer[y : y + tile, x : x + tile]) for x, y in places)), 150, 211, 19, 26)
    ab, coverage = slow(layer, 19, 26)
    assert np.abs(grid.coverage - coverage).max() < 1e-6
    assert np.abs(grid.ab - ab).max() < 0.05
    assert grid.cells == np.count_nonzero(coverage) < 19 * 26


def test_one_pixel_in_24_megapixels_is_a_hint_of_its_full_colour() -> None:
    grid = rasterize(painted((3017, 2222, flat(1, 1, (200, 30, 40, 1)))), 4000, 6000, 128, 192)
    assert grid.cells == 1
    row, column = np.argwhere(grid.coverage)[0]
    assert (row, column) == (2222 * 128 // 4000, 3017 * 192 // 6000)
    assert np.allclose(grid.ab[:, row, column], ab_of((200, 30, 40)), atol=0.05)
    assert 0.0 < grid.coverage[row, column] < 1e-4


def test_what_is_transparent_is_no_hint_whatever_colour_lies_under_it() -> None:
    tile = flat(10, 10, (0, 255, 0, 0))
    assert rasterize(painted((0, 0, tile)), 10, 10, 1, 1).cells == 0
    tile[4, 4] = (255, 0, 0, 255)
    assert np.allclose(rasterize(painted((0, 0, tile)), 10, 10, 1, 1).ab[:, 0, 0], ab_of((255, 0, 0)), atol=0.05)


def test_a_gray_stroke_is_a_hint_for_gray() -> None:
    grid = rasterize(painted((2, 2, flat(4, 4, (90, 90, 90, 255)))), 8, 8, 2, 2)
    assert (grid.coverage == 0.25).all()
    assert np.abs(grid.ab).max() < 1e-3


def test_colours_mix_in_linear_light() -> None:
    tile = flat(2, 2, (255, 0, 0, 255))
    tile[:, 1] = (0, 0, 255, 255)
    half = 255.0 * (1.055 * 0.5 ** (1 / 2.4) - 0.055)
    assert np.allclose(rasterize(painted((0, 0, tile)), 2, 2, 1, 1).ab[:, 0, 0], ab_of((half, 0, half)), atol=0.05)


def test_what_lies_outside_the_picture_is_ignored() -> None:
    red, blue = (255, 0, 0, 255), (0, 0, 255, 255)
    inside = flat(10, 10, blue)
    inside[5:, 5:] = red
    grid = rasterize(painted((-5, -5, inside), (20, 0, flat(3, 3, blue)), (0, -9, flat(3, 3, blue))), 20, 20, 4, 4)
    assert grid.cells == 1 and grid.coverage[0, 0] == 1.0
    assert np.allclose(grid.ab[:, 0, 0], ab_of(red[:3]), atol=0.05)
    assert rasterize(painted((15, 15, flat(10, 10, red))), 20, 20, 4, 4).coverage[3, 3] == 1.0


def test_a_grid_finer_than_the_picture_repeats_pixels() -> None:
    grid = rasterize(painted((1, 0, flat(1, 1, (255, 0, 0, 255)))), 2, 3, 4, 9)
    assert np.argwhere(grid.coverage).tolist() == [[row, column] for row in (0, 1) for column in (3, 4, 5)]
    assert (grid.coverage[:2, 3:6] == 1.0).all()


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 30_000), (30_000, 1), (17, 5)])
def test_pictures_of_any_shape_are_covered_whole(height: int, width: int) -> None:
    grid = rasterize(painted((0, 0, flat(height, width, (10, 200, 30, 255)))), height, width, 16, 24)
    assert (grid.coverage == 1.0).all()
    assert np.abs(grid.ab - ab_of((10, 200, 30))[:, None, None]).max() < 0.05


def test_tiles_that_overlap_never_cover_more_than_all() -> None:
    tile = flat(4, 4, (10, 200, 30, 255))
    grid = rasterize(painted((0, 0, tile), (0, 0, tile)), 4, 4, 2, 2)
    assert grid.coverage.max() == 1.0
    assert np.abs(grid.ab - ab_of((10, 200, 30))[:, None, None]).max() < 0.05


def test_memory_does_not_grow_with_the_layer() -> None:
    layer = np.zeros((2000, 3000, 4), np.uint8)
    layer[:, :, :] = (10, 200, 30, 255)
    hints = Painted([(0, 0, 3000, 2000)], [layer])
    tracemalloc.start()
    rasterize(hints, 2000, 3000, 128, 192)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < layer.nbytes / 4


@pytest.mark.parametrize(
    ("tiles", "sizes"), [([(0, 0, 2, 2)], [15]), ([(0, 0, 2, 2)], [17]), ([(0, 0, -1, 2)], [8]), ([(0, 0, 2, 2)], [])]
)
def test_tiles_without_their_pixels_are_refused(tiles: list[tuple[int, int, int, int]], sizes: list[int]) -> None:
    with pytest.raises(ValueError):
        rasterize(Painted(tiles, [bytes(size) for size in sizes]), 4, 4, 2, 2)
