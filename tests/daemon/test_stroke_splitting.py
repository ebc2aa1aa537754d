"""A hint layer falls into strokes, each by itself."""

import numpy as np
from colorize_engine import strokes
from colorize_engine.hints import HintGrid
from colorize_engine.strokes import split

RED, BLUE, PINK = (60.0, 40.0), (10.0, -50.0), (58.0, 38.0)


def grid(*painted: tuple[tuple[slice, slice], tuple[float, float]], shape: tuple[int, int] = (40, 50)) -> HintGrid:
    ab, coverage = np.zeros((2, *shape), np.float32), np.zeros(shape, np.float32)
    for place, colour in painted:
        ab[:, *place], coverage[place] = np.array(colour)[:, None, None], 1.0
    return HintGrid(ab, coverage)


def test_no_paint_is_no_stroke() -> None:
    assert split(grid()) == []


def test_strokes_are_told_apart_by_place_and_by_colour() -> None:
    found = split(grid((np.s_[5:7, 5:20], RED), (np.s_[5:7, 20:30], BLUE), (np.s_[30:32, 5:20], RED)))
    assert [len(stroke.cells) for stroke in found] == [30, 20, 30]
    assert [tuple(stroke.ab[:, 0]) for stroke in found] == [RED, BLUE, RED]


def test_dabs_of_one_colour_are_one_stroke_and_a_little_change_of_colour_is_none() -> None:
    assert len(split(grid((np.s_[5:7, 5:8], RED), (np.s_[5:7, 9:12], RED)))) == 1
    assert len(split(grid((np.s_[5:7, 5:8], RED), (np.s_[5:7, 8:12], PINK)))) == 1
    assert len(split(grid((np.s_[5:7, 5:8], RED), (np.s_[5:7, 11:14], RED)))) == 2


def test_a_stroke_is_the_same_stroke_whatever_lies_elsewhere() -> None:
    alone = split(grid((np.s_[20:22, 5:20], RED)))
    among = split(grid((np.s_[20:22, 5:20], RED), (np.s_[2:4, 2:9], BLUE), (np.s_[35:37, 30:40], RED)))
    assert alone[0].key in [stroke.key for stroke in among]
    assert len({stroke.key for stroke in among}) == 3


def test_a_winding_stroke_hangs_together() -> None:
    ab, coverage = np.zeros((2, 40, 50), np.float32), np.zeros((40, 50), np.float32)
    for row in range(0, 36, 4):
        coverage[row, 2:48] = 1
        coverage[row : row + 5, 47 if row % 8 == 0 else 2] = 1
    ab[:, coverage > 0] = np.array(RED)[:, None]
    assert len(split(HintGrid(ab, coverage))) == 1


def test_a_layer_full_of_colours_is_taken_together() -> None:
    noise = np.random.default_rng(0).normal(0, 40, (2, 128, 128)).astype(np.float32)
    found = split(HintGrid(noise, np.ones((128, 128), np.float32)))
    assert 1 < len(found) <= strokes.MOST
    assert np.array_equal(np.sort(np.concatenate([stroke.cells for stroke in found])), np.arange(128 * 128))


def test_any_grid() -> None:
    for shape in [(1, 1), (1, 70), (2, 1), (3, 3)]:
        assert len(split(grid((np.s_[:, :], RED), shape=shape))) == 1
