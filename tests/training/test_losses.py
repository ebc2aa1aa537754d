import numpy as np
import torch
from colorize_engine.colour.conversions import srgb_to_lab
from colorize_engine.networks.bins import annealed_mean, bin_centres
from colorize_training.losses import BinTargets, bin_cross_entropy, class_weights

CENTRES = bin_centres()


def test_bins_cover_the_colours_of_srgb() -> None:
    rgb = torch.rand(3, 1, 20000, generator=torch.Generator().manual_seed(0))
    ab = srgb_to_lab(rgb)[1:, 0].T
    assert torch.cdist(ab, CENTRES).min(1).values.max() <= 10 / 2**0.5 + 1e-3
    assert 240 <= len(CENTRES) <= 330


def test_bins_are_the_cells_that_hold_colours_in_ascending_order() -> None:
    cells = torch.unique(CENTRES, dim=0)
    assert torch.equal(cells, CENTRES)  # each once, by a and then by b
    steps = torch.linspace(0, 1, 52)
    rgb = torch.stack(torch.meshgrid(steps, steps, steps, indexing="ij")).reshape(3, 1, -1)
    assert torch.equal(cells, 10 * torch.unique(torch.round(srgb_to_lab(rgb)[1:, 0].T / 10), dim=0))


def test_soft_encoding_is_a_distribution_around_the_nearest_bin(photograph) -> None:
    rgb = torch.from_numpy(photograph("coffee").rgb.transpose(2, 0, 1).copy())[None].float() / 255
    ab = srgb_to_lab(rgb)[:, 1:, ::8, ::8]
    bins, shares = BinTargets(CENTRES)(ab)
    assert torch.allclose(shares.sum(1), torch.ones_like(shares[:, 0]))
    nearest = torch.cdist(ab.permute(0, 2, 3, 1).round(), CENTRES).min(-1).values
    chosen = (CENTRES[bins[:, 0]] - ab.permute(0, 2, 3, 1).round()).norm(dim=-1)
    assert torch.allclose(chosen, nearest, atol=1e-3)
    mean = (CENTRES[bins] * shares[..., None]).sum(1).permute(0, 3, 1, 2)
    assert (mean - ab).abs().mean() < 2


def test_class_weights_have_expectation_one_and_favour_rare_bins() -> None:
    frequency = torch.tensor([900.0, 90.0, 9.0, 1.0])
    weights = class_weights(frequency, 0.5)
    assert torch.isclose((weights * frequency / frequency.sum()).sum(), torch.tensor(1.0))
    assert (weights.diff() > 0).all()
    assert torch.allclose(class_weights(frequency, 1.0), torch.ones(4))


def test_the_right_distribution_has_the_lowest_loss_and_its_mean_is_the_colour() -> None:
    ab = torch.tensor(np.array([20.0, -30.0], np.float32))[None, :, None, None].expand(1, 2, 2, 2)
    bins, shares = BinTargets(CENTRES)(ab)
    weights = torch.ones(len(CENTRES))
    right = torch.full((1, len(CENTRES), 2, 2), -20.0).scatter(1, bins, shares.log())
    assert bin_cross_entropy(right, bins, shares, weights) < bin_cross_entropy(
        torch.zeros_like(right), bins, shares, weights
    )
    assert (annealed_mean(right, 1.0, CENTRES) - ab).abs().max() < 1
    assert (annealed_mean(right, 0.05, CENTRES) - ab).abs().max() < 0.1


def test_the_right_distribution_has_no_loss() -> None:
    ab = torch.tensor([[20.0, -30.0], [3.0, 4.0]])[:, :, None, None]
    bins, shares = BinTargets(CENTRES)(ab)
    right = torch.full((2, len(CENTRES), 1, 1), -60.0).scatter(1, bins, shares.log())
    assert abs(bin_cross_entropy(right, bins, shares, torch.ones(len(CENTRES)))) < 1e-5
