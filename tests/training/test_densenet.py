"""Akbulut and Atay's report: the first 52 layers of DenseNet-121, and photographs in four augmentations."""

from functools import cache

import numpy as np
import pytest
import torch
from colorize_engine.networks.densenet import DenseNetConfig, DenseNetRegression
from colorize_engine.networks.imagenet import DEVIATION, MEAN
from colorize_engine.networks.spaces import CIELAB
from colorize_training.recipes.densenet import (
    NONE,
    DenseNetRecipe,
    DenseNetSettings,
    add_noise,
    draw_augmentation,
    turn,
)
from colorize_training.recipes.recipe import stack
from torch import Tensor, nn
from torchvision.models import DenseNet, densenet121
from torchvision.models.densenet import _DenseLayer


@cache
def source() -> DenseNet:
    """torchvision's DenseNet-121, random."""
    torch.manual_seed(1)
    return densenet121(weights=None).eval()


def prefix_state() -> dict[str, Tensor]:
    """The first blocks alone, without "features." before their names."""
    features = source().features.state_dict()
    return {name: tensor for name, tensor in features.items() if not name.startswith(("denseblock4", "norm5"))}


@pytest.fixture(scope="module")
def network() -> DenseNetRegression:
    torch.manual_seed(0)
    return DenseNetRegression().eval()


def test_the_encoder_has_52_layers_as_keras_counts_them(network: DenseNetRegression) -> None:
    kinds = (nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d, nn.AvgPool2d)
    modules = list(network.encoder.modules())
    operations = sum(isinstance(module, kinds) for module in modules)
    paddings = 2  # before the first convolution and the first pooling: layers of their own in Keras
    concatenations = sum(isinstance(module, _DenseLayer) for module in modules)
    assert operations + paddings + concatenations == 52
    assert network.encoder(torch.zeros(1, 3, 224, 224)).shape == (1, 128, 28, 28)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (24, 56), (224, 224)])
def test_any_multiple_of_the_stride_is_coloured(network: DenseNetRegression, height: int, width: int) -> None:
    lightness = torch.rand(1, 1, height, width) * 100
    with torch.no_grad():
        prediction = network.predict(lightness)
    assert prediction.shape == (1, 2, height, width)
    assert torch.allclose(network.colour(prediction, lightness, 1.0), (prediction - 0.5) * 220, atol=1e-4)


@pytest.mark.parametrize("rename", ["features", "plain", "old"])
def test_the_encoder_starts_from_torchvisions_names(rename: str) -> None:
    state = {
        "features": lambda: source().state_dict(),
        "plain": prefix_state,
        "old": lambda: _older(source().state_dict()),
    }[rename]()
    network = DenseNetRegression().eval()
    network.load_imagenet(state)
    lightness = torch.rand(1, 1, 64, 64) * 100
    rgb = (lightness / 100 - torch.tensor(MEAN)[:, None, None]) / torch.tensor(DEVIATION)[:, None, None]
    with torch.no_grad():
        expected = source().features[:6](rgb)
        assert torch.allclose(network.encoder(rgb), expected, atol=1e-5)


def _older(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """As torchvision's own file has it: "norm.1" within dense layers, and no counters."""
    state = {name: tensor for name, tensor in state.items() if "num_batches" not in name}
    for kind in ("norm1", "norm2", "conv1", "conv2"):
        state = {name.replace(f".{kind}.", f".{kind[:-1]}.{kind[-1]}."): t for name, t in state.items()}
    assert "features.denseblock1.denselayer1.norm.1.weight" in state
    return state


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda state: state.pop("denseblock1.denselayer6.conv2.weight"), "lack denseblock1.denselayer6.conv2.weight"),
        (lambda state: state.update({"layer1.0.conv1.weight": torch.zeros(1)}), "unknown layer1.0.conv1.weight"),
    ],
)
def test_starting_weights_with_other_names_are_refused(change, named: str) -> None:
    state = prefix_state()
    change(state)
    with pytest.raises(ValueError, match=named):
        DenseNetRegression().load_imagenet(state)


