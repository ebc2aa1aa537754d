"""Pathak's report: VGG16's stages, the regression from them, and the ablations."""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from colorize_engine import networks, weights
from colorize_engine.colour.conversions import srgb_to_lab
from colorize_engine.networks.vgg import VggStages
from colorize_engine.networks.vgg_regression import VggRegression, VggRegressionConfig
from colorize_training.commands import ablate
from colorize_training.commands.export import export
from colorize_training.data import pack, planes, split, squash
from colorize_training.main import main
from colorize_training.recipes.recipe import stack
from colorize_training.recipes.unit_chroma import Batch
from colorize_training.recipes.vgg_regression import VggRegressionRecipe, VggRegressionSettings
from colorize_training.running import checkpoint
from colorize_training.running.loop import Run, Stopped
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models.vgg import cfgs, make_layers

NARROW = (4, 8, 8, 8, 8)  # channels that train in no time


@pytest.fixture(scope="module")
def features() -> nn.Sequential:
    """vgg16's convolutions as torchvision has them, random."""
    torch.manual_seed(0)
    return make_layers(cfgs["D"])


@pytest.fixture(scope="module")
def state(features: nn.Sequential) -> dict[str, Tensor]:
    """The same in the names of torchvision's files, with a part of the classifier."""
    named = {f"features.{name}": tensor for name, tensor in features.state_dict().items()}
    return named | {"classifier.6.bias": torch.zeros(1000)}


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VggStages, "CHANNELS", NARROW)


def recipe_with(**settings: object) -> VggRegressionRecipe:
    return VggRegressionRecipe(VggRegressionSettings(**{"backbone": "random"} | settings))


@pytest.mark.parametrize("blocks", [2, 5])
def test_each_stage_is_what_torchvision_pools_next(features, state, blocks: int) -> None:
    stages = VggStages(blocks)
    stages.load_imagenet(state)
    x = torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        own, expected, y = stages(x), [], x
        for layer in features:
            if isinstance(layer, nn.MaxPool2d):
                expected.append(y)
            y = layer(y)
    assert [level.shape[1] for level in own] == list(VggStages.CHANNELS[:blocks])
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-6) for a, b in zip(own, expected[:blocks], strict=True))


@pytest.mark.parametrize("name", ["features.0.weight", "features.14.bias", "features.28.weight"])
@pytest.mark.parametrize("other", [None, torch.zeros(3)])
def test_starting_weights_that_lack_a_convolution_are_refused(state, name: str, other: Tensor | None) -> None:
    broken = {key: tensor for key, tensor in state.items() if key != name} | (
        {name: other} if other is not None else {}
    )
    with pytest.raises(ValueError, match=name):
        VggStages().load_imagenet(broken)


def test_the_recipe_starts_from_the_file_that_it_is_given(state, tmp_path: Path, capsys) -> None:
    save_file(state, tmp_path / "vgg16.safetensors")
    network = recipe_with(backbone=str(tmp_path / "vgg16.safetensors")).build()
    assert torch.equal(network.encoder.blocks[4][4].weight, state["features.28.weight"])
    assert "starts from vgg16.safetensors" in capsys.readouterr().out


def test_without_a_file_it_says_that_it_starts_from_random(narrow: None, capsys) -> None:
    recipe_with().build()
    assert "STARTS FROM RANDOM" in capsys.readouterr().out


def test_the_last_layer_bounds_the_prediction(narrow: None) -> None:
    outputs = {}
    for last in ("sigmoid", "relu"):
        network = VggRegression(VggRegressionConfig(last=last)).eval()
        nn.init.constant_(network.last[0].bias, 3.0)
        network.last[0].weight.data *= 100
        with torch.no_grad():
            outputs[last] = network.predict(torch.rand(1, 1, 32, 64) * 100)
    assert outputs["sigmoid"].shape == outputs["relu"].shape == (1, 2, 32, 64)
    assert 0 <= outputs["sigmoid"].min() <= outputs["sigmoid"].max() <= 1 < outputs["relu"].max()
    assert outputs["relu"].min() >= 0


@pytest.mark.parametrize(("upsampling", "learned"), [("transpose", 4), ("bilinear", 0)])
def test_the_decoder_learns_to_enlarge_or_interpolates(narrow: None, upsampling: str, learned: int) -> None:
    network = VggRegression(VggRegressionConfig(upsampling=upsampling)).eval()
    kinds = [type(module) for module in network.modules()]
    assert (kinds.count(nn.ConvTranspose2d), kinds.count(nn.Upsample)) == (learned, 4 - learned)
    assert network.predict(torch.full((1, 1, 48, 16), 50.0)).shape == (1, 2, 48, 16)


