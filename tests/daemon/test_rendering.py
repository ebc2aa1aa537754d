"""Rendering photographs, compiled and by PyTorch: the same pixels, and rectangles that are parts of the whole."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from colorize_engine import rendering
from colorize_engine.colour import conversions, gamut
from colorize_engine.colour.rows import linear_table
from colorize_engine.guided_lift import GuidedLift
from colorize_engine.native import functions
from colorize_engine.rendering import Renderer, TorchRenderer
from colorize_engine.windows import Detail, Window

SHAPES = [(1, 1), (1, 30_000), (30_000, 1), (2, 3), (37, 101), (120, 599)]
LAYOUTS = ["rgb8", "rgb16", "ab16"]
MOST_APART = {"rgb8": 1, "rgb16": 2, "ab16": 1}
# Where a colour lies on the gamut's border to the last digit of float32, one pulls it in and the other does not, which
# moves it by 1/1000 of its chroma: one value in several million on photographs.
AT_THE_BORDER, SELDOM = {"rgb8": 1, "rgb16": 32, "ab16": 16}, 1e-5
NAN, INF = float("nan"), float("inf")

Make = Callable[..., Renderer]


@pytest.fixture(params=["compiled", "torch"])
def make(request: pytest.FixtureRequest) -> Make:
    """Makes a renderer of either kind."""
    if request.param == "torch":
        return TorchRenderer
    assert functions.library() is not None
    return rendering.renderer


def picture(
    shape: tuple[int, int], dtype: type, chroma: float = 80.0, details: int = 0, grid: tuple[int, int] = (16, 24)
):
    """Lightness and chroma on a grid, a gray plane of the photograph's size, and details that overlap."""
    random = np.random.default_rng(shape)
    gray = random.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    lightness, ab = grids(random, grid, chroma)
    windows = [Window(*corner_and_size(random, shape)) for _ in range(details)]
    laid = [Detail(w, *grids(random, (7, 9), 100.0), torch.from_numpy(reach(random))) for w in windows]
    return lightness, ab, gray, laid


def grids(random: np.random.Generator, grid: tuple[int, int], chroma: float) -> tuple[torch.Tensor, torch.Tensor]:
    lightness, ab = random.random(grid) * 100, (random.random((2, *grid)) - 0.5) * 2 * chroma
    return torch.from_numpy(lightness.astype(np.float32)), torch.from_numpy(ab.astype(np.float32))


def reach(random: np.random.Generator) -> np.ndarray:
    return (random.random((7, 9)) * 2 - 0.5).astype(np.float32)


def corner_and_size(random: np.random.Generator, shape: tuple[int, int]) -> tuple[int, int, int, int]:
    (y, height), (x, width) = (sorted(random.integers(0, side + 1, 2)) for side in shape)
    height, width = max(1, height - y), max(1, width - x)
    return min(int(x), shape[1] - width), min(int(y), shape[0] - height), int(width), int(height)


def whole(renderer: Renderer) -> np.ndarray:
    return renderer.rectangle(0, 0, renderer.width, renderer.height)


