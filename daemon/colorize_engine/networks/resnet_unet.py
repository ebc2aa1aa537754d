"""`resnet-gan`'s generator: a U-Net on a ResNet-18 encoder.

Zia and Malik, *Image Colorization using Conditional Generative Adversarial Networks*, "Main Approach".

The report builds it "using fastai library's built-in function", that is DynamicUnet on create_body(resnet18): the
widths, the batch norm of the skip connections, the joining by concatenation, the pixel shuffle with ICNR start and the
last cross connection from the input are DynamicUnet's. Two choices are not: DynamicUnet ends linear, here the output
passes a tanh as in pix2pix (Isola et al. 2017, the report's [3]); and it adds the first convolution's kernels over RGB,
here they are also divided by ImageNet's deviations, so that the first features are those of a gray picture.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import resnet18
from torchvision.models.resnet import BasicBlock

from colorize_engine.colour.constants import AB_SCALE
from colorize_engine.networks.imagenet import DEVIATION, MEAN, load_encoder
from colorize_engine.networks.served import AutomaticNetwork

_PLACES = {  # of torchvision's layers within `Residual` and `Encoder.stem`
    "conv1": "body.0",
    "bn1": "body.1",
    "conv2": "body.3",
    "bn2": "body.4",
    "downsample": "shortcut",
}


@dataclass(frozen=True)
class ResNetUNetConfig:
    """upsampling: "pixel-shuffle" (fastai's, ICNR start) or "upsample" (nearest neighbour, then a 3x3 convolution)."""

    upsampling: str = "pixel-shuffle"


class ResNetUNet(AutomaticNetwork):
    """L (B, 1, H, W) in 0..100 -> ab / 110 (B, 2, H, W) in -1..1 at full size; sides are any multiples of 32.

    Raises ValueError for an unknown `upsampling`.
    """

    Config = ResNetUNetConfig
    stride = 32

    def __init__(self, config: ResNetUNetConfig | None = None) -> None:
        super().__init__(config)
        way = self.config.upsampling
        self.encoder = Encoder()
        *skips, deepest = Encoder.CHANNELS
        self.middle = nn.Sequential(
            nn.BatchNorm2d(deepest), nn.ReLU(), *_convolution(deepest, 2 * deepest), *_convolution(2 * deepest, deepest)
        )
        self.joins, channels = nn.ModuleList(), deepest
        for place, skip in reversed(list(enumerate(skips))):
            join = Join(channels, skip, way, narrow=place == 0)
            self.joins.append(join)
            channels = join.channels
        self.up = up(channels, channels, way)
        self.last = LastCross(channels + 1)

    def predict(self, lightness: Tensor) -> Tensor:
        """ab / 110 (B, 2, H, W) in -1..1."""
        picture = lightness / 50 - 1
        *skips, x = self.encoder(picture)
        x = self.middle(x)
        for join, skip in zip(self.joins, reversed(skips), strict=True):
            x = join(x, skip)
        return torch.tanh(self.last(torch.cat([self.up(x), picture], 1)))

    def colour(self, prediction: Tensor, lightness: Tensor, temperature: float) -> Tensor:
        return prediction * AB_SCALE  # from -1..1, a tanh's range


class Residual(nn.Module):
    """torchvision's BasicBlock with its batch norms beside their convolutions, where the engine can fold them."""

    def __init__(self, block: BasicBlock) -> None:
        super().__init__()
        self.body = nn.Sequential(block.conv1, block.bn1, nn.ReLU(), block.conv2, block.bn2)
        self.shortcut = nn.Identity() if block.downsample is None else block.downsample

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.shortcut(x))


class Encoder(nn.Module):
    """ResNet-18's features of a one-channel picture in -1..1, at strides 2, 4, 8, 16 and 32."""

    CHANNELS = (64, 64, 128, 256, 512)

    def __init__(self) -> None:
        super().__init__()
        source = resnet18(weights=None)
        self.stem = nn.Sequential(
            nn.Conv2d(1, self.CHANNELS[0], 7, stride=2, padding=3, bias=False), source.bn1, nn.ReLU()
        )
        self.pool = source.maxpool
        layers = (source.layer1, source.layer2, source.layer3, source.layer4)
        self.layers = nn.ModuleList(nn.Sequential(*map(Residual, layer)) for layer in layers)

    def forward(self, picture: Tensor) -> list[Tensor]:
        levels = [self.stem(picture)]
        x = self.pool(levels[0])
        for layer in self.layers:
            x = layer(x)
            levels.append(x)
        return levels

    def load_imagenet(self, state: dict[str, Tensor]) -> bool:
        """Start from torchvision's `resnet18` state; False where that has no layer4, which then stays random.

        Raises ValueError for names that are missing or unknown.
        """
        own = {_own_name(name): tensor.float() for name, tensor in state.items()}
        whole = any(name.startswith("layers.3.") for name in own)
        if not whole:
            own |= {name: tensor for name, tensor in self.state_dict().items() if name.startswith("layers.3.")}
        if "stem.0.weight" in own and "stem.1.running_mean" in own:
            own["stem.0.weight"], rise = _gray_kernel(own["stem.0.weight"])
            own["stem.1.running_mean"] = own["stem.1.running_mean"] - rise
        load_encoder(self, own, unused=("fc.",))
        return whole


