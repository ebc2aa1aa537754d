"""Daly and Zhao's report: the palette of 196 values, the pair of networks that hints drive, and their measurement."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from colorize_engine import networks, weights
from colorize_engine.networks.palette import HintedRTNet, RTNet, hinted_chroma
from colorize_engine.networks.spaces import YUV
from colorize_training.commands.coverage import circle_hints
from colorize_training.main import main
from colorize_training.recipes.palette import HNetRecipe, HNetSettings, draw_circles, errors
from colorize_training.recipes.recipe import stack
from torch import nn


def lightness_of(height: int, width: int) -> torch.Tensor:
    return torch.rand(1, 1, height, width, generator=torch.Generator().manual_seed(0)) * 100


def hints_of(height: int, width: int) -> torch.Tensor:
    """A red stroke."""
    hints = torch.zeros(1, 3, height // 2, width // 2)
    hints[0, :, 4:8, 4:12] = torch.tensor([50.0, 30.0, 1.0])[:, None, None]
    return hints


def test_the_sizes_are_the_reports() -> None:
    network, seen = RTNet().eval(), {}
    network.smooth.register_forward_hook(lambda *a: seen.update(palette=a[2].shape))
    lightness = lightness_of(224, 224)
    with torch.no_grad():
        fine, half = network.look(lightness)
        palette = network.palette(lightness, torch.full((1, 2, 224, 224), 0.5))
        result = network.rebuild(fine, half, palette)
    assert (half.shape, palette.shape, result.shape) == ((1, 128, 112, 112), (1, 196), (1, 2, 224, 224))
    assert seen["palette"] == (1, 32, 112, 112)
    assert palette.min() >= 0


@pytest.mark.parametrize("build", [RTNet, HintedRTNet])
def test_hints_change_the_palette_and_so_the_picture(build: type[nn.Module]) -> None:
    torch.manual_seed(0)
    network = build().eval()
    lightness = lightness_of(32, 48)
    with torch.no_grad():
        embedding = network.encode(lightness)
        plain = network.chroma(network.decode(embedding, torch.zeros(1, 3, 16, 24)), 1.0)
        again = network.chroma(network.decode(embedding, torch.zeros(1, 3, 16, 24)), 1.0)
        hinted = network.chroma(network.decode(embedding, hints_of(32, 48)), 1.0)
    assert plain.shape == (1, 2, 16, 24)
    assert torch.equal(plain, again)
    assert not torch.equal(plain, hinted)


def test_hints_become_the_reports_hint_image() -> None:
    lightness = torch.full((1, 1, 32, 48), 60.0)
    chroma, mask = hinted_chroma(hints_of(32, 48), lightness)
    assert mask.sum() == 8 * 16
    assert torch.allclose(chroma[:, :, mask[0, 0] == 0], torch.tensor(0.5))
    back = YUV.to_ab(chroma, lightness)[0, :, 10, 12]
    assert torch.allclose(back, torch.tensor([50.0, 30.0]), atol=3)  # Y'UV keeps luma, not L


def test_rtnet_is_frozen_while_hnet_learns(packed) -> None:
    recipe = HNetRecipe(HNetSettings(lr=1e-2))
    network = recipe.build().train()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    samples = [recipe.sample(packed[n], 32, np.random.default_rng(n)) for n in range(4)]
    batch = stack(samples)
    optimizer = recipe.optimizers(network)["network"]
    recipe.loss(network, batch, "loss")[0].backward()
    optimizer.step()
    changed = {k for k, v in network.state_dict().items() if not torch.equal(v, before[k])}
    assert changed
    assert all(name.startswith("condense.") for name in changed)


def test_circles_cover_what_the_report_says() -> None:
    rng = np.random.default_rng(0)
    few = [draw_circles(224, 1, rng).mean() for _ in range(100)]
    many = [draw_circles(224, 25, rng).mean() for _ in range(30)]
    assert 0.01 < np.mean(few) < 0.08
    assert 0.6 < np.mean(many) < 0.85


def test_the_blurred_error_forgives_what_is_near() -> None:
    truth = torch.zeros(1, 2, 64, 64)
    truth[:, :, 32:34, 20:44] = 1
    near, far = truth.roll(2, 2), truth.roll(20, 2)
    assert errors(near, truth)[0] == pytest.approx(float(errors(far, truth)[0]), rel=0.01)
    assert errors(near, truth)[1] < 0.8 * errors(far, truth)[1]
    assert float(sum(errors(truth, truth))) == 0


def test_circle_hints_reach_the_coverage() -> None:
    ab = torch.rand(1, 2, 64, 64)
    for coverage in (0, 0.2, 1):
        covered = circle_hints(ab, coverage, 3)[:, 2].mean()
        assert coverage <= covered <= coverage + 0.1


def save(network: nn.Module, recipe: str, path: Path) -> Path:
    weights.save(network, path, recipe=recipe, name=recipe, title=recipe, licence="CC0-1.0", side=32)
    return path


def test_hnet_starts_from_a_trained_rtnet_and_from_nothing_else(tmp_path: Path, capsys) -> None:
    torch.manual_seed(3)
    rtnet = networks.build("rtnet", {})
    path = save(rtnet, "rtnet", tmp_path / "rtnet.safetensors")
    network = HNetRecipe(HNetSettings(rtnet=str(path))).build()
    assert torch.allclose(network.rtnet.last.weight, rtnet.last.weight, atol=1e-3)
    other = save(networks.build("hnet", {}), "hnet", tmp_path / "hnet.safetensors")
    with pytest.raises(ValueError, match="holds weights of hnet"):
        HNetRecipe(HNetSettings(rtnet=str(other))).build()
    HNetRecipe(HNetSettings()).build()
    assert "NO --rtnet WAS GIVEN" in capsys.readouterr().out


def test_coverage_measures_and_draws(picture_folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = save(networks.build("hnet", {}), "hnet", tmp_path / "hnet.safetensors")
    out = tmp_path / "out"
    command = ["coverage", "--weights", str(path), "--data", str(picture_folder), "--out", str(out), "--pictures", "2"]
    assert main(command) == 0
    with open(out / "coverage.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    covered = [float(row["covered %"]) for row in rows]
    assert covered == sorted(covered)
    assert (covered[0], covered[-1]) == (0, 100)
    assert all(float(row["loss"]) > 0 for row in rows)
    with open(out / "hues.csv", newline="") as file:
        assert [row["hue"] for row in csv.DictReader(file)] == ["red", "yellow", "green", "cyan", "blue", "magenta"]
    assert all((out / name).stat().st_size > 5000 for name in ("coverage.png", "hues.png", "pictures.png"))


def test_a_network_that_gives_the_truth_has_full_strength() -> None:
    from colorize_training.commands.coverage import _along, _strengths

    truth = torch.randn(1, 2, 40, 40, generator=torch.Generator().manual_seed(0)) * 40
    assert _strengths([_along(truth, truth)]) == pytest.approx(np.ones(6))
    assert _strengths([_along(truth / 2, truth)]) == pytest.approx(np.full(6, 0.5))
