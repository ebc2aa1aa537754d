"""Flat margins: what is drawn around photographs is found and stays neutral, what belongs to them is left alone."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from colorize_client import HintTiles
from colorize_engine import weights
from colorize_engine.colorizer import Colorizer, Embedding
from colorize_engine.colour.conversions import gray_to_lightness
from colorize_engine.margins import flat_margins
from colorize_engine.network_input import NetworkInput, reduce_gray
from skimage.color import rgb2lab
from skimage.transform import rotate

SIDE = 256
WIDTHS = {"top": 40, "bottom": 70, "left": 50, "right": 30}  # of margins, in pixels of the photograph
RED = (200, 60, 30)


def found(gray: np.ndarray) -> np.ndarray:
    """Share of flat margin in the network's picture."""
    size = NetworkInput.fit(*gray.shape, SIDE, 32)
    levels = (reduce_gray(gray, size.height, size.width)[0, 0] * 65535).round().numpy().astype(np.uint16)
    return flat_margins(gray_to_lightness(levels).numpy())


def framed(
    gray: np.ndarray, level: int, sides: tuple[str, ...] = tuple(WIDTHS), degrees: float = 0, noise: float = 2
) -> tuple[np.ndarray, np.ndarray]:
    """A photograph with margins as a scanner sees them, uneven by 4 levels, and a mask (H, W), 1 on the photograph."""
    top, bottom, left, right = (WIDTHS[side] if side in sides else 0 for side in WIDTHS)
    padding = ((top, bottom), (left, right))
    around = np.pad(gray.astype(float), padding, constant_values=level)
    mask = np.pad(np.ones(gray.shape), padding)
    if degrees:
        around, mask = rotate(around, degrees, cval=level), rotate(mask, degrees)
    uneven = np.linspace(-2, 2, around.shape[1]) * (1 - mask)
    grain = np.random.default_rng(0).normal(0, noise, around.shape)
    return (around + uneven + grain).round().clip(0, 255).astype(np.uint8), mask


def shares(gray: np.ndarray, mask: np.ndarray) -> tuple[float, float]:
    """How much of the margin is found, and how much of the photograph is taken for it; not at their edge."""
    share = found(gray)
    inside = reduce_gray(np.uint8(mask.round() * 255), *share.shape)[0, 0].numpy()
    return float(share[inside == 0].mean()), float(share[inside == 1].mean())


def write(gray: np.ndarray, y: int, x: int, ink: int) -> None:
    """Something like a line of letters, 18 pixels high and 200 wide."""
    letters = np.random.default_rng(1).random((6, 50)) < 0.5
    gray[y : y + 18, x : x + 200][np.kron(letters, np.ones((3, 4))) > 0] = ink


@pytest.mark.parametrize("degrees", [0, 1.4, -0.6])
@pytest.mark.parametrize("level", [255, 235, 200, 128, 40, 0])
@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee"])
def test_margins_around_are_found_to_their_edge(photograph, name: str, level: int, degrees: float) -> None:
    margin, inside = shares(*framed(photograph(name).gray, level, degrees=degrees))
    assert margin > 0.99
    assert inside < 0.005


def test_a_sky_as_light_as_the_mount_is_left_alone_and_the_other_margins_found(photograph) -> None:
    gray, mask = framed(photograph("rocket").gray, 40)
    share = found(gray)
    inside = reduce_gray(np.uint8(mask * 255), *share.shape)[0, 0].numpy()
    assert share[inside == 1].mean() < 0.005
    assert share[-20:].mean() > 0.99
    assert share[:, :10].mean() > 0.99


@pytest.mark.parametrize("sides", [("top", "bottom"), ("left", "right"), ("top", "left"), ("top", "left", "right")])
def test_margins_of_some_sides_are_found(any_photograph, sides: tuple[str, ...]) -> None:
    margin, photograph = shares(*framed(any_photograph.gray, 215, sides))
    assert margin > 0.99
    assert photograph < 0.005


@pytest.mark.parametrize("sides", [tuple(WIDTHS), ("bottom",)])
def test_a_caption_belongs_to_its_margin(photograph, sides: tuple[str, ...]) -> None:
    gray, mask = framed(photograph("coffee").gray, 228, sides, noise=1)
    write(gray, len(gray) - 45, 180, 90)
    margin, inside = shares(gray, mask)
    assert margin > 0.99
    assert inside < 0.005


def test_margins_lie_within_margins(photograph) -> None:
    print_with_border, _ = framed(photograph("astronaut").gray, 238, noise=0)
    on_the_bed, _ = framed(print_with_border, 20, degrees=1)
    whole = np.pad(np.ones((512, 512)), ((80, 140), (100, 60)))
    margin, inside = shares(on_the_bed, rotate(whole, 1))
    assert margin > 0.99
    assert inside < 0.005