def test_every_level_reaches_the_prediction(narrow: None) -> None:
    network = VggRegression()
    network.predict(torch.rand(2, 1, 32, 32) * 100).sum().backward()
    assert len(network.skips) == 5
    assert all(skip.weight.grad.abs().sum() > 0 for skip in network.skips)


@pytest.mark.parametrize("wrong", [{"last": "tanh"}, {"upsampling": "nearest"}])
def test_unknown_layers_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="is one of"):
        VggRegression(VggRegressionConfig(**wrong))


def test_vgg_learns_at_a_rate_of_its_own(narrow: None) -> None:
    recipe = recipe_with(weight_decay=0.25)
    network = recipe.build()
    groups = recipe.optimizers(network)["network"].param_groups
    assert [(group["lr"], group["weight_decay"]) for group in groups] == [(3e-6, 0.25), (1e-3, 0.25)]
    encoder, rest = ({id(p) for p in group["params"]} for group in groups)
    assert encoder == {id(p) for p in network.encoder.parameters()}
    assert encoder | rest == {id(p) for p in network.parameters()}
    assert not encoder & rest


def test_lightness_is_normalized_by_the_photographs_own_statistics(narrow: None, packed) -> None:
    recipe = recipe_with()
    recipe.prepare(packed)
    pixels = [srgb_to_lab(planes(packed[n]))[0].double().flatten() / 100 for n in range(len(packed))]
    assert recipe.mean == pytest.approx(sum(p.mean().item() for p in pixels) / len(pixels), abs=1e-6)
    network, seen = recipe.build(), []
    network.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    lightness = torch.tensor([recipe.mean, recipe.mean + recipe.deviation]).view(2, 1, 1, 1) * 100
    network.eval().predict(lightness.expand(-1, 1, 16, 16))
    expected = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 3, 16, 16)
    assert torch.allclose(seen[0], expected, atol=1e-5)


def test_the_truth_read_as_a_prediction_is_the_photograph(narrow: None, packed) -> None:
    recipe, network = recipe_with(), VggRegression()
    for number in range(len(packed)):
        sample = recipe.sample(packed[number], 32, None)  # no randomness: the report augments nothing
        lab = srgb_to_lab(planes(squash(packed[number], 32))[None])
        ab = network.colour(sample.chroma[None], sample.lightness[None], 1.0)
        assert sample.chroma.min() > 0
        assert sample.chroma.max() < 1
        assert torch.equal(sample.lightness[None], lab[:, :1])
        black = lab[:, :1] < 0.5  # has no chroma in CIELUV
        assert torch.allclose(ab, torch.where(black, 0, lab[:, 1:]), atol=0.01)


def test_the_loss_is_hubers_with_its_bend_at_one(narrow: None) -> None:
    network = VggRegression(VggRegressionConfig(last="relu"))
    network.predict = lambda lightness: torch.tensor([0.5, 3.0]).view(1, 2, 1, 1).expand(1, 2, 16, 16)
    batch = Batch(torch.zeros(1, 1, 16, 16), torch.full((1, 2, 16, 16), 0.5).index_fill(1, torch.tensor([0]), 0.1))
    loss, parts = recipe_with().loss(network, batch, "loss")
    assert loss.item() == pytest.approx((0.5 * 0.4**2 + (2.5 - 0.5)) / 2)
    assert parts["huber"] == loss


def test_the_defaults_are_the_reports() -> None:
    loop = VggRegressionRecipe.loop
    assert (loop.size, loop.schedule, loop.patience, loop.training_share) == (224, "plateau", 1, 1.0)
    assert loop.samples == 25 * loop.validate_every
    assert (VggRegressionRecipe.split, VggRegressionRecipe.selection_metric) == ((75, 15, 10), "loss")


