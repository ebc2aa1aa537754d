"""Views of photographs that are cut many at once, on the device: as Pillow cuts them one by one."""

from pathlib import Path

import numpy as np
import pytest
import torch
from colorize_training.chances import Chances
from colorize_training.data import PackedPhotographs, ResidentPhotographs, Views, pack
from colorize_training.data.regions import SCALES
from colorize_training.data.things import SMALLEST
from PIL import Image

CPU = torch.device("cpu")
SIZES = [(120, 96), (96, 250), (300, 171)]  # width, height


@pytest.fixture(scope="module")
def unlike(photograph, tmp_path_factory: pytest.TempPathFactory) -> PackedPhotographs:
    """Photographs of several sizes; over the last one somebody drew four fields."""
    folder = tmp_path_factory.mktemp("unlike")
    for name, size in zip(("astronaut", "chelsea", "coffee"), SIZES, strict=True):
        Image.fromarray(photograph(name).rgb).resize(size).save(folder / f"{name}.jpg")
    ys, xs = np.mgrid[: SIZES[2][1], : SIZES[2][0]]
    fields = 1 + 2 * (ys > 70) + (xs > 120)
    Image.fromarray(fields.astype(np.uint8)).save(folder / "coffee.png")
    return pack([folder], tmp_path_factory.mktemp("cache"), 400, regions=True)


@pytest.fixture(scope="module")
def resident(unlike: PackedPhotographs) -> ResidentPhotographs:
    return ResidentPhotographs(unlike, CPU)


def draw(resident: ResidentPhotographs, count: int) -> tuple[torch.Tensor, Views]:
    numbers = torch.arange(count) % len(resident)
    return numbers, Views.draw(resident.heights[numbers], resident.widths[numbers], Chances(torch.arange(count)))


@pytest.mark.parametrize("size", [32, 160, 448])
def test_a_view_is_what_pillow_cuts(unlike: PackedPhotographs, resident: ResidentPhotographs, size: int) -> None:
    numbers, views = draw(resident, 24)
    rgb = resident.pixels(numbers, views, size)
    for number, own, x, y, w, h, mirrored in zip(numbers, rgb, *views, strict=True):
        box = (float(x), float(y), float(x + w), float(y + h))
        image = Image.fromarray(unlike[number]).resize((size, size), Image.Resampling.BILINEAR, box=box)
        expected = np.asarray(image)[:, ::-1] if mirrored else np.asarray(image)
        assert np.abs(own.permute(1, 2, 0).numpy() * 255 - expected).max() < 2  # Pillow rounds twice


def test_things_lie_where_they_lie_in_the_picture(unlike: PackedPhotographs, resident: ResidentPhotographs) -> None:
    numbers, views = draw(resident, 24)
    drawn = resident.drawn(numbers, views, 20, torch.linspace(0, 0.99, 4).expand(24, -1))
    regions = resident.regions(numbers, views, 20)
    assert not drawn[numbers != 2].any()
    for place, number in enumerate(numbers):
        ys, xs = (steps[place] for steps in views.places(20))
        rows, columns = np.ix_((ys / 2).int().clamp(max=unlike[number].shape[0] // 2 - 1), (xs / 2).int())
        assert np.array_equal(regions[place], unlike.regions[number][:, rows, columns])
        if number == 2:
            assert np.array_equal(drawn[place], unlike.things(2)[:, rows, columns])
            assert (drawn[place].sum(0) == 1).all()  # four fields fill it


def test_views_are_drawn_as_the_recipe_says() -> None:
    """The shares, sides and aspects that `Views.draw` states, drawn one by one with another generator."""
    height, width = 176.0, 264.0
    views = Views.draw(torch.full((20_000,), height), torch.full((20_000,), width), Chances(torch.arange(20_000)))
    rng = np.random.default_rng(0)
    expected = []
    for _ in range(20_000):
        share = rng.uniform(0.35, 0.6) if rng.random() < 0.15 else rng.uniform(0.6, 1.0)
        stretch = np.exp(rng.uniform(-0.125, 0.125))
        w, h = min(width, share * height * stretch), min(height, share * height / stretch)
        if rng.random() < 0.25:
            w, h = width, height
        expected.append((rng.uniform(0, width - w), rng.uniform(0, height - h), w, h, rng.random() < 0.5))
    shares = np.linspace(0.02, 0.98, 25)
    for own, other in zip(views, np.array(expected).T, strict=True):
        apart = np.quantile(own.float().numpy(), shares) - np.quantile(other, shares)
        assert np.abs(apart).max() < 0.02 * width


def test_regions_cover_the_photograph_at_three_scales(unlike: PackedPhotographs) -> None:
    counts = []
    for number in range(len(unlike)):
        maps = unlike.regions[number]
        height, width, _ = unlike[number].shape
        assert maps.shape == (len(SCALES), height // 2, width // 2)
        for scale in maps:
            areas = np.bincount(scale.ravel()) / scale.size
            assert areas[areas > 0].min() >= SMALLEST
        counts.append([len(np.unique(scale)) for scale in maps])
    fine, middle, coarse = np.mean(counts, axis=0)
    assert fine > middle > coarse >= 2


def test_regions_are_found_once(picture_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = pack([picture_folder], tmp_path, 48, regions=True)
    monkeypatch.setattr("colorize_training.data.regions.found_regions", None)
    again = pack([picture_folder], tmp_path, 48, regions=True)
    assert np.array_equal(first.regions.values, again.regions.values)
    assert np.array_equal(again.subset([5]).regions[0], first.regions[5])
    assert pack([picture_folder], tmp_path, 48).regions is None
    with pytest.raises(ValueError, match="packed without regions"):
        bare = ResidentPhotographs(pack([picture_folder], tmp_path, 48), CPU)
        bare.regions(*draw(bare, 1), 8)


def test_photographs_on_the_processor_take_no_memory_of_their_own(unlike: PackedPhotographs) -> None:
    pixels = ResidentPhotographs(unlike, CPU)._pixels
    assert pixels.data_ptr() == unlike.pixels.__array_interface__["data"][0]
