"""Every network that can be served: any size, any hints, and folded batch norms."""

import pytest
import torch
from colorize_daemon import networks
from colorize_daemon.engine import fuse_batch_norms
from colorize_daemon.networks.chroma import MEAN_LIGHTNESS, Encoder
from colorize_daemon.networks.imagenet import DEVIATION, MEAN
from colorize_daemon.networks.served import AutomaticNetwork, ServedNetwork
from torchvision.models import mobilenet_v2

FOLDED_WHOLE = {"chroma"}  # networks in which every batch norm follows a convolution


@pytest.fixture(params=networks.recipes())
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def network(name: str) -> ServedNetwork:
    torch.manual_seed(0)
    return networks.build(name, {})


def inputs(height: int, width: int, batch: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(height)
    lightness = torch.rand(batch, 1, height, width, generator=generator) * 100
    hints = torch.zeros(batch, 3, height // 2, width // 2)
    hints[:, :, 3:5, 4:6] = torch.tensor([40.0, 20.0, 1.0])[:, None, None]
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
    again = networks.build(name, network.metadata())
    again.load_state_dict(network.state_dict())


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
    source, encoder = mobilenet_v2(weights=None).eval(), Encoder().eval()
    state = {n: t for n, t in source.state_dict().items() if not (older and n.endswith("num_batches_tracked"))}
    encoder.load_imagenet(state)
    gray = torch.full((1, 1, 64, 64), 0.3) + torch.linspace(-0.2, 0.2, 64)
    normal = (gray - torch.tensor(MEAN)[:, None, None]) / torch.tensor(DEVIATION)[:, None, None]
    with torch.no_grad():
        seen, expected = encoder.stages[0](gray - MEAN_LIGHTNESS), source.features[:2](normal)
    assert torch.allclose(seen[..., 2:-2, 2:-2], expected[..., 2:-2, 2:-2], atol=1e-5)  # the rim is padded otherwise


def test_other_starting_weights_are_refused() -> None:
    with pytest.raises(ValueError, match="lack stages.0"):
        Encoder().load_imagenet({"conv1.weight": torch.zeros(8)})
