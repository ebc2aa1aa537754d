"""Zia and Malik's report: the U-Net on ResNet-18, the patch discriminator, and the two stages of one run."""

from functools import cache

import numpy as np
import pytest
import torch
from colorize_engine.networks.imagenet import DEVIATION, MEAN
from colorize_engine.networks.resnet_unet import ResNetUNet, ResNetUNetConfig, up
from colorize_training.recipes.recipe import Turn
from colorize_training.recipes.resnet_gan import (
    Batch,
    PatchDiscriminator,
    Players,
    ResNetGanRecipe,
    ResNetGanSettings,
)
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import ResNet, resnet18


@cache
def source() -> ResNet:
    """torchvision's ResNet-18, random, with batch norms that do something."""
    torch.manual_seed(1)
    network = resnet18(weights=None).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 2)
    return network


def folded_state() -> dict[str, Tensor]:
    """The same as files for inference have it: batch norms without statistics, and no layer4."""
    state = {name: tensor.clone() for name, tensor in source().state_dict().items()}
    state = {name: tensor for name, tensor in state.items() if not name.startswith(("layer4.", "fc."))}
    for name in [name.removesuffix("running_mean") for name in state if name.endswith("running_mean")]:
        state[name + "running_mean"].zero_()
        state[name + "running_var"].fill_(1)
    return state


def gray(size: int, count: int = 1) -> Tensor:
    """L (count, 1, size, size), 20..80."""
    return torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(size)) * 60 + 20


@pytest.fixture(scope="module")
def players() -> Players:
    torch.manual_seed(0)
    return ResNetGanRecipe(ResNetGanSettings(backbone="random")).build().train()


@pytest.fixture
def batch() -> Batch:
    return Batch(gray(32, 2), torch.linspace(-0.4, 0.4, 2 * 2 * 32 * 32).view(2, 2, 32, 32))


def test_the_discriminator_judges_30_by_30_patches() -> None:
    assert PatchDiscriminator()(torch.zeros(1, 3, 256, 256)).shape == (1, 1, 30, 30)


def test_each_patch_has_70_pixels() -> None:
    picture = torch.randn(1, 3, 160, 160, requires_grad=True)
    logits = PatchDiscriminator().eval()(picture)
    logits[0, 0, 9, 9].backward()
    rows = picture.grad.abs().sum((0, 1, 3)).nonzero()[:, 0]
    assert rows[-1] - rows[0] + 1 == 70


def test_the_first_share_of_the_run_is_pretraining() -> None:
    recipe = ResNetGanRecipe(ResNetGanSettings())
    stages = {progress: recipe.turns(progress) for progress in (0.0, 9.9 / 26, 10 / 26, 1.0)}
    adversarial = (Turn("discriminator", "discriminate"), Turn("generator", "fool"))
    assert list(stages.values()) == [(Turn("pretraining", "l1"),)] * 2 + [adversarial] * 2


@pytest.mark.parametrize("turn", [Turn("pretraining", "l1"), Turn("discriminator", "discriminate")])
def test_a_turn_leaves_the_other_player_alone(players: Players, batch: Batch, turn: Turn) -> None:
    _expect_gradients(players, batch, turn)


def test_the_generator_learns_through_the_discriminator_which_does_not(players: Players, batch: Batch) -> None:
    _expect_gradients(players, batch, Turn("generator", "fool"))
    assert all(p.requires_grad for p in players.discriminator.parameters())


def _expect_gradients(players: Players, batch: Batch, turn: Turn) -> None:
    """Only the player whose turn it is gets gradients, and all of its parameters do."""
    recipe = ResNetGanRecipe(ResNetGanSettings())
    players.zero_grad(set_to_none=True)
    loss, parts = recipe.loss(players, batch, turn.objective)
    loss.backward()
    learning = {id(p) for group in recipe.optimizers(players)[turn.player].param_groups for p in group["params"]}
    assert {id(p) for p in players.parameters() if p.grad is not None} == learning
    assert not any(value.requires_grad for value in parts.values())


def test_fooling_weighs_the_distance_to_the_truth(players: Players, batch: Batch) -> None:
    loss, parts = ResNetGanRecipe(ResNetGanSettings(l1_weight=7.0)).loss(players, batch, "fool")
    assert loss.item() == pytest.approx(parts["gan"].item() + 7 * parts["l1"].item(), rel=1e-5)


def test_the_discriminator_learns_to_tell_truth_from_its_rival(players: Players, batch: Batch) -> None:
    recipe = ResNetGanRecipe(ResNetGanSettings())
    optimizer = recipe.optimizers(players)["discriminator"]
    for _ in range(8):
        loss, parts = recipe.loss(players, batch, "discriminate")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert parts["real"] > 0.6 > 0.4 > parts["fake"]


@pytest.mark.parametrize(("height", "width"), [(32, 32), (96, 32), (160, 224)])
def test_any_multiple_of_the_stride_is_coloured(players: Players, height: int, width: int) -> None:
    players.generator.eval()
    with torch.no_grad():
        prediction = players.generator.predict(torch.rand(1, 1, height, width) * 100)
    players.train()
    assert prediction.shape == (1, 2, height, width)
    assert prediction.abs().max() <= 1


