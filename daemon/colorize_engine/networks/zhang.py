"""Nine-block networks after Zhang et al. (2016): regression of ab, or a distribution over ab bins.

Li and Wang, *Image Colorization and Classification*.

Layers are those of the report's Figure 4: 3x3 convolutions, ReLU after each, batch norm at the end of a block, strides
instead of pooling, blocks 5 and 6 dilated, three 4x4 transpose convolutions back to full resolution.

The report names 313 bins, the published list of Zhang et al. Here they are the 260 of that list into which sRGB
colours fall (`bins.bin_centres`). Of the other 53, all at its edge, 52 hold no 8-bit sRGB colour, and one, around
a = -30, b = -40, holds a few that go to its neighbours.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from colorize_engine.networks.bins import annealed_mean, bin_centres
from colorize_engine.networks.imagenet import normalize
from colorize_engine.networks.served import AutomaticNetwork
from colorize_engine.networks.spaces import CIELAB, YUV
from colorize_engine.networks.vgg import VggStages

# Figure 4, blocks 1 to 7: each convolution's channels, stride and dilation
BLOCKS = (
    ((64, 1, 1), (64, 2, 1)),
    ((128, 1, 1), (128, 2, 1)),
    ((256, 1, 1), (256, 1, 1), (256, 2, 1)),
    ((512, 1, 1),) * 3,
    ((512, 1, 2),) * 3,
    ((512, 1, 2),) * 3,
    ((512, 1, 1),) * 3,
)
DECONVOLUTIONS, WIDTH = 3, 256  # block 8


@dataclass(frozen=True)
class ZhangConfig:
    """The report fixes every size."""


class ZhangRegression(AutomaticNetwork):
    """L -> ab as 0..1 (`spaces.CIELAB`) at full resolution."""

    Config = ZhangConfig
    stride = 8

    def __init__(self, config: ZhangConfig | None = None) -> None:
        super().__init__(config)
        self.trunk = _trunk()
        self.up = _deconvolutions()
        self.last = nn.Sequential(nn.Conv2d(WIDTH, 2, 1), nn.Sigmoid())

    def predict(self, lightness: Tensor) -> Tensor:
        return self.last(self.up(self.trunk(lightness / 100)))

    def colour(self, prediction: Tensor, lightness: Tensor, temperature: float) -> Tensor:
        return CIELAB.to_ab(prediction.float(), lightness)


class _OverBins(AutomaticNetwork):
    """Gives a distribution over ab bins; the annealed mean makes a colour of it."""

    Config = ZhangConfig
    stride = 8
    centres: Tensor  # (K, 2), see `bin_centres`

    def __init__(self, config: ZhangConfig | None = None) -> None:
        super().__init__(config)
        self.register_buffer("centres", bin_centres(), persistent=False)

    def colour(self, prediction: Tensor, lightness: Tensor, temperature: float) -> Tensor:
        return annealed_mean(prediction, temperature, self.centres)


class ZhangClassification(_OverBins):
    """L -> logits (B, K, H, W) over `bin_centres()`; temperature 1 gives the mean, towards 0 the mode."""

    def __init__(self, config: ZhangConfig | None = None) -> None:
        super().__init__(config)
        self.trunk = _trunk()
        self.up = _deconvolutions()
        self.last = nn.Conv2d(WIDTH, len(self.centres), 1)

    def predict(self, lightness: Tensor) -> Tensor:
        return self.last(self.up(self.trunk(lightness / 100)))


class ZhangClassificationVgg(_OverBins):
    """Transfer learning: VGG16's five blocks in place of blocks 1 to 7; logits (B, K, H, W) as above.

    VGG's fifth block has stride 16, from which the three deconvolutions of block 8 come back to half the picture's
    size only, and the report does not say what it did. Here it is done as Zhang et al. made their network of VGG: no
    pooling before the fifth block, its convolutions dilated by two instead, so that they reach as far as in VGG; block
    8 stays as it is. The input is the picture's gray value as RGB, normalized as VGG's training pictures were.
    """

    def __init__(self, config: ZhangConfig | None = None) -> None:
        super().__init__(config)
        self.encoder = _DilatedVgg()
        self.up = _deconvolutions()
        self.last = nn.Conv2d(WIDTH, len(self.centres), 1)

    def predict(self, lightness: Tensor) -> Tensor:
        rgb = normalize(YUV.lightness(lightness))  # (B, 3, H, W)
        return self.last(self.up(self.encoder(rgb)[-1]))


class _DilatedVgg(VggStages):
    """VGG16's five blocks, the fifth at the fourth's resolution: (B, 3, H, W) -> strides 1, 2, 4, 8, 8."""

    POOLINGS = 3

    def __init__(self) -> None:
        super().__init__()
        for layer in self.blocks[-1].children():
            if isinstance(layer, nn.Conv2d):
                layer.dilation = layer.padding = (2, 2)


def _trunk() -> nn.Sequential:
    """Blocks 1 to 7: (B, 1, H, W) -> (B, 512, H/8, W/8)."""
    layers: list[nn.Module] = []
    channels = 1
    for block in BLOCKS:
        for out, stride, dilation in block:
            layers += [nn.Conv2d(channels, out, 3, stride, padding=dilation, dilation=dilation), nn.ReLU()]
            channels = out
        layers.append(nn.BatchNorm2d(channels))
    return _started(nn.Sequential(*layers))


def _deconvolutions() -> nn.Sequential:
    """Block 8: (B, 512, h, w) -> (B, 256, 8 h, 8 w)."""
    layers: list[nn.Module] = []
    for channels in (BLOCKS[-1][-1][0], *[WIDTH] * (DECONVOLUTIONS - 1)):
        layers += [nn.ConvTranspose2d(channels, WIDTH, 4, stride=2, padding=1), nn.ReLU()]
    return _started(nn.Sequential(*layers))


def _started(module: nn.Sequential) -> nn.Sequential:
    """He et al. (2015): three convolutions in a row without a norm would otherwise lose the signal."""
    for layer in module:
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.get_parameter("bias"))
    return module
