"""Which strokes a selection touches, and what is left without them."""

from __future__ import annotations

import numpy as np
import pytest
import strokes
import tiles

RED, BLUE, DARK_RED = (200, 30, 40, 255), (30, 40, 200, 255), (190, 35, 45, 90)
WIDTH, HEIGHT = 600, 300


def blank() -> np.ndarray:
    """Nothing is painted; there is green under the transparency."""
    return np.full((HEIGHT, WIDTH, 4), (0, 255, 0, 0), np.uint8)


def selected(*places: tuple[slice, slice]) -> bytes:
    weights = np.zeros((HEIGHT, WIDTH), np.uint8)
    for place in places:
        weights[place] = 1  # as soft as can be
    return weights.tobytes()


def cut(picture: np.ndarray) -> strokes.Tiles:
    """As `pixels.hint_tiles` does."""
    places = [place for place in tiles.cut(WIDTH, HEIGHT) if part(picture, place)[..., 3].any()]
    return places, [part(picture, place).tobytes() for place in places]


def part(picture: np.ndarray, place: tiles.Rectangle) -> np.ndarray:
    x, y, w, h = place
    return picture[y : y + h, x : x + w]


def rest(picture: np.ndarray, weights: bytes) -> np.ndarray | None:
    """Alpha (HEIGHT, WIDTH) of what is left."""
    left = strokes.without_touched(*cut(picture), weights, WIDTH)
    if left is None:
        return None
    alpha = np.zeros((HEIGHT, WIDTH), np.uint8)
    for place, data in zip(*left, strict=True):
        part(alpha, place)[:] = np.frombuffer(data, np.uint8).reshape(place[3], place[2], 4)[..., 3]
    return alpha


def test_nothing_painted_or_nothing_touched_is_none() -> None:
    picture = blank()
    assert rest(picture, selected(np.s_[:, :])) is None
    picture[10:20, 10:20] = RED
    assert rest(picture, selected(np.s_[30:, :])) is None


def test_a_touched_stroke_goes_whole_across_tiles_and_the_others_stay() -> None:
    picture = blank()
    picture[250:260, 100:550] = RED  # over three columns of tiles, and two rows of them
    picture[100:110, 10:40] = picture[290:, 560:] = RED
    alpha = rest(picture, selected(np.s_[255:258, 540:545]))
    expected = picture[..., 3].copy()
    expected[250:260, 100:550] = 0
    assert alpha is not None
    assert np.array_equal(alpha, expected)


def test_tiles_without_paint_are_left_out() -> None:
    picture = blank()
    picture[10:20, 10:20], picture[10:20, 400:410] = RED, BLUE
    left = strokes.without_touched(*cut(picture), selected(np.s_[10, 10]), WIDTH)
    assert left is not None
    assert left[0] == [(256, 0, 256, 256)]


def test_what_touches_in_another_colour_is_another_stroke() -> None:
    picture = blank()
    picture[50:80, 50:80], picture[50:80, 80:120] = RED, BLUE  # side by side
    picture[80:100, 50:80] = BLUE  # below, and touching the other blue in a corner only
    alpha = rest(picture, selected(np.s_[50:55, 50:55]))
    assert alpha is not None
    assert np.array_equal(alpha > 0, (picture[..., 2] == 200) & (picture[..., 3] > 0))
    assert np.array_equal(rest(picture, selected(np.s_[99, 50])) > 0, picture[..., 0] == 200)


def test_fading_edges_and_close_colours_are_of_the_stroke() -> None:
    picture = blank()
    picture[50:80, 50:80], picture[49, 50:80], picture[50:80, 80:90] = RED, DARK_RED, DARK_RED
    picture[48, 49] = RED  # a corner on the edge
    alpha = rest(picture, selected(np.s_[60, 60]))
    assert alpha is not None
    assert not alpha.any()


def test_arms_that_meet_below_are_one_stroke() -> None:
    picture = blank()
    for column in range(20, 500, 10):
        picture[20:100, column : column + 4] = RED
    picture[100:104, 20:500] = RED
    alpha = rest(picture, selected(np.s_[20, 490]))
    assert alpha is not None
    assert not alpha.any()


@pytest.mark.parametrize("seed", range(3))
def test_as_a_flood_would_find_them(seed: int) -> None:
    """Random blots of two colours, against a plain flood fill."""
    dice = np.random.default_rng(seed)
    picture = blank()
    kinds = dice.choice(3, (40, 50), p=[0.5, 0.25, 0.25])
    for kind, colour in ((1, RED), (2, BLUE)):
        picture[240:280, 240:290][kinds == kind] = colour
    weights = selected(np.s_[250:252, 250:270])
    flooded = np.zeros_like(kinds, bool)
    waiting = [(y, x) for y in (10, 11) for x in range(10, 30) if kinds[y, x]]
    while waiting:
        y, x = waiting.pop()
        if flooded[y, x]:
            continue
        flooded[y, x] = True
        for v in range(max(y - 1, 0), min(y + 2, 40)):
            waiting += [(v, u) for u in range(max(x - 1, 0), min(x + 2, 50)) if kinds[v, u] == kinds[y, x]]
    alpha = rest(picture, weights)
    assert alpha is not None
    assert np.array_equal(alpha[240:280, 240:290] > 0, (kinds > 0) & ~flooded)
