"""Lifting chroma to full size on real photographs, without a seam."""

import numpy as np
import pytest
import torch
from colorize_engine.colour import conversions
from colorize_engine.guided_lift import GuidedLift
from skimage import data
from torch import Tensor, nn

PHOTOGRAPHS = ["astronaut", "coffee", "chelsea", "rocket", "retina"]
SHAPES = [(1, 1), (1, 30_000), (30_000, 1), (2, 3), (37, 101), (301, 199)]


def lab_of(name: str, cell: int) -> tuple[Tensor, Tensor]:
    """Lab (3, H, W) of a photograph cut to whole cells, and its mean over each cell (3, h, w)."""
    rgb = torch.from_numpy(getattr(data, name)().astype(np.float32) / 255.0).permute(2, 0, 1)
    height, width = (side // cell * cell for side in rgb.shape[1:])
    lab = conversions.srgb_to_lab(rgb[:, :height, :width])
    return lab, nn.functional.avg_pool2d(lab[None], cell)[0]


def error(found: Tensor, truth: Tensor) -> float:
    return float((found - truth).square().mean().sqrt())


def any_lift(height: int, width: int) -> tuple[GuidedLift, np.ndarray]:
    """A lift from a grid of at most 16 x 24 cells, and a gray plane of the photograph's size."""
    generator = torch.Generator().manual_seed(3)
    cells = (min(height, 16), min(width, 24))
    lightness = torch.rand(cells, generator=generator) * 100.0
    ab = (torch.rand((2, *cells), generator=generator) - 0.5) * 80.0
    gray = torch.randint(0, 256, (height, width), generator=generator).numpy().astype(np.uint8)
    return GuidedLift(lightness, ab, height, width), gray


@pytest.mark.parametrize("cell", [4, 8, 16])
@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_a_photographs_chroma_is_lifted_better_than_by_bilinear_interpolation(name: str, cell: int) -> None:
    lab, low = lab_of(name, cell)
    size = lab.shape[1:]
    lifted = GuidedLift(low[0], low[1:], *size).rows(0, size[0], lab[0])
    bilinear = nn.functional.interpolate(low[None, 1:], size=size, mode="bilinear")[0]
    assert error(lifted, lab[1:]) < 0.99 * error(bilinear, lab[1:])


def test_where_lightness_is_even_the_lift_is_bilinear() -> None:
    ab = torch.rand((2, 9, 7), generator=torch.Generator().manual_seed(0)) * 60.0
    lifted = GuidedLift(torch.full((9, 7), 40.0), ab, 50, 61).rows(0, 50, torch.full((50, 61), 40.0))
    expected = nn.functional.interpolate(ab[None], size=(50, 61), mode="bilinear")[0]
    assert torch.allclose(lifted, expected, atol=1e-3)


def test_a_cell_at_its_own_lightness_has_exactly_the_chroma_it_was_given() -> None:
    _, low = lab_of("astronaut", 8)
    lifted = GuidedLift(low[0], low[1:], *low.shape[1:]).rows(0, low.shape[1], low[0])
    assert torch.allclose(lifted, low[1:], atol=1e-3)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rows", [1, 7, 64])
def test_bands_join_bit_exactly_whatever_their_height(shape: tuple[int, int], rows: int) -> None:
    lift, gray = any_lift(*shape)
    lightness = conversions.gray_to_lightness(gray)
    whole = lift.rows(0, shape[0], lightness)
    starts = range(0, min(shape[0], 20 * rows), rows)
    bands = [lift.rows(y, min(y + rows, shape[0]), lightness[y : y + rows]) for y in starts]
    assert whole.shape == (2, *shape) and torch.isfinite(whole).all()
    joined = torch.cat(bands, dim=1)
    assert torch.equal(joined, whole[:, : joined.shape[1]])


def test_chroma_that_is_no_number_harms_no_other_cell() -> None:
    ab = torch.full((2, 8, 8), 20.0)
    ab[0, 4, 4] = float("nan")
    lifted = GuidedLift(torch.full((8, 8), 50.0), ab, 80, 80).rows(0, 80, torch.full((80, 80), 50.0))
    assert torch.isfinite(lifted).all()
    assert torch.allclose(lifted[:, :20], torch.full((2, 20, 80), 20.0))
