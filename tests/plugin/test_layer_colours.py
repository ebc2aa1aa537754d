"""What the colours of a layer say: strokes or a photograph's own pixels, in colour or toned, and dabs to take over."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import palette
import pytest
from skimage.color import rgb2lab
from skimage.transform import resize

SIZE = (300, 200)
LONGEST = 48


def strips(rgba: np.ndarray) -> list[bytes]:
    return [rgba[y : y + 64].tobytes() for y in range(0, len(rgba), 64)]


def empty() -> np.ndarray:
    return np.zeros((*SIZE, 4), np.uint8)


def brushed(layer: np.ndarray, colour: tuple[int, int, int], rows: slice, columns: slice) -> None:
    """A stroke whose edges are soft, as a brush's are."""
    layer[rows, columns, :3] = colour
    layer[rows, columns, 3] = 255
    layer[rows.start, columns, 3] = 90
    layer[rows.stop - 1, columns, 3] = 40


def samples(rgb: np.ndarray) -> tuple[int, int, list[palette.Sample]]:
    """A small picture of a photograph, as GIMP gives it."""
    scale = LONGEST / max(rgb.shape)
    height, width = (round(scale * side) for side in rgb.shape[:2])
    small = resize(rgb, (height, width), anti_aliasing=True)
    return width, height, [tuple(value) for value in rgb2lab(small).reshape(-1, 3).tolist()]


def toned(gray: np.ndarray, dark: tuple[int, ...], middle: tuple[int, ...], light: tuple[int, ...]) -> np.ndarray:
    channels = [np.interp(gray, [0, 128, 255], values) for values in zip(dark, middle, light, strict=True)]
    return np.stack(channels, -1).astype(np.uint8)


def test_strokes_of_a_few_colours_are_seen() -> None:
    layer = empty()
    for number, colour in enumerate([(200, 60, 30), (40, 80, 200), (128, 128, 128)]):
        brushed(layer, colour, slice(20 + 60 * number, 34 + 60 * number), slice(30, 120))
    assert palette.is_painted(strips(layer))


@pytest.mark.parametrize("colour", [(128, 128, 128), (250, 250, 250)])
def test_gray_alone_is_retouching(colour: tuple[int, int, int]) -> None:
    layer = empty()
    brushed(layer, colour, slice(20, 40), slice(30, 120))
    assert not palette.is_painted(strips(layer))


def test_an_empty_layer_and_one_that_is_full_hold_no_strokes() -> None:
    assert not palette.is_painted(strips(empty()))
    layer = empty()
    layer[:] = (200, 60, 30, 255)
    assert not palette.is_painted(strips(layer))


def test_a_patch_of_a_toned_photograph_is_no_stroke(photograph: Callable) -> None:
    sepia = toned(photograph("chelsea").gray, (30, 15, 8), (160, 125, 85), (250, 235, 200))
    layer = np.dstack([sepia, np.zeros(sepia.shape[:2], np.uint8)])
    layer[50:120, 60:200, 3] = 255
    assert not palette.is_painted(strips(layer))


def test_a_colour_picked_from_a_toned_photograph_is_no_stroke(photograph: Callable) -> None:
    sepia = toned(photograph("chelsea").gray, (30, 15, 8), (160, 125, 85), (250, 235, 200))
    content = sepia[::10, ::10].tobytes()
    layer = empty()
    brushed(layer, tuple(map(int, sepia[100, 200])), slice(20, 40), slice(30, 120))
    assert palette.is_painted(strips(layer))
    assert not palette.is_painted(strips(layer), lambda: content)
    brushed(layer, (40, 80, 200), slice(80, 100), slice(30, 120))
    assert palette.is_painted(strips(layer), lambda: content)


@pytest.mark.parametrize("name", ["chelsea", "coffee", "astronaut", "rocket"])
def test_photographs_in_colour_and_toned_ones(photograph: Callable, name: str) -> None:
    found = photograph(name)
    assert palette.is_colourful(samples(found.rgb)[2])
    for tones in [((30, 15, 8), (160, 125, 85), (250, 235, 200)), ((10, 20, 50), (110, 130, 150), (240, 245, 255))]:
        assert not palette.is_colourful(samples(toned(found.gray, *tones))[2])


def test_dabs_have_the_colours_of_their_places(photograph: Callable) -> None:
    rgb = photograph("coffee").rgb
    width, height, seen = samples(rgb)
    dabs = palette.dabs(width, height, seen)
    assert 20 < len(dabs) <= (width // palette.CELL) * (height // palette.CELL)
    lab = rgb2lab(resize(rgb, (height, width), anti_aliasing=True))
    for dab in dabs:
        half = palette.CELL // 2
        rows, columns = (slice(int(at) - half, int(at) + half) for at in (dab.y, dab.x))
        assert np.abs(lab[rows, columns].mean((0, 1)) - dab.lab).max() < 1e-6


def test_tiny_pictures_have_no_dabs() -> None:
    assert palette.dabs(1, 1, [(50.0, 0.0, 0.0)]) == []