class Join(nn.Module):
    """fastai's UnetBlock: twice the size, joined by concatenation to a batch-normalized skip connection."""

    def __init__(self, channels: int, skip: int, way: str, narrow: bool) -> None:
        super().__init__()
        joined = channels // 2 + skip
        self.channels = joined // 2 if narrow else joined
        self.up = up(channels, channels // 2, way)
        self.norm = nn.BatchNorm2d(skip)
        self.body = nn.Sequential(*_convolution(joined, self.channels), *_convolution(self.channels, self.channels))

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.body(F.relu(torch.cat([self.up(x), self.norm(skip)], 1)))


class LastCross(nn.Module):
    """fastai's last block: a residual one on features joined to the picture itself, then ab."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*_convolution(channels, channels), nn.Conv2d(channels, channels, 3, padding=1))
        self.ab = nn.Conv2d(channels, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.ab(F.relu(x + self.body(x)))


def up(channels: int, out: int, way: str) -> nn.Sequential:
    """Twice the size, (B, channels, h, w) -> (B, out, 2h, 2w). Raises ValueError for an unknown way."""
    if way == "upsample":
        return nn.Sequential(nn.Upsample(scale_factor=2.0), *_convolution(channels, out))
    if way != "pixel-shuffle":
        raise ValueError(f"upsampling is pixel-shuffle or upsample, not {way!r}")
    spread = nn.Conv2d(channels, 4 * out, 1)
    _start_icnr(spread)
    return nn.Sequential(spread, nn.ReLU(), nn.PixelShuffle(2))


@torch.no_grad()
def _start_icnr(spread: nn.Conv2d) -> None:
    """The four kernels of an output channel start alike, so the shuffle starts without a checkerboard.

    Aitken et al. 2017, "Checkerboard artifact free sub-pixel convolution"; biases start at 0 as in fastai.
    """
    kernel = nn.init.kaiming_normal_(spread.weight[::4].clone())
    spread.weight.copy_(kernel.repeat_interleave(4, 0))
    nn.init.zeros_(spread.get_parameter("bias"))


def _convolution(channels: int, out: int) -> tuple[nn.Module, nn.Module]:
    """fastai's ConvLayer without a norm; its start keeps the signal's variance through the many layers."""
    convolution = nn.Conv2d(channels, out, 3, padding=1)
    nn.init.kaiming_uniform_(convolution.weight, nonlinearity="relu")
    nn.init.zeros_(convolution.get_parameter("bias"))
    return convolution, nn.ReLU()


def _own_name(name: str) -> str:
    """torchvision's "layer2.0.conv1.weight" -> "layers.1.0.body.0.weight"; "bn1.bias" -> "stem.1.bias"."""
    first, *rest = name.split(".")
    if first in ("conv1", "bn1"):
        return ".".join([_PLACES[first].replace("body", "stem"), *rest])
    if first.startswith("layer") and len(rest) > 1:
        block, layer, *tail = rest
        return ".".join(["layers", str(int(first[5:]) - 1), block, _PLACES.get(layer, layer), *tail])
    return name


def _gray_kernel(kernel: Tensor) -> tuple[Tensor, Tensor]:
    """RGB kernel (C, 3, k, k) for ImageNet's normalization -> gray kernel (C, 1, k, k) for -1..1, and a constant (C,).

    The RGB kernel's response to a gray picture is the gray kernel's plus the constant (but for the zeros at the rim).
    """
    mean, deviation = kernel.new_tensor(MEAN), kernel.new_tensor(DEVIATION)
    scaled = kernel / deviation[:, None, None]
    rise = ((0.5 - mean)[:, None, None] * scaled).sum((1, 2, 3))
    return scaled.sum(1, keepdim=True) / 2, rise