@pytest.mark.parametrize("turn", [np.asarray, np.flipud, np.rot90, lambda gray: np.rot90(gray, 3)])
def test_a_photograph_has_none(any_photograph, turn: Callable[[np.ndarray], np.ndarray]) -> None:
    assert not found(turn(any_photograph.gray)).any()


def landscape(above: float, below: float) -> np.ndarray:
    """A sky with a drift over rough ground, and between them a straight sharp horizon."""
    gray = np.random.default_rng(2).normal(90, 25, (400, 600))
    gray[:160] = np.linspace(above, below, 160)[:, None]
    return (gray + np.random.default_rng(3).normal(0, 1, gray.shape)).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(("above", "below"), [(180, 235), (225, 232), (245, 245), (30, 30)])
def test_a_sky_over_a_straight_horizon_is_none(above: float, below: float) -> None:
    assert not found(landscape(above, below)).any()


@pytest.mark.parametrize("level", [245, 170, 20])
def test_a_backdrop_is_none(level: int) -> None:
    """It touches all sides at one level; what stands before it has no straight edges."""
    y, x = np.mgrid[-1:1:400j, -1:1:400j]
    gray = np.where((x / 0.5) ** 2 + (y / 0.7) ** 2 < 1, 110 + 40 * np.sin(9 * x + 5 * y), level).astype(np.uint8)
    assert not found(gray).any()


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_blank_picture_has_none(level: int) -> None:
    assert not found(np.full((300, 400), level, np.uint8)).any()


@pytest.mark.parametrize("shape", [(64, 1024), (1024, 64), (64, 64), (63, 400), (32, 32)])
def test_margins_that_leave_nothing_are_none(shape: tuple[int, int]) -> None:
    lightness = np.full(shape, 90, np.float32)
    middle = tuple(slice(side // 2 - 4, side // 2 + 4) for side in shape)
    lightness[middle] = np.random.default_rng(0).uniform(0, 60, (8, 8))
    assert not flat_margins(lightness).any()


@pytest.fixture(scope="module")
def colorizer() -> Colorizer:
    return Colorizer.load(next(record for record in weights.available() if record.default), "cpu")


def as_without(embedding: Embedding) -> Embedding:
    """What the network alone says."""
    return replace(embedding, inside=torch.ones_like(embedding.inside), answers={}, plain={})


def coloured(colorizer: Colorizer, embedding: Embedding, hints: HintTiles | None = None) -> np.ndarray:
    bands = colorizer.render(embedding, colorizer.predict(embedding, hints))
    return np.concatenate([band for _, band in bands])


def stroke(x: int, y: int, width: int, height: int) -> HintTiles:
    return HintTiles([(x, y, width, height)], [bytes((*RED, 255)) * (width * height)])


@pytest.mark.parametrize("level", [235, 128])
def test_margins_stay_neutral_and_the_photograph_bit_for_bit(colorizer: Colorizer, photograph, level: int) -> None:
    gray, mask = framed(photograph("coffee").gray, level, degrees=1)
    embedding = colorizer.set_image(gray)
    before, after = (
        np.linalg.norm(rgb2lab(coloured(colorizer, each))[..., 1:], axis=-1)
        for each in (as_without(embedding), embedding)
    )
    assert before[mask == 0].mean() > 1
    assert after[mask == 0].mean() < 0.1
    kept = embedding.inside == 1
    assert 0.5 < kept.float().mean() < 0.8
    plain, unchanged = colorizer.predict(embedding).ab, colorizer.predict(as_without(embedding)).ab
    assert torch.equal(plain[:, kept], unchanged[:, kept])


def test_without_margins_nothing_changes(colorizer: Colorizer, any_photograph) -> None:
    embedding = colorizer.set_image(any_photograph.gray)
    assert (embedding.inside == 1).all()
    assert torch.equal(colorizer.predict(embedding).ab, colorizer.predict(as_without(embedding)).ab)


def test_a_stroke_on_a_margin_is_obeyed(colorizer: Colorizer, photograph) -> None:
    gray, _ = framed(photograph("coffee").gray, 200)
    painted = coloured(colorizer, colorizer.set_image(gray), stroke(150, 10, 200, 12))
    asked = rgb2lab(np.array(RED, float)[None, None] / 255)[0, 0, 1:]
    ab = np.median(rgb2lab(painted)[12:20, 160:340, 1:], axis=(0, 1))
    assert np.dot(ab, asked) / np.linalg.norm(ab) / np.linalg.norm(asked) > 0.98
    assert np.linalg.norm(ab) > 20


def test_a_stroke_on_the_photograph_means_what_it_meant(colorizer: Colorizer, photograph) -> None:
    gray, _ = framed(photograph("coffee").gray, 235)
    embedding, hints = colorizer.set_image(gray), stroke(300, 120, 80, 10)
    kept = embedding.inside == 1
    with_margins, without = (colorizer.predict(each, hints).ab for each in (embedding, as_without(embedding)))
    assert torch.equal(with_margins[:, kept], without[:, kept])
    assert (with_margins - colorizer.predict(embedding).ab).abs().max() > 10
