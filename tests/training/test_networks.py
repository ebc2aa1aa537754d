"""Every network that can be served: any size, any hints, and folded batch norms."""

import subprocess
import sys

import pytest
import torch
from colorize_engine import networks
from colorize_engine.colorizer import fuse_batch_norms
from colorize_engine.networks.chroma import Chroma
from colorize_engine.networks.encoders import MEAN_LIGHTNESS, MobileNetV2, ResNet50V2
from colorize_engine.networks.imagenet import DEVIATION, MEAN
from colorize_engine.networks.served import HINT_PLANES, AutomaticNetwork, ServedNetwork
from colorize_training.variants import EarlyChroma, PaletteChroma
from torch.nn import functional as F
from torchvision.models import mobilenet_v2

PARTS = ("weight", "bias", "running_mean", "running_var")
FOLDED_WHOLE = {"chroma mobilenet_v2"}  # networks in which every batch norm follows a convolution


@pytest.fixture(params=[*networks.recipes(), "chroma mobilenet_v2"])
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def network(name: str) -> ServedNetwork:
    torch.manual_seed(0)
    recipe, *encoder = name.split()
    return networks.build(recipe, {"encoder": encoder[0]} if encoder else {})


def inputs(height: int, width: int, batch: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(height)
    lightness = torch.rand(batch, 1, height, width, generator=generator) * 100
    hints = torch.zeros(batch, HINT_PLANES, height // 2, width // 2)
    hints[:, :3, 3:5, 4:6] = torch.tensor([40.0, 20.0, 1.0])[:, None, None]
    return lightness, hints


def test_any_multiple_of_the_stride_goes_forward(network: ServedNetwork) -> None:
    network.eval()
    sides = [-(-side // network.stride) * network.stride for side in (32, 48, 90)]
    for height, width in zip(sides, sides[::-1], strict=True):
        with torch.no_grad():
            ab = network.chroma(network(*inputs(height, width)), 0.7)
        assert ab.shape == (1, 2, height // 2, width // 2)
        assert torch.isfinite(ab).all()


def test_gradients_reach_what_learns(network: ServedNetwork) -> None:
    lightness, hints = inputs(64, 64, 2)
    if isinstance(network, AutomaticNetwork):
        network.predict(lightness).square().mean().backward()
    else:
        sum(part.square().mean() for part in network(lightness, hints) if part.requires_grad).backward()
    learning = [p for n, p in network.named_parameters() if p.requires_grad and not n.startswith("encoder.stages.0")]
    assert sum(p.grad is not None for p in learning) > 0.9 * len(learning)


def test_one_embedding_serves_any_hints(network: ServedNetwork) -> None:
    network.eval()
    lightness, hints = inputs(64, 64)
    for parameter in (p for p in network.parameters() if not p.any()):  # a head of zeros would hide the hints
        torch.nn.init.normal_(parameter, std=0.05)
    with torch.no_grad():
        embedding = network.encode(lightness)
        together, apart = network(lightness, hints), network.decode(embedding, hints)
        without = network.decode(embedding, torch.zeros_like(hints))
    assert all(torch.equal(a, b) for a, b in zip(together, apart, strict=True))
    assert torch.equal(apart[0], without[0]) == isinstance(network, AutomaticNetwork)


def test_the_configuration_makes_the_same_network(name: str, network: ServedNetwork) -> None:
    again = networks.build(name.split()[0], network.metadata())
    again.load_state_dict(network.state_dict())


def test_a_network_that_is_loaded_draws_no_random_numbers(name: str, network: ServedNetwork) -> None:
    network.eval()
    before = torch.get_rng_state()
    with networks.unset_parameters():
        loaded = networks.build(name.split()[0], network.metadata()).eval()
    assert torch.equal(torch.get_rng_state(), before)
    loaded.load_state_dict(network.state_dict(), strict=True)
    with torch.no_grad():
        ours, theirs = loaded(*inputs(64, 64)), network(*inputs(64, 64))
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(loaded.buffers(), network.buffers(), strict=True))


def test_folded_batch_norms_keep_the_function(name: str, network: ServedNetwork) -> None:
    network.eval()
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
    lightness, hints = inputs(64, 64)
    with torch.no_grad():
        before = network(lightness, hints)[0]
        after = fuse_batch_norms(network)(lightness, hints)[0]
    assert torch.allclose(before, after, atol=1e-3 * max(1, before.abs().max()))
    left = [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert not left or name not in FOLDED_WHOLE


@pytest.mark.parametrize("older", [False, True])
def test_chroma_starts_from_torchvisions_mobilenet(older: bool) -> None:
    torch.manual_seed(0)
    source, encoder = mobilenet_v2(weights=None).eval(), MobileNetV2().eval()
    state = {n: t for n, t in source.state_dict().items() if not (older and n.endswith("num_batches_tracked"))}
    encoder.load_imagenet(state)
    gray = torch.full((1, 1, 64, 64), 0.3) + torch.linspace(-0.2, 0.2, 64)
    normal = (gray - torch.tensor(MEAN)[:, None, None]) / torch.tensor(DEVIATION)[:, None, None]
    with torch.no_grad():
        seen, expected = encoder.stages[0](gray - MEAN_LIGHTNESS), source.features[:2](normal)
    assert torch.allclose(seen[..., 2:-2, 2:-2], expected[..., 2:-2, 2:-2], atol=1e-5)  # the rim is padded otherwise
    for stage, start, end in zip(encoder.stages[1:], MobileNetV2.ENDS, MobileNetV2.ENDS[1:], strict=False):
        with torch.no_grad():
            expected = source.features[start:end](seen)
            seen = stage(seen)
        assert torch.equal(seen, expected)


def test_an_encoder_needs_no_torchvision() -> None:
    code = "import sys; from colorize_engine.networks import encoders; "
    code += "[make() for make in encoders.ENCODERS.values()]; sys.exit('torchvision' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_chroma_starts_from_gluons_resnet50() -> None:
    """The names of its file, and a first convolution that sees in gray what it saw in RGB behind its own norm."""
    torch.manual_seed(0)
    encoder = ResNet50V2().eval()
    state = {"c0.weight": torch.randn(64, 3, 7, 7)}
    for name, channels in (("bn0", 3), ("bn1", 64)):
        state |= {f"{name}.{part}": torch.rand(channels) + 0.5 for part in PARTS}
    for stage, depth in enumerate(ResNet50V2.DEPTHS):
        for block in range(depth):
            ours = encoder.stages[stage + 1][block + (stage == 0)]
            layers = {"bn.0": ours.first[0], "bn.1": ours.body[1], "bn.2": ours.body[4], "sc": ours.shortcut}
            layers |= {"cv.0": ours.body[0], "cv.1": ours.body[3], "cv.2": ours.body[6]}
            for name, layer in ((name, layer) for name, layer in layers.items() if layer):
                parts = {part: torch.rand_like(t) for part, t in layer.state_dict().items() if t.ndim}
                state |= {f"stages.{stage}.{block}.{name}.{part}": tensor for part, tensor in parts.items()}
    encoder.load_imagenet(state)
    assert torch.equal(encoder.stages[2][1].body[6].weight, state["stages.1.1.cv.2.weight"])
    assert torch.equal(encoder.stages[1][1].first[0].running_mean, state["stages.0.0.bn.0.running_mean"])
    gray = torch.full((1, 1, 64, 64), 0.3) + torch.linspace(-0.2, 0.2, 64)
    rgb = (gray - torch.tensor(MEAN)[:, None, None]) / torch.tensor(DEVIATION)[:, None, None]
    bn0 = [state[f"bn0.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
    expected = F.conv2d(F.batch_norm(rgb, *bn0), state["c0.weight"], None, 2, 3)
    with torch.no_grad():
        seen = encoder.stages[0][0](gray - MEAN_LIGHTNESS)
    assert torch.allclose(seen[..., 2:-2, 2:-2], expected[..., 2:-2, 2:-2], atol=1e-3)


@pytest.mark.parametrize("encoder", [MobileNetV2, ResNet50V2])
def test_frozen_stages_stay_as_they_were(encoder: type) -> None:
    network = encoder()
    network.freeze(2)
    sum(level.square().mean() for level in network(torch.rand(1, 1, 64, 64)) if level.requires_grad).backward()
    learned = [[p.grad is not None for p in stage.parameters()] for stage in network.stages]
    assert [all(stage) for stage in learned] == [False, False] + [True] * (len(learned) - 2)
    assert not any(learned[0] + learned[1])


def test_variants_start_where_the_network_is() -> None:
    torch.manual_seed(0)
    late, lightness, hints = Chroma().eval(), *inputs(64, 64)
    torch.nn.init.normal_(late.regression.weight)
    early, palette = EarlyChroma().eval(), PaletteChroma().eval()
    for variant in (early, palette):
        variant.load_state_dict(late.state_dict(), strict=False)
    with torch.no_grad():
        assert torch.allclose(late(lightness, hints).ab, early(lightness, hints).ab, atol=1e-3)
        torch.nn.init.normal_(early.hints_early.weight)
        assert not torch.allclose(late(lightness, hints).ab, early(lightness, hints).ab, atol=1e-1)
        assert torch.allclose(late(lightness, hints).ab, palette(lightness, hints).ab, atol=1e-3)
        torch.nn.init.normal_(palette.palette.weight)
        assert not torch.allclose(late(lightness, hints).ab, palette(lightness, hints).ab, atol=1e-1)


def test_other_starting_weights_are_refused() -> None:
    for encoder in (MobileNetV2, ResNet50V2):
        with pytest.raises(ValueError, match="lack stages.0"):
            encoder().load_imagenet({"conv1.weight": torch.zeros(8)})
