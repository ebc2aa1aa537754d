import pytest
import torch
from colorize_daemon import networks
from colorize_daemon.engine import fuse_batch_norms

SIZES = [(32, 32), (64, 96), (160, 32)]


@pytest.fixture(params=networks.recipes())
def network(request: pytest.FixtureRequest) -> torch.nn.Module:
    torch.manual_seed(0)
    return networks.build(request.param, {})


def inputs(height: int, width: int, batch: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(height)
    lightness = torch.rand(batch, 1, height, width, generator=generator) * 100
    hints = torch.zeros(batch, 3, height // 2, width // 2)
    hints[:, :, 3:5, 4:6] = torch.tensor([40.0, 20.0, 1.0])[:, None, None]
    return lightness, hints


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_every_network_goes_forward_and_backward(network, height: int, width: int) -> None:
    output = network(*inputs(height, width))
    ab = network.chroma(output, 0.7)
    assert ab.shape == (2, 2, height // 2, width // 2)
    assert torch.isfinite(ab).all()
    (output.ab.square().mean() + output.logits.square().mean()).backward()
    trained = [p for name, p in network.named_parameters() if not name.startswith("encoder.stages.0")]
    assert sum(p.grad is not None for p in trained) > len(trained) / 2


def test_one_embedding_serves_any_hints(network) -> None:
    network.eval()
    lightness, hints = inputs(64, 64)
    torch.nn.init.normal_(network.regression.weight)
    with torch.no_grad():
        embedding = network.encode(lightness)
        together, apart = network(lightness, hints), network.decode(embedding, hints)
        without = network.decode(embedding, torch.zeros_like(hints))
    assert torch.equal(together.ab, apart.ab)
    assert not torch.allclose(apart.ab, without.ab)


def test_fused_batch_norms_keep_the_function(network) -> None:
    network.eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 2)
    lightness, hints = inputs(64, 64)
    with torch.no_grad():
        before = network(lightness, hints).logits
        after = fuse_batch_norms(network)(lightness, hints).logits
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in network.modules())
    assert torch.allclose(before, after, atol=1e-3)
