"""Spreading residuals: obeyed where painted, as far as the object, not across edges."""

import numpy as np
import pytest
import torch
from colorize_engine import residual_spread
from colorize_engine.colour import conversions
from colorize_engine.residual_spread import spread_residual
from scipy import sparse
from skimage import data
from torch import Tensor, nn

PHOTOGRAPHS = ["astronaut", "coffee", "chelsea", "rocket"]
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def hints(height: int, width: int, *places: tuple[int, int, float, float]) -> tuple[Tensor, Tensor]:
    """Residual (2, h, w) and weight (h, w) of hints (row, column, a, b)."""
    residual, weight = torch.zeros(2, height, width), torch.zeros(height, width)
    for row, column, a, b in places:
        residual[0, row, column], residual[1, row, column], weight[row, column] = a, b, 1.0
    return residual, weight


def scattered(shape: tuple[int, int], count: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(count)
    weight = torch.zeros(shape)
    weight.view(-1)[torch.randperm(weight.numel(), generator=generator)[:count]] = 1.0
    return torch.randn((2, *shape), generator=generator) * 20.0, weight


def solved(residual: Tensor, weight: Tensor, lightness: Tensor) -> np.ndarray:
    """The same equation by a sparse direct solver in float64."""
    height, width = weight.shape
    cells = np.arange(height * width).reshape(height, width)
    pairs = [(cells[:, :-1], cells[:, 1:]), (cells[:-1], cells[1:])]
    first, second = (np.concatenate([pair[side].ravel() for pair in pairs]) for side in (0, 1))
    flat = lightness.double().numpy().ravel()
    conductance = np.exp(-(((flat[first] - flat[second]) / residual_spread.SIGMA) ** 2))
    links = sparse.coo_matrix((conductance, (first, second)), shape=(height * width,) * 2).tocsr()
    links = links + links.T
    data_term = residual_spread.DATA * weight.double().numpy().ravel()
    matrix = sparse.diags(np.asarray(links.sum(axis=1)).ravel() + data_term + residual_spread.SCREENING) - links
    right_side = (data_term * residual.double().numpy().reshape(2, -1)).T
    return sparse.linalg.splu(matrix.tocsc()).solve(right_side).T.reshape(2, height, width)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("shape", [(128, 128), (1, 1), (1, 200), (77, 3), (90, 131)])
def test_no_hints_spread_nothing(device: str, shape: tuple[int, int]) -> None:
    residual = torch.full((2, *shape), 30.0, device=device)
    found = spread_residual(residual, torch.zeros(shape, device=device), torch.zeros(shape, device=device))
    assert found.shape == residual.shape and not found.any()


@pytest.mark.parametrize("device", DEVICES)
def test_one_hint_reaches_as_far_as_an_even_object(device: str) -> None:
    residual, weight = hints(128, 128, (64, 30, 40.0, -20.0))
    found = spread_residual(residual.to(device), weight.to(device), torch.full((128, 128), 50.0, device=device)).cpu()
    assert torch.allclose(found[:, 64, 30], residual[:, 64, 30], rtol=0.01)
    assert found[0, 64, 70] > 0.45 * 40.0 and found[1, 24, 30] < 0.45 * -20.0
    assert found[0].min() > 0.0 and found[0].max() <= 40.0 * 1.01


@pytest.mark.parametrize("step", [20.0, -20.0, 60.0])
@pytest.mark.parametrize("column", [59, 61, 62])
def test_a_strong_edge_is_not_crossed(step: float, column: int) -> None:
    lightness = torch.full((128, 128), 65.0)
    lightness[:, 63:] += step
    found = spread_residual(*hints(128, 128, (64, column, 40.0, 40.0)), lightness)
    assert found[0, 20:108, :63].min() > 0.5 * 40.0
    assert found[:, :, 63:].abs().max() < 0.05 * 40.0


def test_an_enclosed_thing_keeps_its_colour_to_itself() -> None:
    lightness = torch.full((96, 128), 40.0)
    lightness[30:60, 50:90] = 62.0
    found = spread_residual(*hints(96, 128, (45, 70, 30.0, 0.0), (5, 5, 0.0, -25.0)), lightness)
    assert found[0, 30:60, 50:90].min() > 0.5 * 30.0
    outside = torch.ones(96, 128, dtype=torch.bool)
    outside[30:60, 50:90] = False
    assert found[0][outside].abs().max() < 0.05 * 30.0


def test_grain_does_not_stop_a_colour() -> None:
    grain = torch.randn((128, 128), generator=torch.Generator().manual_seed(0)) * 2.5
    found = spread_residual(*hints(128, 128, (64, 30, 40.0, 0.0)), 50.0 + grain)
    assert found[0, 60:69, 66:75].mean() > 0.35 * 40.0


def test_between_two_hints_the_colour_changes_smoothly() -> None:
    found = spread_residual(*hints(8, 64, (4, 4, 30.0, 0.0), (4, 59, -30.0, 0.0)), torch.full((8, 64), 50.0))[0, 4]
    steps = found[4:60].diff()
    assert steps.max() <= 1e-2 and steps.min() > -8.0
    assert found[31:33].mean().abs() < 1.0


@pytest.mark.parametrize("name", PHOTOGRAPHS)
@pytest.mark.parametrize("count", [1, 10, 100])
def test_hints_on_photographs_are_obeyed_and_nothing_overshoots(name: str, count: int) -> None:
    rgb = torch.from_numpy(getattr(data, name)().astype(np.float32) / 255.0).permute(2, 0, 1)
    lightness = nn.functional.interpolate(conversions.srgb_to_lab(rgb)[None, :1], size=(101, 130), mode="area")[0, 0]
    residual, weight = scattered((101, 130), count)
    found = spread_residual(residual, weight, lightness)
    asked = residual[:, weight > 0.0]
    assert (found[:, weight > 0.0] - asked).abs().max() < 0.1
    assert found.abs().max() < asked.abs().max() * 1.15


@pytest.mark.parametrize("name", PHOTOGRAPHS)
@pytest.mark.parametrize("count", [10, 200])
def test_on_photographs_the_truth_is_approached_as_by_an_exact_solution(name: str, count: int) -> None:
    rgb = torch.from_numpy(getattr(data, name)().astype(np.float32) / 255.0).permute(2, 0, 1)
    lab = nn.functional.interpolate(conversions.srgb_to_lab(rgb)[None], size=(96, 112), mode="area")[0]
    blurred = nn.functional.interpolate(nn.functional.adaptive_avg_pool2d(lab[None, 1:], 8), size=(96, 112))[0]
    residual = lab[1:] - blurred
    _, weight = scattered((96, 112), count)
    found = spread_residual(residual, weight, lab[0])
    exact = torch.from_numpy(solved(residual, weight, lab[0])).float()
    rest, best = ((residual - u).square().mean().sqrt() for u in (found, exact))
    assert rest < 1.05 * best


@pytest.mark.parametrize("shape", [(1, 1), (1, 200), (200, 1), (5, 9), (67, 131), (128, 192)])
def test_on_even_ground_any_shape_agrees_with_a_direct_solver(shape: tuple[int, int]) -> None:
    residual, weight = scattered(shape, max(shape[0] * shape[1] // 100, 1))
    lightness = torch.full(shape, 50.0)
    found, exact = spread_residual(residual, weight, lightness).numpy(), solved(residual, weight, lightness)
    assert np.linalg.norm(found - exact) < 0.05 * np.linalg.norm(exact)


def test_what_has_no_weight_is_not_read() -> None:
    residual, weight = hints(40, 50, (20, 20, 10.0, 10.0))
    lightness = torch.full((40, 50), 30.0)
    expected = spread_residual(residual, weight, lightness)
    residual[:, weight == 0.0] = float("nan")
    assert torch.equal(spread_residual(residual, weight, lightness), expected)


def test_less_trust_gives_way_to_more() -> None:
    residual, weight = hints(32, 32, (16, 16, 30.0, 0.0), (16, 17, -30.0, 0.0))
    weight[16, 17] = 1e-4
    found = spread_residual(residual, weight, torch.full((32, 32), 50.0))
    assert found[0, 16, 16] > 29.5 and found[0, 16, 17] > 0.0


def test_the_same_hints_give_the_same_bits() -> None:
    residual, weight = scattered((128, 128), 50)
    lightness = torch.rand((128, 128), generator=torch.Generator().manual_seed(1)) * 100.0
    assert torch.equal(spread_residual(residual, weight, lightness), spread_residual(residual, weight, lightness))
