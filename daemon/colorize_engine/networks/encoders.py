"""Encoders of a photograph's lightness, to start from ImageNet weights; their batch norms keep what they learned there.

Both read one channel: the first convolution is summed over RGB, with the colours' normalization in it.
"""

import re
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from colorize_engine.networks.imagenet import DEVIATION, MEAN, load_encoder

MEAN_LIGHTNESS = 0.45  # of photographs, L / 100; encoders see L / 100 minus this


class Encoder(nn.Module):
    """(B, 1, H, W) -> features (B, CHANNELS[s], H/s, W/s) of every stride s in CHANNELS, from the finest on."""

    CHANNELS: ClassVar[dict[int, int]]
    stages: nn.ModuleList
    frozen = 0  # stages that training leaves alone

    def forward(self, x: Tensor) -> list[Tensor]:
        levels = []
        for number, stage in enumerate(self.stages):
            with torch.set_grad_enabled(torch.is_grad_enabled() and number >= self.frozen):
                x = stage(x)
            levels.append(x)
        return levels

    def freeze(self, stages: int) -> None:
        """Leave the first stages as they are: they fit any photograph, and they cost most."""
        self.frozen = stages
        self.stages[:stages].requires_grad_(False)

    def train(self, mode: bool = True) -> "Encoder":
        """Batch norms keep the statistics of their ImageNet training: small batches of crops would spoil them."""
        return super().train(False)

    def load_imagenet(self, state: dict[str, Tensor]) -> None:
        """Start from the architecture's pretrained state. Raises ValueError where a layer is missing."""
        raise NotImplementedError