def test_pixel_shuffle_starts_without_a_checkerboard() -> None:
    torch.manual_seed(0)
    cells = up(6, 4, "pixel-shuffle")(torch.randn(1, 6, 5, 5)).unfold(2, 2, 2).unfold(3, 2, 2)
    assert cells.shape == (1, 4, 5, 5, 2, 2)
    assert (cells == cells[..., :1, :1]).all()
    assert cells[..., 0, 0].std() > 0.1


def test_upsampling_is_the_other_way() -> None:
    network = ResNetUNet(ResNetUNetConfig("upsample")).eval()
    assert not any(isinstance(module, nn.PixelShuffle) for module in network.modules())
    with torch.no_grad():
        assert network.predict(gray(32)).shape == (1, 2, 32, 32)
    with pytest.raises(ValueError, match="bicubic"):
        ResNetUNet(ResNetUNetConfig("bicubic"))


def test_the_encoder_sees_in_gray_what_torchvision_sees_in_rgb() -> None:
    encoder = ResNetUNet().encoder.eval()
    assert encoder.load_imagenet(source().state_dict())
    lightness = gray(1).expand(1, 1, 224, 224) + torch.linspace(-15, 15, 224)
    rgb = (lightness / 100).expand(-1, 3, -1, -1)
    rgb = (rgb - torch.tensor(MEAN)[:, None, None]) / torch.tensor(DEVIATION)[:, None, None]
    net = source()
    with torch.no_grad():
        levels = encoder(lightness / 50 - 1)
        expected = net.layer2(net.layer1(net.maxpool(net.relu(net.bn1(net.conv1(rgb))))))
    inner = slice(10, 18)  # the rim differs: what lies outside is mean gray to one, black in -1..1 to the other
    assert torch.allclose(levels[2][..., inner, inner], expected[..., inner, inner], atol=1e-4)


def test_torchvisions_older_files_have_no_counters() -> None:
    state = {name: tensor for name, tensor in source().state_dict().items() if "num_batches" not in name}
    assert ResNetUNet().encoder.load_imagenet(state)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda state: state.pop("layer2.1.bn2.bias"), "lack layers.1.1.body.4.bias"),
        (lambda state: state.pop("layer4.0.conv1.weight"), "lack layers.3.0.body.0.weight"),
        (lambda state: state.pop("conv1.weight"), "lack stem.0.weight"),
        (lambda state: state.update({"layer1.7.conv1.weight": torch.zeros(1)}), "unknown layers.0.7.body.0.weight"),
        (lambda state: state.update({"features.0.weight": torch.zeros(1)}), "unknown features.0.weight"),
    ],
)
def test_starting_weights_with_other_names_are_refused(change, named: str) -> None:
    state = dict(source().state_dict())
    change(state)
    with pytest.raises(ValueError, match=named):
        ResNetUNet().encoder.load_imagenet(state)


def test_folded_starting_weights_keep_their_function_in_training(tmp_path, packed, capsys) -> None:
    save_file(folded_state(), tmp_path / "resnet18.safetensors")
    recipe = ResNetGanRecipe(ResNetGanSettings(backbone=str(tmp_path / "resnet18.safetensors")))
    recipe.prepare(packed)
    encoder = recipe.build().generator.encoder
    assert "no layer4: IT STARTS FROM RANDOM" in capsys.readouterr().out

    plain = ResNetUNet().encoder.eval()
    plain.load_imagenet(folded_state())
    pictures = recipe.measured / 50 - 1
    with torch.no_grad():
        expected, measured, trained = plain(pictures)[3], encoder.eval()(pictures)[3], encoder.train()(pictures)[3]
    scale = expected.abs().max()
    assert torch.allclose(measured, expected, atol=1e-4 * scale)
    assert torch.allclose(trained, expected, atol=1e-3 * scale)


def test_folded_starting_weights_need_photographs(tmp_path) -> None:
    save_file(folded_state(), tmp_path / "resnet18.safetensors")
    recipe = ResNetGanRecipe(ResNetGanSettings(backbone=str(tmp_path / "resnet18.safetensors")))
    with pytest.raises(ValueError, match="need photographs"):
        recipe.build()


def test_half_of_the_pictures_are_mirrored_lightness_and_ab_alike(photograph) -> None:
    recipe, rgb = ResNetGanRecipe(ResNetGanSettings()), photograph("coffee").rgb
    plain = recipe.sample(rgb, 64, np.random.default_rng(0), augment=False)
    mirrored = 0
    for seed in range(20):
        drawn = recipe.sample(rgb, 64, np.random.default_rng(seed))
        turned = not torch.equal(drawn.lightness, plain.lightness)
        expected = [plane.flip(2) if turned else plane for plane in plain]
        assert all(map(torch.equal, drawn, expected))
        mirrored += turned
    assert 4 <= mirrored <= 16
