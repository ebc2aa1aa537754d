"""Batch norms whose statistics were folded into their convolutions, made fit for training again."""

import torch
from torch import Tensor, nn


def folded(state: dict[str, Tensor]) -> bool:
    """Whether the batch norms of an encoder's state say nothing but a bias, as files for inference alone have them."""
    means = [tensor for name, tensor in state.items() if name.endswith("running_mean")]
    return bool(means) and not any(mean.any() for mean in means)


@torch.no_grad()
def unfold(network: nn.Module, inputs: Tensor) -> None:
    """Give every batch norm of `network` the statistics of `inputs`, and keep the function that it has in eval mode.

    Without this the first training step would normalize what the folded weights expect as it is.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    seen: dict[nn.BatchNorm2d, tuple[Tensor, Tensor]] = {}

    def note(norm: nn.Module, inputs: tuple[Tensor]) -> None:
        if isinstance(norm, nn.BatchNorm2d):
            seen[norm] = _statistics(inputs[0])

    hooks = [norm.register_forward_pre_hook(note) for norm in norms]
    was_training = network.training
    network.eval()(inputs)
    network.train(was_training)
    for hook in hooks:
        hook.remove()
    for norm, (mean, variance) in seen.items():
        if norm.running_mean is None or norm.running_var is None:
            continue  # it keeps no statistics, so that nothing was folded
        slope = norm.weight / (norm.running_var + norm.eps).sqrt()
        norm.bias.add_(slope * (mean - norm.running_mean))
        norm.weight.copy_(slope * (variance + norm.eps).sqrt())
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)


def _statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    variance, mean = torch.var_mean(x, (0, 2, 3))
    return mean, variance