def test_the_eps_of_other_frameworks_is_kept_with_the_weights() -> None:
    built = DenseNetRecipe(DenseNetSettings(backbone="random", norm_eps=1.001e-5)).build()
    served = DenseNetRegression(DenseNetConfig(**built.metadata()))
    assert {m.eps for m in served.encoder.modules() if isinstance(m, nn.BatchNorm2d)} == {1.001e-5}


def test_each_augmentation_changes_half_of_the_pictures() -> None:
    rng, settings = np.random.default_rng(0), DenseNetSettings()
    drawn = [draw_augmentation(rng, settings) for _ in range(400)]
    for field in ("mirrored", "upside_down", "angle", "noise"):
        assert 0.4 < np.mean([bool(getattr(changes, field)) for changes in drawn]) < 0.6
    assert 20 < max(abs(changes.angle) for changes in drawn) <= 25
    assert 4 < max(changes.noise for changes in drawn) <= 5


def test_flips_and_rotation_move_whole_pixels(photograph) -> None:
    picture = photograph("coffee").rgb[:64, :64]
    assert np.array_equal(turn(picture, NONE), picture)
    assert np.array_equal(turn(picture, NONE._replace(mirrored=True)), picture[:, ::-1])
    assert np.array_equal(turn(picture, NONE._replace(upside_down=True)), picture[::-1])
    assert np.abs(turn(picture, NONE._replace(angle=90.0)).astype(int) - np.rot90(picture)).max() <= 1


def test_noise_is_in_the_lightness_alone_and_has_its_deviation() -> None:
    flat = torch.full((1, 64, 64), 50.0)
    noise = add_noise(flat, NONE._replace(noise=3.0, seed=7)) - flat
    assert noise.std().item() == pytest.approx(3, rel=0.05)
    assert torch.equal(add_noise(flat, NONE), flat)


def test_lightness_and_ab_stay_together(photograph) -> None:
    recipe = DenseNetRecipe(DenseNetSettings(noise=0.0))
    rgb = photograph("astronaut").rgb
    for seed in range(6):
        changes = draw_augmentation(np.random.default_rng(seed), recipe.settings)
        drawn = recipe.sample(rgb, 48, np.random.default_rng(seed))
        plain = recipe.sample(rgb, 48, np.random.default_rng(seed), augment=False)
        if not changes.angle:
            sides = [side for side, flipped in ((1, changes.upside_down), (2, changes.mirrored)) if flipped]
            assert torch.equal(drawn.lightness, plain.lightness.flip(sides))
            assert torch.equal(drawn.ab, plain.ab.flip(sides))
        else:
            assert not torch.equal(drawn.lightness, plain.lightness)


def test_the_same_draws_give_the_same_sample(photograph) -> None:
    recipe, rgb = DenseNetRecipe(DenseNetSettings()), photograph("rocket").rgb
    first, second, other = (recipe.sample(rgb, 48, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert all(map(torch.equal, first, second))
    assert not torch.equal(first.lightness, other.lightness)


def test_augmentation_can_be_left_out(photograph) -> None:
    rgb = photograph("rocket").rgb
    recipe = DenseNetRecipe(DenseNetSettings(augmentation=False))
    plain = recipe.sample(rgb, 48, np.random.default_rng(0), augment=False)
    assert all(map(torch.equal, recipe.sample(rgb, 48, np.random.default_rng(5)), plain))


def test_the_loss_is_the_squared_error_of_scaled_ab(network: DenseNetRegression, photograph) -> None:
    recipe = DenseNetRecipe(DenseNetSettings())
    sample = recipe.sample(photograph("coffee").rgb, 32, np.random.default_rng(0), augment=False)
    batch = stack([sample])
    with torch.no_grad():
        loss, parts = recipe.loss(network, batch, "loss")
        ab = CIELAB.unscale(network.predict(batch.lightness))
    assert loss.item() == pytest.approx(((ab - CIELAB.unscale(batch.ab)) / 220).square().mean().item(), rel=1e-4)
    assert parts["mse"] == loss