class MobileNetV2(Encoder):
    """Sandler et al. 2018, torchvision's `mobilenet_v2` without its last convolution.

    Its layers are made here: to import torchvision takes seconds and 200 MB.
    """

    CHANNELS: ClassVar = {2: 16, 4: 24, 8: 32, 16: 96, 32: 320}
    FIRST = 32  # channels of the first convolution
    # Of each group of blocks, table 2: expansion, channels, blocks, stride of the first of them.
    GROUPS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    ENDS = (2, 4, 7, 14, 18)  # of the stages within torchvision's `features`

    def __init__(self) -> None:
        super().__init__()
        features, channels = nn.Sequential(_normed(1, self.FIRST, 3, stride=2, bias=True)), self.FIRST
        for expansion, out, count, first in self.GROUPS:
            for number in range(count):
                features.append(InvertedResidual(channels, out, 1 if number else first, expansion))
                channels = out
        starts = (0, *self.ENDS[:-1])
        self.stages = nn.ModuleList(features[a:b] for a, b in zip(starts, self.ENDS, strict=True))

    def load_imagenet(self, state: dict[str, Tensor]) -> None:
        """From torchvision's state, its batch norms folded or not."""
        first = "stages.0.0.0"
        theirs = {name: f"features.{name.split('.', 2)[2]}" for name in self.state_dict()}  # torchvision's names
        own = {name: state[their] for name, their in theirs.items() if their in state}
        if f"{first}.weight" in own:
            slope = 1 / torch.tensor(DEVIATION)
            own |= _gray_convolution(first, own[f"{first}.weight"], slope, -torch.tensor(MEAN) * slope)
        load_encoder(self, own, unused=())


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution and linear bottleneck (Sandler et al. 2018, figure 4); torchvision's names."""

    def __init__(self, channels: int, out: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = expansion * channels
        expand = [_normed(channels, inner, 1)] if expansion > 1 else []
        bottleneck = nn.Conv2d(inner, out, 1, bias=False), nn.BatchNorm2d(out)
        self.conv = nn.Sequential(*expand, _normed(inner, inner, 3, stride, groups=inner), *bottleneck)
        self.is_residual = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.is_residual else self.conv(x)


def _normed(channels: int, out: int, side: int, stride: int = 1, groups: int = 1, bias: bool = False) -> nn.Sequential:
    convolution = nn.Conv2d(channels, out, side, stride, side // 2, groups=groups, bias=bias)
    return nn.Sequential(convolution, nn.BatchNorm2d(out), nn.ReLU6(inplace=True))


class ResNet50V2(Encoder):
    """He et al. 2016, "Identity Mappings": pre-activation, without the last of the four stages."""

    CHANNELS: ClassVar = {2: 64, 4: 256, 8: 512, 16: 1024}
    DEPTHS = (3, 4, 6)

    def __init__(self) -> None:
        super().__init__()
        channels = list(self.CHANNELS.values())
        stem = nn.Sequential(nn.Conv2d(1, channels[0], 7, 2, 3), nn.BatchNorm2d(channels[0]), nn.ReLU())
        stages = [stem]
        for number, depth in enumerate(self.DEPTHS):
            inputs, outputs = channels[number], channels[number + 1]
            blocks = [PreActivation(inputs, outputs, 1 if number == 0 else 2)]
            blocks += [PreActivation(outputs, outputs, 1) for _ in range(depth - 1)]
            stages.append(nn.Sequential(*([nn.MaxPool2d(3, 2, 1)] if number == 0 else []), *blocks))
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Normalized: what a pre-activation network carries from block to block has no scale of its own."""
        return [F.group_norm(level, 32) for level in super().forward(x)]

    def load_imagenet(self, state: dict[str, Tensor]) -> None:
        """From Gluon's `resnet50_v2` in the names bn0, c0, bn1, stages.S.B.bn.N, .cv.N and .sc."""
        own = {name: tensor.float() for name, tensor in state.items() if not name.startswith(("bn0.", "c0.", "bn1."))}
        own = {_own_name(name): tensor for name, tensor in own.items()}
        own |= {name.replace("bn1.", "stages.0.1."): t for name, t in state.items() if name.startswith("bn1.")}
        if {"c0.weight", "bn0.running_var"} <= state.keys():
            bn0 = {part: state[f"bn0.{part}"].float() for part in ("weight", "bias", "running_mean", "running_var")}
            scale = bn0["weight"] / (bn0["running_var"] + nn.BatchNorm2d(1).eps).sqrt()
            slope = scale / torch.tensor(DEVIATION)
            offset = bn0["bias"] - scale * bn0["running_mean"] - slope * torch.tensor(MEAN)
            own |= _gray_convolution("stages.0.0", state["c0.weight"], slope, offset)
        load_encoder(self, own, unused=())


class PreActivation(nn.Module):
    """Residual bottleneck; every norm and ReLU before its convolution. The shortcut starts at the first ReLU."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        inner = out // 4
        self.first = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU())
        self.body = nn.Sequential(
            nn.Conv2d(channels, inner, 1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
            nn.Conv2d(inner, inner, 3, stride, 1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
            nn.Conv2d(inner, out, 1, bias=False),
        )
        self.shortcut = None if channels == out else nn.Conv2d(channels, out, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        return self.body(y) + (x if self.shortcut is None else self.shortcut(y))


ENCODERS = {"mobilenet_v2": MobileNetV2, "resnet50_v2": ResNet50V2}


def _own_name(name: str) -> str:
    """Gluon's place of a layer in a block -> ours: "stages.1.0.cv.2.weight" -> "stages.2.0.body.6.weight"."""
    match = re.fullmatch(r"stages\.(\d)\.(\d)\.(sc|cv|bn)\.?(\d?)\.(\w+)", name)
    if not match:
        return name
    stage, block, kind, number, part = match.groups()
    place = int(block) + (stage == "0")  # in the first stage, pooling comes first
    n = int(number or 0)
    layer = {"sc": "shortcut", "cv": f"body.{3 * n}", "bn": f"body.{3 * n - 2}" if n else "first.0"}[kind]
    return f"stages.{int(stage) + 1}.{place}.{layer}.{part}"


def _gray_convolution(name: str, kernel: Tensor, slope: Tensor, offset: Tensor) -> dict[str, Tensor]:
    """A convolution (C, 3, k, k) of slope * RGB + offset, each (3,), as one of gray minus MEAN_LIGHTNESS, with a bias.

    The same but for the rim, which is padded after the normalization.
    """
    kernel = kernel.float()
    constant = (slope * MEAN_LIGHTNESS + offset)[:, None, None]
    weight = (kernel * slope[:, None, None]).sum(1, keepdim=True)
    return {f"{name}.weight": weight, f"{name}.bias": (kernel * constant).sum((1, 2, 3))}
