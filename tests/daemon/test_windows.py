"""Strokes on small things, at the photograph's own scale."""

import numpy as np
import pytest
from colorize_client import HintTiles, Options
from colorize_engine import weights
from colorize_engine.colorizer import Colorizer, Embedding, Prediction
from colorize_engine.strokes import Stroke
from colorize_engine.windows import SMALLEST, window_around
from PIL import Image
from skimage.color import rgb2lab

SCALE = 7  # the portrait of 512 x 512 becomes one of 12.8 megapixels
IRISES = ((203.6, 101.3), (246.0, 103.0))  # in the small portrait
IRIS = 2.0  # radius within which there is nothing but iris and pupil
EYES = (np.s_[93:110, 189:217], np.s_[94:111, 232:262])
BLUE = (60, 90, 120)


@pytest.fixture(scope="module")
def colorizer() -> Colorizer:
    return Colorizer.load(next(record for record in weights.available() if record.default), "cpu")


@pytest.fixture(scope="module")
def portrait(colorizer: Colorizer, photograph) -> Embedding:
    small = Image.fromarray(photograph("astronaut").gray)
    large = small.resize((small.width * SCALE, small.height * SCALE), Image.Resampling.BICUBIC)
    return colorizer.set_image(np.ascontiguousarray(large))


def dabs(places: tuple[tuple[float, float], ...], width: int = 20, height: int = 3) -> HintTiles:
    boxes = [(int(x * SCALE) - width // 2, int(y * SCALE) - height // 2, width, height) for x, y in places]
    return HintTiles(boxes, [bytes((*BLUE, 255)) * (width * height)] * len(boxes))


def rendered(colorizer: Colorizer, embedding: Embedding, prediction: Prediction) -> np.ndarray:
    return np.concatenate([band for _, band in colorizer.render(embedding, prediction)])


def test_two_fine_strokes_colour_the_irises_and_nothing_else(colorizer: Colorizer, portrait: Embedding) -> None:
    prediction = colorizer.predict(portrait, dabs(IRISES))
    assert len(prediction.details) == 2
    before = rendered(colorizer, portrait, colorizer.predict(portrait))
    after = rendered(colorizer, portrait, prediction)
    asked = rgb2lab(np.array(BLUE, float)[None, None] / 255)[0, 0, 1:]
    ys, xs = np.ogrid[: before.shape[0], : before.shape[1]]
    changed = (before != after).any(-1)
    for x, y in IRISES:
        iris = (ys - y * SCALE) ** 2 + (xs - x * SCALE) ** 2 <= (IRIS * SCALE) ** 2
        was, got = (rgb2lab(picture[iris][None] / 255)[0, :, 1:].mean(0) for picture in (before, after))
        direction = (asked - was) / np.linalg.norm(asked - was)
        assert (got - was) @ direction > 0.8 * np.linalg.norm(asked - was)
    for rows, columns in EYES:
        changed[rows.start * SCALE : rows.stop * SCALE, columns.start * SCALE : columns.stop * SCALE] = False
    assert not changed.any()


def test_what_was_seen_in_a_window_is_kept(colorizer: Colorizer, portrait: Embedding) -> None:
    hints = dabs(IRISES)
    first = colorizer.predict(portrait, hints)
    seen = dict(portrait.windows)
    again = colorizer.predict(portrait, hints)
    assert all(portrait.windows[window] is near for window, near in seen.items())
    assert [detail.window for detail in first.details] == [detail.window for detail in again.details]


def test_no_window_is_looked_at_again_for_a_stroke_elsewhere(
    colorizer: Colorizer, portrait: Embedding, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = (*IRISES, (130.0, 400.0), (60.0, 200.0), (400.0, 60.0), (450.0, 300.0), (300.0, 450.0))
    colorizer.predict(portrait, dabs(many))
    before = colorizer.predict(portrait, dabs(many))
    asked = []
    monkeypatch.setattr(colorizer, "_encoded", lambda *arguments: asked.append(arguments))
    after = colorizer.predict(portrait, dabs(many), Options(saturation=0.5))
    assert not asked
    assert [detail.window for detail in after.details] == [detail.window for detail in before.details]


def test_a_short_stroke_on_a_large_thing_means_the_large_thing(colorizer: Colorizer, portrait: Embedding) -> None:
    prediction = colorizer.predict(portrait, dabs(((130.0, 400.0),)))
    assert prediction.details == ()
    moved = (prediction.ab - colorizer.predict(portrait).ab).norm(dim=0) > 10
    assert 0.05 < moved.float().mean() < 0.4


def test_the_option_saturation_leaves_a_small_hint_its_colour(colorizer: Colorizer, portrait: Embedding) -> None:
    prediction = colorizer.predict(portrait, dabs(IRISES), Options(saturation=0.0))
    x, y = (int(round(place * SCALE)) for place in IRISES[0])
    colour = rendered(colorizer, portrait, prediction)[y : y + 1, x - 3 : x + 4]
    assert np.median(np.linalg.norm(rgb2lab(colour)[..., 1:], axis=-1)) > 10


def stroke(*places: tuple[int, int], grid: tuple[int, int]) -> Stroke:
    cells = np.sort(np.ravel_multi_index(np.array(places).T, grid))
    return Stroke(cells, np.zeros((2, len(cells)), np.float32), np.ones(len(cells), np.float32))


def test_windows_lie_within_the_photograph() -> None:
    grid, photograph = (100, 128), (3000, 3840)
    for place in [(0, 0), (0, 127), (99, 0), (99, 127), (50, 60)]:
        window = window_around(stroke(place, grid=grid), grid, photograph)
        assert window is not None
        assert window.width == window.height >= SMALLEST
        assert 0 <= window.x <= window.x + window.width <= photograph[1]
        assert 0 <= window.y <= window.y + window.height <= photograph[0]
        x, y = (place[1] + 0.5) * 30, (place[0] + 0.5) * 30
        assert window.x <= x <= window.x + window.width
        assert window.y <= y <= window.y + window.height


def test_long_strokes_and_small_photographs_have_no_window() -> None:
    grid = (100, 128)
    assert window_around(stroke((50, 10), (50, 20), grid=grid), grid, (3000, 3840)) is None
    for photograph in [(100, 128), (200, 256), (300, 384)]:  # the whole picture shows them as they are, or nearly
        assert window_around(stroke((50, 10), grid=grid), grid, photograph) is None
