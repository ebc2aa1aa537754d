"""Hints, averages and luminance: compiled, they give what numpy gives."""

from collections.abc import Callable

import numpy as np
import pytest
from colorize_client import HintTiles
from colorize_engine.colour import rows
from colorize_engine.hints import HintGrid, rasterize
from colorize_engine.native import functions
from colorize_engine.network_input import reduce_gray

SHAPES = [(1, 1), (1, 30_000), (30_000, 1), (2, 3), (37, 101), (700, 1100)]
GRIDS = [(1, 1), (5, 3), (16, 24), (50, 40)]

Both = Callable[[Callable], tuple]


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch) -> Both:
    """What a call gives with the compiled functions, and without."""

    def call(function: Callable) -> tuple:
        assert functions.library() is not None
        compiled = function()
        with monkeypatch.context() as patch:
            patch.setattr(functions, "library", lambda: None)
            return compiled, function()

    return call


def assert_same_hints(pair: tuple[HintGrid, HintGrid]) -> None:
    compiled, plain = pair
    assert compiled.ab.shape == plain.ab.shape and compiled.coverage.shape == plain.coverage.shape
    assert compiled.ab.flags.c_contiguous and compiled.coverage.flags.c_contiguous
    assert np.abs(compiled.coverage - plain.coverage).max() < 1e-5
    # In ab a hundred times the relative error of the sums.
    assert np.abs(compiled.ab - plain.ab).max() < 1e-3
    assert ((compiled.coverage > 0) == (plain.coverage > 0)).all()


def tiles(shape: tuple[int, int], count: int) -> HintTiles:
    """Tiles that overlap, some of them partly or wholly outside, painted here and there."""
    random, boxes, data = np.random.default_rng(count), [], []
    for _ in range(count):
        width, height = (int(random.integers(0, min(side, 200) + 2)) for side in shape[::-1])
        x, y = (int(random.integers(-width - 1, side + 2)) for side in shape[::-1])
        pixels = random.integers(0, 256, (height, width, 4), np.uint8)
        pixels[..., 3] *= random.random((height, width)) < random.choice([0.01, 0.3, 1.0])
        boxes.append((x, y, width, height))
        data.append(pixels.tobytes())
    return HintTiles(boxes, data)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_hints_are_the_same(both: Both, shape: tuple[int, int], grid: tuple[int, int]) -> None:
    for count in (0, 1, 12):
        assert_same_hints(both(lambda count=count: rasterize(tiles(shape, count), *shape, *grid)))


@pytest.mark.parametrize("alpha", [1, 255])
@pytest.mark.parametrize("width", [1, 15, 16, 17, 47])
def test_a_single_painted_pixel_is_found_wherever_it_is(both: Both, width: int, alpha: int) -> None:
    for place in range(width):
        pixels = np.full((1, width, 4), (200, 30, 40, 0), np.uint8)
        pixels[0, place, 3] = alpha
        pair = both(lambda pixels=pixels: rasterize(HintTiles([(3, 2, width, 1)], [pixels.tobytes()]), 5, 60, 5, 60))
        assert_same_hints(pair)
        assert pair[0].cells == 1


@pytest.mark.parametrize("grid", [*GRIDS, (104, 156)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [*SHAPES, (70_001, 2), (2, 70_001)])
def test_averages_are_equal(both: Both, shape: tuple[int, int], dtype: type, grid: tuple[int, int]) -> None:
    peak = np.iinfo(dtype).max
    planes = [np.random.default_rng(0).integers(0, peak, shape, dtype, endpoint=True), np.full(shape, peak)]
    for plane in planes:
        gray = plane.astype(dtype)
        compiled, plain = both(lambda gray=gray: reduce_gray(gray, *grid))
        assert compiled.shape == (1, 1, *grid)
        assert (compiled == plain).all()
    assert (compiled - 1.0).abs().max() < 1e-6  # the sum of the brightest plane does not overflow


def test_an_average_of_a_part_of_a_plane_is_that_of_a_copy(both: Both) -> None:
    gray = np.random.default_rng(0).integers(0, 256, (90, 120), np.uint8)
    compiled, plain = both(lambda: reduce_gray(gray[7:80, 5:111], 20, 30))
    assert (compiled == plain).all()
    assert (compiled == reduce_gray(gray[7:80, 5:111].copy(), 20, 30)).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", SHAPES)
def test_luminance_is_the_same_within_a_level_of_16_bits(both: Both, shape: tuple[int, int], dtype: type) -> None:
    rgb = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (*shape, 4), dtype, endpoint=True)
    for values in (rgb[..., :3], rgb[..., :3].copy()):
        compiled, plain = both(lambda values=values: rows.luminance(values))
        assert compiled.dtype == plain.dtype == np.uint16 and compiled.shape == shape
        assert np.abs(compiled.astype(int) - plain).max() <= 1
        assert (compiled != plain).mean() < 0.05 or compiled.size < 100


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_neutral_pixels_keep_their_luminance_exactly_in_both(both: Both, dtype: type) -> None:
    gray = np.arange(np.iinfo(dtype).max + 1, dtype=dtype)
    for each in both(lambda: rows.luminance(np.repeat(gray[:, None, None], 3, axis=2))):
        assert (each[:, 0] == gray.astype(np.uint16) * (65535 // int(gray[-1]))).all()


def test_sums_out_of_range_are_clipped_and_one_band_is_enough(both: Both) -> None:
    tables = np.stack([np.linspace(-3.0, 3.0, 256, dtype=np.float32)] * 3)
    values = np.arange(256, dtype=np.uint8)[:, None, None]
    for bands in (1, 3):
        compiled, plain = both(lambda bands=bands: rows.encoded_sum(np.repeat(values, bands, axis=2), tables[:bands]))
        assert np.abs(compiled.astype(int) - plain).max() <= 1
        assert (compiled[0], compiled[-1]) == (0, 65535)