@dataclass(frozen=True)
class Ablation:
    """An `ablate` of two experiments that is finished, and its command line."""

    out: Path
    command: list[str]

    def rows(self) -> list[dict[str, str]]:
        with open(self.out / "losses.csv", newline="") as file:
            return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def ablation(picture_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ablation]:
    out = tmp_path_factory.mktemp("ablate")
    command = ["ablate", "--data", str(picture_folder), "--out", str(out), "--backbone", "random", "--size", "32"]
    command += ["--samples", "8", "--batch", "2", "--validate-every", "4", "--only", "3", "best"]
    command += ["--csv", str(out / "losses.csv"), "--markdown", str(out / "doc" / "losses.md")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(VggStages, "CHANNELS", NARROW)
        assert main(command) == 0
        yield Ablation(out, command)


def test_the_experiments_differ_in_what_they_say_and_nothing_else(ablation: Ablation) -> None:
    half, best = (json.loads((ablation.out / e / "run.json").read_text()) for e in ("half-training-set", "best"))
    differing = {k: (half["settings"][k], v) for k, v in best["settings"].items() if half["settings"][k] != v}
    assert differing == {"training_share": (0.5, 1.0)}
    assert (half["photographs"], best["photographs"]) == (4, 9)


def test_the_table_has_the_recipes_loss_over_all_test_pictures(ablation: Ablation, picture_folder: Path) -> None:
    test = split(pack([picture_folder], ablation.out / "cache", 176), (75, 15, 10), 0)[2]
    assert json.loads((ablation.out / "split.json").read_text())["test"] == test.names
    state = checkpoint.load(ablation.out / "best" / "best.pt")
    network = networks.build("vgg-regression", state["config"]).eval()
    network.load_state_dict(state["network"])
    samples = [recipe_with().sample(test[n], 32, None) for n in range(len(test))]
    with torch.no_grad():
        loss, _ = recipe_with().loss(network, stack(samples), "loss")
    half, best = ablation.rows()
    assert (half["number"], best["number"]) == ("3", "6")
    assert (half[ablate.REPORT], best[ablate.REPORT]) == ("0.001930", "0.001849")
    assert float(best["test loss"]) == pytest.approx(loss.item(), abs=1e-6)
    assert half["test loss"] != best["test loss"]


def test_the_table_is_there_to_read_and_to_look_at(ablation: Ablation) -> None:
    lines = (ablation.out / "doc" / "losses.md").read_text().splitlines()
    assert "1 test pictures, 32 px, 8 pictures seen" in lines[0]
    assert lines[3] == f"| (6) Best model | {ablation.rows()[1]['test loss']} | 0.001849 |"
    with Image.open(ablation.out / "table.png") as table, Image.open(ablation.out / "pictures.png") as sheet:
        assert min(table.size) > 100
        assert sheet.width == 4 * 160  # input, two predictions, truth, each 32 px five times as large


def test_what_is_finished_is_not_repeated(ablation: Ablation, monkeypatch: pytest.MonkeyPatch) -> None:
    before = ablation.rows()
    monkeypatch.setattr(Run, "train_step", lambda _: pytest.fail("trained again"))
    (ablation.out / "losses.csv").unlink()
    assert main(ablation.command) == 0
    assert ablation.rows() == before


def test_stopping_it_is_no_error_and_leaves_no_table(ablation: Ablation, tmp_path: Path, monkeypatch, capsys) -> None:
    def stop(self: Run, validation: object) -> None:
        raise Stopped("stopped after 2 samples; the same command resumes")

    monkeypatch.setattr(Run, "train", stop)
    command = [str(tmp_path) if part == str(ablation.out) else part for part in ablation.command]
    assert main([*command[: command.index("--csv")], "--cache", str(ablation.out / "cache")]) == 130
    assert "the same command resumes" in capsys.readouterr().err
    assert not list(tmp_path.glob("table.*"))


@pytest.mark.parametrize("only", ["7", "tanh"])
def test_unknown_experiments_are_named(only: str, capsys) -> None:
    with pytest.raises(SystemExit):
        main(["ablate", "--data", "none", "--out", "none", "--only", only])
    assert f"'{only}' is not one of relu-last-layer, upsampling-layers" in capsys.readouterr().err


def test_every_experiment_changes_a_setting_that_there_is() -> None:
    recipe, loop = VggRegressionSettings(), VggRegressionRecipe.loop
    changed = [{**e.recipe, **e.loop} for e in ablate.EXPERIMENTS]
    assert [e.number for e in ablate.EXPERIMENTS] == [1, 2, 3, 4, 5, 6]
    assert [sorted(c) for c in changed] == [
        ["last"],
        ["upsampling"],
        ["training_share"],
        ["weight_decay"],
        ["encoder_lr", "lr"],
        [],
    ]
    assert all(getattr(recipe, k, getattr(loop, k, v)) != v for c in changed for k, v in c.items() if k != "lr")


def test_exported_weights_know_the_statistics_of_their_photographs(ablation: Ablation, tmp_path: Path) -> None:
    best = ablation.out / "best" / "best.pt"
    assert export(best, tmp_path / "own.safetensors", "own", None, "CC0") == 0
    network = weights.load(weights.read_record(tmp_path / "own.safetensors"))
    config = checkpoint.load(best)["config"]
    assert network.metadata() == config
    assert config["mean"] != VggRegressionConfig.mean
