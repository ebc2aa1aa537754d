"""Li and Wang's report: the nine-block networks, their losses, and the classifier that is asked about their colours."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from colorize_engine import networks, weights
from colorize_engine.networks.bins import bin_centres
from colorize_engine.networks.zhang import ZhangClassification, ZhangClassificationVgg, ZhangRegression
from colorize_training.commands import classify
from colorize_training.main import main
from colorize_training.recipes import zhang
from colorize_training.recipes.recipe import stack
from colorize_training.recipes.zhang import (
    ZhangClassificationRecipe,
    ZhangClassificationSettings,
    ZhangRegressionRecipe,
    ZhangRegressionSettings,
)
from colorize_training.running import checkpoint
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from torchvision import models

# Figure 4, as the report prints it: channels, stride, dilation of every convolution of blocks 1 to 7
FIGURE_4 = [(64, 1, 1), (64, 2, 1), (128, 1, 1), (128, 2, 1), (256, 1, 1), (256, 1, 1), (256, 2, 1)]
FIGURE_4 += [(512, 1, 1)] * 3 + [(512, 1, 2)] * 6 + [(512, 1, 1)] * 3


def test_the_layers_are_those_of_figure_4() -> None:
    network = ZhangClassification()
    convolutions = [m for m in network.trunk if isinstance(m, nn.Conv2d)]
    assert [(c.out_channels, c.stride[0], c.dilation[0]) for c in convolutions] == FIGURE_4
    assert {c.kernel_size for c in convolutions} == {(3, 3)}
    assert sum(isinstance(m, nn.BatchNorm2d) for m in network.trunk) == 7
    assert not any(isinstance(m, nn.MaxPool2d | nn.AvgPool2d) for m in network.modules())
    deconvolutions = [m for m in network.up if isinstance(m, nn.ConvTranspose2d)]
    assert [(d.out_channels, d.kernel_size, d.stride) for d in deconvolutions] == [(256, (4, 4), (2, 2))] * 3


@pytest.mark.parametrize("size", [32, 72])
def test_predictions_have_the_pictures_size(size: int) -> None:
    lightness = torch.rand(1, 1, size, size) * 100
    with torch.no_grad():
        chroma = ZhangRegression().eval().predict(lightness)
        logits = ZhangClassification().eval().predict(lightness)
        transferred = ZhangClassificationVgg().eval().predict(lightness)
    assert chroma.shape == (1, 2, size, size)
    assert 0 <= chroma.min() <= chroma.max() <= 1
    assert logits.shape == transferred.shape == (1, len(bin_centres()), size, size)


def test_the_transferred_fifth_block_reaches_as_far_as_in_vgg() -> None:
    """Stride 8 instead of 16, and twice the dilation: the same 13 x 13 pixels of stride 8."""
    block = ZhangClassificationVgg().encoder.blocks[-1]
    pulse = torch.zeros(1, 512, 31, 31)
    pulse[..., 15, 15] = 1
    for layer in block:
        if isinstance(layer, nn.Conv2d):
            nn.init.ones_(layer.weight)
            pulse = layer(pulse).clamp_max(1)
    assert pulse[0, 0].any(0).nonzero()[[0, -1], 0].tolist() == [9, 21]


def test_the_mode_is_a_bin_and_the_mean_lies_between() -> None:
    network = ZhangClassification()
    logits = torch.full((1, len(bin_centres()), 1, 1), -20.0)
    logits[0, 10], logits[0, 200] = 2.0, 1.0
    lightness = torch.full((1, 1, 2, 2), 50.0)
    first, second = bin_centres()[[10, 200]]
    mode = network.colour(logits, lightness, classify.MODE)[0, :, 0, 0]
    mean = network.colour(logits, lightness, 1.0)[0, :, 0, 0]
    annealed = network.colour(logits, lightness, 0.89)[0, :, 0, 0]
    assert torch.allclose(mode, first)
    assert torch.allclose(mean, first * 0.7311 + second * 0.2689, atol=0.05)
    assert (annealed - first).norm() < (mean - first).norm()


def recipe(**settings: object) -> ZhangClassificationRecipe:
    return ZhangClassificationRecipe(ZhangClassificationSettings(**settings))


def test_a_perfect_distribution_has_no_loss_and_a_flat_one_has(packed) -> None:
    own = recipe()
    sample = own.sample(packed[0], 32, np.random.default_rng(0))
    batch = stack([sample])
    perfect = torch.full((1, len(bin_centres()), 32, 32), -1e4).scatter(1, batch.bins, batch.shares.log())

    class Fixed(nn.Module):
        def __init__(self, logits: torch.Tensor) -> None:
            super().__init__()
            self.logits = logits

        def predict(self, _: torch.Tensor) -> torch.Tensor:
            return self.logits

    assert own.loss(Fixed(perfect), batch, "loss")[0] == pytest.approx(0, abs=1e-5)
    assert own.loss(Fixed(torch.zeros_like(perfect)), batch, "loss")[0] > 2


def test_a_batch_too_large_for_memory_has_the_same_loss_and_gradient(packed, monkeypatch) -> None:
    own = recipe()
    samples = [own.sample(packed[n], 16, np.random.default_rng(0)) for n in range(3)]
    batch = stack(samples)
    network = ZhangClassification()

    def gradient() -> tuple[float, torch.Tensor]:
        network.zero_grad()
        loss = own.loss(network, batch, "loss")[0]
        loss.backward()
        return loss.item(), network.last.weight.grad.clone()

    whole, in_pieces = gradient(), []
    for pictures in (1, 2):
        monkeypatch.setattr(zhang, "PIECE", pictures * 16 * 16)
        in_pieces.append(gradient())
    for loss, grad in in_pieces:
        assert loss == pytest.approx(whole[0], rel=1e-5)
        assert torch.allclose(grad, whole[1], rtol=1e-3, atol=1e-7)


def test_rebalancing_makes_rare_colours_weigh_more(packed) -> None:
    plain, rebalanced = recipe(), recipe(uniform_share=0.5)
    plain.prepare(packed)
    rebalanced.prepare(packed)
    assert torch.allclose(plain.weights, torch.ones_like(plain.weights), atol=1e-5)
    neutral = (bin_centres() == 0).all(1).nonzero().item()
    assert rebalanced.weights[neutral] < 0.5 * rebalanced.weights.max()


def test_the_regression_loss_is_half_the_squared_distance(packed) -> None:
    own = ZhangRegressionRecipe(ZhangRegressionSettings())
    sample = own.sample(packed[0], 32, np.random.default_rng(0))
    batch = stack([sample])

    class Shifted(nn.Module):
        def predict(self, _: torch.Tensor) -> torch.Tensor:
            return batch.chroma + torch.tensor([0.3, 0.4])[:, None, None]

    assert own.loss(Shifted(), batch, "loss")[0] == pytest.approx(0.125, abs=1e-5)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory, photograph) -> str:
    """Mosaics of 2x2 pieces of 32 pixels: coffee is class 0, the cat class 1, with their labels beside them."""
    import tarfile

    folder = tmp_path_factory.mktemp("labelled")
    with tarfile.open(folder / "pieces.tar", "w") as tar:
        for name in ("coffee", "chelsea"):
            piece = photograph(name).rgb[100:164, 100:164]
            Image.fromarray(np.ascontiguousarray(piece)).save(folder / f"{'ab'[name == 'chelsea']}.png")
        for file in sorted(folder.glob("*.png")):
            tar.add(file, file.name)
    np.savez(folder / "pieces.npz", labels=np.repeat([0, 1], 4))
    return f"mosaic:{folder / 'pieces.tar'}:32"


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder, files = tmp_path_factory.mktemp("weights"), {}
    for role, name in (
        ("regression", "zhang-regression"),
        ("classification", "zhang-classification"),
        ("transfer", "zhang-classification-vgg"),
    ):
        torch.manual_seed(0)
        files[role] = folder / f"{name}.safetensors"
        weights.save(
            networks.build(name, {}), files[role], recipe=name, name=name, title=name, licence="CC0-1.0", side=32
        )
    return files


def classification(labelled: str, networks_of: dict[str, Path], out: Path) -> list[str]:
    command = ["classify", "--data", labelled, "--test", labelled, "--out", str(out)]
    command += [word for role, path in networks_of.items() for word in (f"--{role}", str(path))]
    return command + ["--classifier", "mobilenet_v2", "--backbone", "random", "--size", "32", "--batch", "4"]


def test_classify_draws_the_table_of_figure_7_and_goes_on_where_it_stopped(
    labelled: str,
    untrained: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    command = [*classification(labelled, untrained, tmp_path), "--lr", "3e-3"]
    assert main([*command, "--epochs", "2"]) == 0
    assert "epoch 2 of 2" in capsys.readouterr().err
    with open(tmp_path / "table.csv", newline="") as file:
        table = {row["pictures"]: row for row in csv.DictReader(file)}
    assert list(table) == ["Gray", "Regression", "Classification", "Annealed", "Transfer", "True colour"]
    assert (table["Annealed"][classify.REPORT], table["Gray"]["test pictures"]) == ("65", "8")
    assert all((tmp_path / name).stat().st_size > 1000 for name in ("table.png", "pictures.png"))
    shown = np.asarray(Image.open(tmp_path / "pictures.png").convert("RGB"))[18:]
    gray, truth = shown[:, :128].astype(int), shown[:, -128:].astype(int)
    assert np.ptp(gray, axis=2).max() <= 1
    assert np.ptp(truth, axis=2).max() > 50
    monkeypatch.setattr(classify, "_coloured", lambda truth, *_: truth)
    assert main([*command, "--epochs", "2"]) == 0  # nothing is left to train
    assert "epoch" not in capsys.readouterr().err
    assert main([*command, "--epochs", "2", "--seed", "1"]) == 1
    assert "choose another --out" in capsys.readouterr().err


def test_pictures_without_labels_are_refused(
    picture_folder: Path, untrained: dict[str, Path], tmp_path: Path, capsys
) -> None:
    assert main(classification(str(picture_folder), untrained, tmp_path)) == 1
    assert "have no labels" in capsys.readouterr().err


def test_a_classifier_that_was_stopped_comes_to_the_same(
    labelled: str, untrained: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classify, "_coloured", lambda truth, *_: truth)  # it learns from true colours alone
    whole, parted = (classification(labelled, untrained, tmp_path / name) for name in ("whole", "parted"))
    assert main([*whole, "--epochs", "2"]) == main([*parted, "--epochs", "1"]) == main([*parted, "--epochs", "2"]) == 0
    states = [checkpoint.load(tmp_path / name / "classifier.pt")["classifier"] for name in ("whole", "parted")]
    assert weights.digest(states[0]) == weights.digest(states[1])


def test_a_classifier_with_folded_batch_norms_starts_as_what_its_file_says(tmp_path: Path) -> None:
    torch.manual_seed(0)
    pictures = torch.randn(8, 3, 64, 64)
    learned = models.mobilenet_v2(num_classes=10)
    for norm in (m for m in learned.modules() if isinstance(m, nn.BatchNorm2d)):
        nn.init.normal_(norm.bias, std=0.3)
    file = tmp_path / "mobilenet_v2.safetensors"
    save_file(learned.state_dict(), file)
    made = classify._classifier("mobilenet_v2", str(file), 10, pictures)
    with torch.no_grad():
        expected = learned.eval().features(pictures)
        assert torch.allclose(made.eval().features(pictures), expected, atol=1e-4)
        trained = made.train().features(pictures)  # its own pictures' statistics, so the same but for n / (n - 1)
    assert (trained - expected).abs().mean() < 0.05 * expected.abs().mean()
