"""VGG16's convolutions (Simonyan and Zisserman 2015, configuration D), cut before each pooling."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

DEPTHS = (2, 2, 3, 3, 3)  # convolutions of each block


class VggStages(nn.Module):
    """The first `blocks` of VGG16's five blocks, started as torchvision starts them."""

    CHANNELS = (64, 128, 256, 512, 512)
    POOLINGS = 4  # one before each block but the first

    def __init__(self, blocks: int = 5) -> None:
        super().__init__()
        inputs = (3, *self.CHANNELS)
        self.blocks = nn.ModuleList(_block(inputs[i], inputs[i + 1], DEPTHS[i]) for i in range(blocks))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Normalized RGB (B, 3, H, W) -> each block's features, (B, CHANNELS[i], H / 2**i, W / 2**i)."""
        levels: list[Tensor] = []
        for block in self.blocks:
            x = block(F.max_pool2d(x, 2) if 0 < len(levels) <= self.POOLINGS else x)
            levels.append(x)
        return levels

    def load_imagenet(self, state: dict[str, Tensor]) -> None:
        """Start from torchvision's `vgg16` state; raises ValueError where a convolution is missing or differs."""
        own: dict[str, Tensor] = {}
        number = 0  # within torchvision's `features`
        for i, block in enumerate(self.blocks):
            for j, layer in enumerate(block.children()):
                if isinstance(layer, nn.Conv2d):
                    for part in ("weight", "bias"):
                        own[f"blocks.{i}.{j}.{part}"] = _taken(state, f"features.{number}.{part}", getattr(layer, part))
                number += 1
            number += 1  # the pooling
        self.load_state_dict(own)


def _block(channels: int, out: int, depth: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(depth):
        convolution = nn.Conv2d(channels, out, 3, padding=1)
        nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(convolution.get_parameter("bias"))
        layers += [convolution, nn.ReLU()]
        channels = out
    return nn.Sequential(*layers)


def _taken(state: dict[str, Tensor], name: str, like: Tensor) -> Tensor:
    if name not in state or state[name].shape != like.shape:
        raise ValueError(f"these are not vgg16's weights: {name} is missing or has another shape")
    return state[name].to(torch.float32)