def apart(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    assert one.dtype == two.dtype and one.shape == two.shape
    return np.abs(one.astype(int) - two)


def assert_alike(one: np.ndarray, two: np.ndarray, layout: str) -> None:
    difference = apart(one, two)
    assert difference.max() <= AT_THE_BORDER[layout]
    assert (difference > MOST_APART[layout]).mean() <= SELDOM
    assert (difference > 0).mean() < 0.02


@pytest.mark.parametrize("details", [0, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_compiled_functions_give_what_torch_gives(
    shape: tuple[int, int], layout: str, dtype: type, details: int
) -> None:
    lightness, ab, gray, laid = picture(shape, dtype, 60.0, details)
    compiled = rendering.renderer(lightness, ab, gray, layout, laid)
    assert isinstance(compiled, functions.Rendering)
    assert_alike(whole(compiled), whole(TorchRenderer(lightness, ab, gray, layout, laid)), layout)


@pytest.mark.parametrize("grid", [(1, 1), (1, 7), (5, 1), (40, 60)])
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (30, 41)])
def test_grids_of_one_cell_and_grids_finer_than_the_picture(shape: tuple[int, int], grid: tuple[int, int]) -> None:
    for layout in LAYOUTS:
        lightness, ab, gray, laid = picture(shape, np.uint16, 60.0, 1, grid)
        pair = (kind(lightness, ab, gray, layout, laid) for kind in (rendering.renderer, TorchRenderer))
        assert_alike(*map(whole, pair), layout)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_real_photograph_is_the_same_compiled(layout: str, photograph) -> None:
    gray = photograph("coffee").gray
    height, width = (side // 4 for side in gray.shape)
    lightness = torch.nn.functional.interpolate(conversions.gray_to_lightness(gray)[None, None], (height, width))[0, 0]
    ab = torch.stack((lightness - 40.0, 60.0 - lightness))
    pair = (kind(lightness, ab, gray, layout) for kind in (rendering.renderer, TorchRenderer))
    assert_alike(*map(whole, pair), layout)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_rectangle_is_a_part_of_the_whole_bit_for_bit(make: Make, layout: str, dtype: type) -> None:
    for shape in SHAPES:
        renderer = make(*picture(shape, dtype)[:3], layout, picture(shape, dtype, details=3)[3])
        expected, random = whole(renderer), np.random.default_rng(1)
        assert expected.flags.c_contiguous
        for _ in range(12):
            x, y, width, height = corner_and_size(random, shape)
            found = renderer.rectangle(x, y, width, height)
            assert found.flags.c_contiguous
            assert (found == expected[y : y + height, x : x + width]).all()


def test_a_rectangle_that_is_not_within_the_photograph_is_refused(make: Make) -> None:
    renderer = make(*picture((37, 101), np.uint8)[:3], "rgb8")
    for place in [(-1, 0, 5, 5), (0, -1, 5, 5), (97, 0, 5, 5), (0, 33, 5, 5), (0, 0, -1, 5), (0, 0, 5, -1)]:
        with pytest.raises(ValueError, match="not within 101x37"):
            renderer.rectangle(*place)
    assert renderer.rectangle(101, 37, 0, 0).shape == (0, 0, 3)


@pytest.mark.parametrize(("dtype", "layout"), [(np.uint8, "rgb8"), (np.uint16, "rgb16")])
def test_a_picture_without_chroma_comes_back_bit_exact(make: Make, dtype: type, layout: str) -> None:
    gray = np.arange(np.iinfo(dtype).max + 1, dtype=dtype).reshape(16, -1)
    lightness = torch.full((4, 4), 50.0)
    rendered = whole(make(lightness, torch.zeros(2, 4, 4), gray, layout))
    assert (rendered == gray[..., None]).all()
    assert not whole(make(lightness, torch.zeros(2, 4, 4), gray, "ab16")).any()


@pytest.mark.parametrize("bad", [NAN, INF, -INF, 1e30, -3e38])
def test_chroma_that_is_no_colour_becomes_gray_or_a_colour_of_the_gamut(make: Make, bad: float) -> None:
    gray = np.full((80, 80), 120, np.uint8)
    ab = torch.full((2, 8, 8), 5.0)
    ab[0, 4, 4] = bad
    rendered = whole(make(torch.full((8, 8), 50.0), ab, gray, "rgb8"))
    light = linear_table(256)[rendered] @ np.float32([0.2126, 0.7152, 0.0722])
    assert np.abs(light - linear_table(256)[120]).max() < 0.01
    assert (rendered[:15] == rendered[0, 0]).all()
    if not abs(bad) < INF:
        assert (rendered[44:46, 44:46, 0].astype(int) - rendered[44:46, 44:46, 1] < 8).all()


@pytest.mark.parametrize("shape", [*SHAPES, (1500, 700)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_bands_give_every_row_once_and_in_order(make: Make, shape: tuple[int, int], layout: str) -> None:
    lightness, ab, gray, _ = picture(shape, np.uint8)
    renderer = make(lightness, ab, gray, layout)
    found = list(rendering.bands(renderer))
    assert [y for y, _ in found] == list(np.cumsum([0, *(len(band) for _, band in found[:-1])]))
    assert (np.concatenate([band for _, band in found]) == whole(renderer)).all()


def test_torch_renders_what_lift_and_gamut_give() -> None:
    lightness, ab, gray, _ = picture((37, 101), np.uint8)
    full = conversions.gray_to_lightness(gray)
    expected = gamut.render_band(full, GuidedLift(lightness, ab, 37, 101).rows(0, 37, full), "rgb8")
    assert (whole(TorchRenderer(lightness, ab, gray, "rgb8")) == expected).all()


def test_16_bit_photographs_are_rendered_too(make: Make) -> None:
    lightness, ab, gray, _ = picture((40, 50), np.uint8)
    wide = gray.astype(np.uint16) * 257
    assert (whole(make(lightness, ab, wide, "rgb8")) == whole(make(lightness, ab, gray, "rgb8"))).all()


def test_gray_that_is_not_in_one_piece_is_rendered_too(make: Make) -> None:
    lightness, ab, gray, _ = picture((40, 50), np.uint16)
    apart_in_memory = np.zeros((80, 151), np.uint16)[::2, 1::3]
    apart_in_memory[:] = gray
    askew = np.frombuffer(b"." + gray.tobytes(), np.uint8)[1:].view(np.uint16).reshape(40, 50)
    expected = whole(make(lightness, ab, gray, "rgb16"))
    assert (whole(make(lightness, ab, apart_in_memory, "rgb16")) == expected).all()
    assert (whole(make(lightness, ab, askew, "rgb16")) == expected).all()


def test_rendering_can_be_given_up_half_way(make: Make) -> None:
    found = rendering.bands(make(*picture((2000, 700), np.uint8)[:3], "rgb8"))
    assert next(found)[0] == 0
    found.close()
    with pytest.raises(StopIteration):
        next(found)


def test_an_error_in_a_band_reaches_the_caller(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    renderer = make(*picture((20, 20), np.uint8)[:3], "rgb8")
    monkeypatch.setattr(type(renderer), "rectangle", lambda *place: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        list(rendering.bands(renderer))


@pytest.mark.parametrize("library", [True, False])
def test_gray_of_another_type_and_unknown_layouts_are_refused(library: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not library:
        monkeypatch.setattr(functions, "library", lambda: None)
    lightness, ab, gray, _ = picture((20, 20), np.uint8)
    with pytest.raises(TypeError, match="uint8 or uint16"):
        rendering.renderer(lightness, ab, gray.astype(np.float32), "rgb8")
    with pytest.raises(KeyError):
        rendering.renderer(lightness, ab, gray, "rgba8")
    assert isinstance(
        rendering.renderer(lightness, ab, gray, "rgb8"), functions.Rendering if library else TorchRenderer
    )
