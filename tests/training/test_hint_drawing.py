"""Hints that are drawn to learn from: where they lie and what they ask for; a picture's own seed decides it all."""

from pathlib import Path

import numpy as np
import pytest
import torch
from colorize_engine.colour.conversions import srgb_to_lab
from colorize_training.chances import Chances
from colorize_training.data import PackedPhotographs, ResidentPhotographs, pack, planes, squash
from colorize_training.degradation import degrade
from colorize_training.hint_drawing import (
    CANDIDATES,
    THINGS,
    Hints,
    HintSettings,
    choose_things,
    draw_hints,
    draw_strokes,
)
from colorize_training.recipes.chroma import Batch, ChromaRecipe, ChromaSettings
from PIL import Image
from torch.nn import functional as F

SETTINGS = HintSettings()
SIDE = 64
COUNT = 192


@pytest.fixture(scope="module")
def with_things(picture_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> PackedPhotographs:
    """The photographs; over the whole ones somebody drew a grid of nine unlike fields, and left a rim."""
    folder = tmp_path_factory.mktemp("things")
    for path in picture_folder.iterdir():
        image = Image.open(path)
        image.convert("RGB").save(folder / f"{path.stem}.jpg", quality=95)
        if "whole" in path.stem:
            width, height = image.size
            ys, xs = np.mgrid[:height, :width]
            fields = 1 + 3 * (3 * ys // height) + 3 * xs // width
            fields[: height // 12] = 0
            Image.fromarray(fields.astype(np.uint8)).save(folder / path.name)
    return pack([folder], tmp_path_factory.mktemp("cache"), 96, regions=True)


@pytest.fixture(scope="module")
def recipe() -> ChromaRecipe:
    return ChromaRecipe(ChromaSettings())


@pytest.fixture(scope="module")
def resident(with_things: PackedPhotographs) -> ResidentPhotographs:
    return ResidentPhotographs(with_things, torch.device("cpu"))


@pytest.fixture(scope="module")
def drawn(recipe: ChromaRecipe, resident: ResidentPhotographs) -> Batch:
    return recipe.batch(resident, np.arange(COUNT) % len(resident), torch.arange(COUNT), SIDE)


def covered(hints: Hints) -> torch.Tensor:
    return hints.planes[:, 2] > 0


def share(flags: torch.Tensor) -> float:
    return float(flags.float().mean())


@pytest.mark.parametrize("middle", [False, True], ids=["walk", "line"])
def test_strokes_stay_within_their_thing_and_every_thing_has_one(middle: bool) -> None:
    ys, xs = torch.meshgrid(torch.arange(40), torch.arange(48), indexing="ij")
    ring = ((ys - 20) ** 2 + (xs - 20) ** 2 - 150).abs() < 60
    single, nothing = (ys == 39) & (xs == 47), torch.zeros(40, 48, dtype=torch.bool)
    masks = torch.stack([ring, single, nothing, ~ring]).expand(50, -1, -1, -1)
    strokes = draw_strokes(masks, torch.full((50, 4), middle), Chances(torch.arange(50)), SETTINGS)
    assert not (strokes & ~masks).any()
    areas = strokes.sum((2, 3)).float()
    assert (areas[:, [0, 3]] > 0).all()
    assert (areas[:, 1] == 1).all()
    assert not areas[:, 2].any()
    assert areas[:, 0].min() == 1  # a point
    assert areas[:, 0].max() > 30  # and a stroke


def test_a_line_goes_through_the_middle_of_its_thing_to_near_its_border() -> None:
    ys, xs = torch.meshgrid(torch.arange(40), torch.arange(48), indexing="ij")
    disc = (ys - 22) ** 2 + (xs - 25) ** 2 < 12**2
    handle = ((ys - 22).abs() < 2) & (xs < 25)  # thin: no place to begin
    masks = (disc | handle).expand(200, 1, -1, -1)
    lines = draw_strokes(masks, torch.full((200, 1), True), Chances(torch.arange(200)), SETTINGS)[:, 0]
    beside = torch.maximum((ys - 22).abs(), (xs - 25).abs())
    assert torch.stack([beside[line].min() <= 2 for line in lines]).all()
    widths = torch.stack([xs[line].max() - xs[line].min() for line in lines])
    level = torch.stack([ys[line].max() - ys[line].min() < 9 for line in lines])
    assert 0.4 < level.float().mean() < 0.75
    assert widths[level].float().mean() > 12


def test_the_strokes_of_one_thing_have_its_colour_and_lie_in_its_reach(drawn: Batch) -> None:
    one = drawn.one
    assert share(one.known) > 0.8
    assert not (covered(one) & ~one.reach).any()
    assert torch.equal(covered(one).flatten(1).any(1), one.known)
    assert not ((one.planes[:, 3] > 0) & (one.reach | covered(one))).any()
    assert not one.planes[~one.known].any()  # without a thing nothing is said
    for shown, ab, reach in zip(one.planes[one.known], one.ab[one.known], one.reach[one.known], strict=True):
        colours = shown[:2, shown[2] > 0].T.unique(dim=0)  # one for each stroke
        assert 1 <= len(colours) <= 3
        apart = torch.cdist(colours, ab[:, reach].T).amin(1)
        assert (apart < 4 * SETTINGS.noise + SETTINGS.same_colour).all()


def test_the_truth_has_changed_in_the_reach_alone(drawn: Batch) -> None:
    for hints in (drawn.one, drawn.several):
        moved = (hints.ab - drawn.ab).norm(dim=1) > 0
        assert not (moved & ~hints.reach).any()
        some = hints.reach.flatten(1).any(1)
        assert 0.4 < share(moved.flatten(1).any(1)[some]) < 0.98
    gray = (drawn.one.ab - drawn.ab).norm(dim=1).amax((1, 2)) > 0
    mean = (drawn.one.ab * drawn.one.reach[:, None]).sum((2, 3)) / drawn.one.reach.sum((1, 2)).clamp_min(1)[:, None]
    assert 0.02 < share(mean[gray].norm(dim=1) < 1.0) < 0.25


def test_alike_means_everything_of_the_colour_and_nothing_else_is_wider_than_its_thing(
    recipe: ChromaRecipe, resident: ResidentPhotographs, drawn: Batch
) -> None:
    like = drawn.one.planes[:, 4]
    assert ((like == 0) | (like == 1)).all()
    assert torch.equal(like.amin((1, 2)), like.amax((1, 2)))
    said = like.amax((1, 2)) > 0
    assert 0.02 < share(said) < 0.16
    numbers = torch.arange(COUNT) % len(resident)
    cut = recipe.cut(resident, numbers, Chances(torch.arange(COUNT)), SIDE)
    apart = choose_things(cut.drawn, cut.regions, Chances(torch.arange(COUNT)), SETTINGS)
    assert not (apart.sum(1) > 1).any()
    areas = drawn.one.reach.float().mean((1, 2))[drawn.one.known & ~said]
    assert areas.min() > 0.001
    assert areas.max() < SETTINGS.largest_thing


def test_shares_are_as_asked(drawn: Batch) -> None:
    against = (drawn.one.planes[:, 3] > 0).flatten(1).any(1)
    assert SETTINGS.share_against - 0.1 < share(against[drawn.one.known]) < SETTINGS.share_against + 0.1
    assert 0.15 < share(drawn.several.known) < 0.5
    cells = covered(drawn.several).sum((1, 2))
    assert cells.max() > 80
    assert 2 < cells.median() < 80
    partly = (drawn.one.planes[:, 2] > 0) & (drawn.one.planes[:, 2] < 1)
    assert 0.1 < share(partly.flatten(1).any(1)[drawn.one.known]) < 0.5


def test_several_things_have_strokes_of_their_colours_and_points_true_ones(drawn: Batch) -> None:
    several = drawn.several
    known = several.known
    assert not several.planes[:, 3:].any()
    assert not (covered(several) & ~several.reach)[known].any()
    only_points = ~several.reach.flatten(1).any(1)
    assert 0.3 < share(only_points) < 0.8
    assert torch.equal(several.ab[only_points], drawn.ab[only_points])
    apart = (several.planes[:, :2] - several.ab).norm(dim=1)[only_points & covered(several).flatten(1).any(1)]
    assert apart[several.planes[:, 2][only_points & covered(several).flatten(1).any(1)] > 0].median() < 3


def test_things_are_the_drawn_ones_unless_there_are_none() -> None:
    chances = Chances(torch.arange(400))
    halves, drawn = torch.zeros(2, 32, 32, dtype=torch.uint8), torch.zeros(CANDIDATES, 32, 32, dtype=torch.bool)
    halves[:, 16:], drawn[:, 4:12, 4:12] = 1, True
    halves, drawn = (planes.expand(400, -1, -1, -1) for planes in (halves, drawn))
    things = choose_things(drawn, halves, chances, SETTINGS)
    own = (things[:, 0] == drawn[:, 0]).flatten(1).all(1)
    assert abs(share(own) - (1 - SETTINGS.share_found)) < 0.08
    assert (things[~own, 0].float().mean((1, 2)) == 0.5).all()
    nothing = choose_things(torch.zeros_like(drawn), halves, chances, SETTINGS)
    assert (nothing[:, 0].float().mean((1, 2)) == 0.5).all()


def test_without_a_thing_of_a_fitting_size_nothing_is_said() -> None:
    whole, none = torch.zeros(4, 3, 32, 32, dtype=torch.uint8), torch.zeros(4, CANDIDATES, 32, 32, dtype=torch.bool)
    things = choose_things(none, whole, Chances(torch.arange(4)), SETTINGS)
    assert things.shape == (4, THINGS, 32, 32)
    assert not things.any()
    assert not draw_hints(torch.zeros(4, 2, 32, 32), none, whole, Chances(torch.arange(4)), SETTINGS)[0].planes.any()


def test_a_picture_is_drawn_alike_in_any_batch(
    recipe: ChromaRecipe, resident: ResidentPhotographs, drawn: Batch
) -> None:
    some = np.arange(40, 47)
    part = recipe.batch(resident, some % len(resident), torch.from_numpy(some), SIDE)
    assert torch.equal(part.lightness, drawn.lightness[40:47])
    for own, whole in zip((*part.one, *part.several), (*drawn.one, *drawn.several), strict=True):
        assert torch.equal(own, whole[40:47])


def test_validation_sees_the_photograph_itself(recipe: ChromaRecipe, resident: ResidentPhotographs) -> None:
    drawn = recipe.batch(resident, np.array([3, 5]), torch.tensor([5, 5]), SIDE, augment=False)
    for lightness, ab, number in zip(drawn.lightness, drawn.ab, (3, 5), strict=True):
        lab = srgb_to_lab(planes(squash(resident.packed[number], SIDE)))
        assert (lightness - lab[:1]).abs().max() < 1
        assert (ab - F.avg_pool2d(lab[1:], 2)).abs().mean() < 0.5


def test_drawn_things_are_seen_as_often_as_asked(with_things: PackedPhotographs) -> None:
    few = with_things.subset([*np.setdiff1d(np.arange(12), with_things.with_things()), with_things.with_things()[0]])
    assert len(few.with_things()) == 1
    resident = ResidentPhotographs(few, torch.device("cpu"))
    for asked, expected in ((0.0, 1 / 9), (0.5, 0.5)):
        recipe = ChromaRecipe(ChromaSettings(drawn_share=asked))
        cut = recipe.cut(resident, torch.arange(360) % 9, Chances(torch.arange(360)), 32)
        assert abs(share(cut.drawn.flatten(1).any(1)) - expected) < 0.1


def test_chances_are_even_and_of_each_sample_alone() -> None:
    chances = Chances(torch.tensor([1, 2, 2**62, 2]))
    first, normal = chances.uniform(20_000), chances.normal(20_000)
    assert torch.equal(first[1], first[3])
    assert not torch.equal(first[0], first[1])
    assert first.min() >= 0
    assert first.max() < 1
    for row in first:
        assert (torch.histc(row, 10, 0, 1) / 20_000 - 0.1).abs().max() < 0.01
        assert abs(np.corrcoef(row[:-1], row[1:])[0, 1]) < 0.03
    assert normal.mean(1).abs().max() < 0.03
    assert (normal.std(1) - 1).abs().max() < 0.03
    assert torch.equal(Chances(torch.tensor([2**62])).uniform(7), Chances(torch.tensor([3, 2**62])).uniform(7)[1:])


def test_age_leaves_a_share_as_it_was() -> None:
    lightness = torch.linspace(0, 100, 32 * 32).view(1, 1, 32, 32).expand(300, -1, -1, -1)
    aged = degrade(lightness, Chances(torch.arange(300)), 0.4)
    assert 0.2 < share((aged == lightness).flatten(1).all(1)) < 0.4  # 0.8 * 0.6 * 0.6
    assert aged.min() >= 0
    assert aged.max() <= 100
    assert torch.equal(degrade(lightness, Chances(torch.arange(300)), 0.0), lightness)
