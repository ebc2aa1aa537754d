from dataclasses import replace

import numpy as np
from colorize_engine.colour.conversions import srgb_to_lab
from colorize_training.hint_simulation import Hint, HintSettings, draw_hint, draw_hints, rasterize, recolour_region

SETTINGS = HintSettings()


def true_ab(rgb: np.ndarray) -> np.ndarray:
    import torch

    planes = torch.from_numpy(rgb[::4, ::4].transpose(2, 0, 1).copy()).float() / 255
    return srgb_to_lab(planes)[1:].numpy()


def test_strokes_stay_on_what_they_started_on(photograph) -> None:
    ab = true_ab(photograph("coffee").rgb)
    strokes = replace(SETTINGS, share_strokes=1.0, share_noisy=0.0)
    for seed in range(50):
        hint = draw_hint(ab, np.random.default_rng(seed), strokes)
        colours = ab[:, hint.cells[:, 0], hint.cells[:, 1]]
        assert np.ptp(colours, axis=1).max() <= 2 * SETTINGS.same_colour
        assert np.allclose(hint.ab, colours.mean(1))


def test_a_quarter_of_the_pictures_has_none_and_counts_reach_far(photograph) -> None:
    ab = true_ab(photograph("rocket").rgb)
    counts = np.array([len(draw_hints(ab, np.random.default_rng(s), SETTINGS)) for s in range(400)])
    assert 0.18 < (counts == 0).mean() < 0.32
    assert counts.max() > 60
    assert 3 < np.median(counts[counts > 0]) < 15


def test_later_hints_lie_on_top_and_nothing_else_is_covered() -> None:
    below = Hint(np.array([[1, 1], [1, 2]]), np.array([1.0, 1.0]), np.array([10.0, 20.0]))
    above = Hint(np.array([[1, 2]]), np.array([0.5]), np.array([-30.0, 5.0]))
    planes = rasterize([below, above], 4, 5)
    assert planes.shape == (3, 4, 5)
    assert planes[:, 1, 1].tolist() == [10, 20, 1]
    assert planes[:, 1, 2].tolist() == [-30, 5, 0.5]
    assert (planes[2] > 0).sum() == 2
    assert np.abs(planes[:2]).sum() == 65


def test_a_recoloured_region_changes_alone(photograph) -> None:
    ab = true_ab(photograph("coffee").rgb)
    results = [recolour_region(ab, np.random.default_rng(seed), SETTINGS) for seed in range(40)]
    found = [(changed - ab, cells) for changed, cells in results if len(cells)]
    assert len(found) > 5
    for change, cells in found:
        mask = np.zeros(ab.shape[1:], bool)
        mask[tuple(cells.T)] = True
        assert SETTINGS.smallest_thing <= mask.mean() <= SETTINGS.largest_thing
        moved = np.linalg.norm(change, axis=0)
        assert (moved[~mask] == 0).all()
        assert np.allclose(moved[mask], moved[mask][0], atol=1e-3)
        assert SETTINGS.least_change - 0.1 <= moved[mask][0] <= SETTINGS.most_change + 0.1


def test_a_gray_region_is_gray_and_its_hint_says_so(photograph) -> None:
    ab = true_ab(photograph("coffee").rgb)
    gray = replace(SETTINGS, share_grey=1.0, share_strokes=1.0, share_noisy=0.0)
    results = [(rng := np.random.default_rng(seed), *recolour_region(ab, rng, gray)) for seed in range(20)]
    found = [(rng, changed, cells) for rng, changed, cells in results if len(cells)]
    assert len(found) > 2
    for rng, changed, cells in found:
        assert not changed[:, cells[:, 0], cells[:, 1]].any()
        assert np.allclose(draw_hint(changed, rng, gray, cells[0]).ab, 0, atol=SETTINGS.same_colour)


def test_a_circle_shows_all_the_colours_it_covers_and_a_whole_region_one(photograph) -> None:
    ab = true_ab(photograph("coffee").rgb)
    circles = replace(SETTINGS, share_strokes=0.0, share_circles=1.0)
    regions = replace(SETTINGS, share_strokes=0.0, share_whole=1.0, share_noisy=0.0)
    for seed in range(10):
        circle = draw_hint(ab, np.random.default_rng(seed), circles)
        planes = rasterize([circle], *ab.shape[1:])
        covered = planes[2] > 0
        assert 0.005 < covered.mean() < 0.09
        assert np.allclose(planes[:2, covered], ab[:, covered])
        region = draw_hint(ab, np.random.default_rng(seed), regions)
        colours = ab[:, region.cells[:, 0], region.cells[:, 1]]
        assert np.allclose(region.ab, colours.mean(1), atol=1e-3)
        assert np.linalg.norm(colours - ab[:, *region.cells[0]][:, None], axis=0).max() <= 2 * SETTINGS.same_colour
