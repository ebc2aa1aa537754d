"""`vgg-regression`: VGG16's features, summed level by level into a decoder, give CIELUV's u and v.

Pathak, *Image Colorization*.

The report takes the network of Hwang and Zhou (2016), which is the residual encoder of Dahl (2016): from the deepest
features upwards, each level is brought to twice the size and the channels of the next one, whose batch-normalized VGG
features are added, element by element. The report's own change is the transpose convolution in place of bilinear
interpolation. It shows the widths in a figure alone; here every level has the width of its VGG block, so that VGG's
features are summed as the batch norm leaves them, with no 1x1 convolution between.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from colorize_engine.networks.served import AutomaticNetwork
from colorize_engine.networks.spaces import CIELUV
from colorize_engine.networks.vgg import VggStages

LAST = {"sigmoid": nn.Sigmoid, "relu": nn.ReLU}
UPSAMPLING = ("transpose", "bilinear")


@dataclass(frozen=True)
class VggRegressionConfig:
    """mean and deviation of L / 100 in the training data; defaults are Flickr8k's (Pathak, section 4.1).

    last: a name in LAST; upsampling: a name in UPSAMPLING. The network raises ValueError for any other.
    """

    mean: float = 0.4697
    deviation: float = 0.2610
    last: str = "sigmoid"
    upsampling: str = "transpose"


class VggRegression(AutomaticNetwork):
    """L -> u and v of CIELUV, scaled to 0..1 (`spaces.CIELUV`), at full resolution."""

    Config = VggRegressionConfig
    stride = 16

    def __init__(self, config: VggRegressionConfig | None = None) -> None:
        super().__init__(config)
        _require("last", self.config.last, LAST)
        _require("upsampling", self.config.upsampling, UPSAMPLING)
        widths = VggStages.CHANNELS
        self.encoder = VggStages()
        self.skips = nn.ModuleList(nn.BatchNorm2d(width) for width in widths)
        steps = zip(widths[:0:-1], widths[-2::-1], strict=True)  # (512, 512), (512, 256), (256, 128), (128, 64)
        self.ups = nn.ModuleList(_up(wide, narrow, self.config.upsampling) for wide, narrow in steps)
        self.refine = nn.ModuleList(_conv(width, width) for width in widths[-2::-1])
        self.last = nn.Sequential(nn.Conv2d(widths[0], 2, 3, padding=1), LAST[self.config.last]())

    def predict(self, lightness: Tensor) -> Tensor:
        gray = (lightness / 100 - self.config.mean) / self.config.deviation
        levels = self.encoder(gray.expand(-1, 3, -1, -1))
        x = self.skips[-1](levels[-1])
        for number, (up, refine) in enumerate(zip(self.ups, self.refine, strict=True)):
            level = len(levels) - 2 - number
            x = refine(up(x) + self.skips[level](levels[level]))
        return self.last(x)

    def colour(self, prediction: Tensor, lightness: Tensor, temperature: float) -> Tensor:
        return CIELUV.to_ab(torch.clamp(prediction.float(), 0, 1), lightness)


def _require(setting: str, value: str, known: Iterable[str]) -> None:
    if value not in known:
        raise ValueError(f"{setting} is one of {', '.join(known)}, not {value!r}")


def _conv(channels: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU())


def _up(channels: int, out: int, upsampling: str) -> nn.Sequential:
    """To `out` channels at twice the size."""
    if upsampling == "transpose":
        transposed = nn.ConvTranspose2d(channels, out, 4, stride=2, padding=1)
        return nn.Sequential(transposed, nn.BatchNorm2d(out), nn.ReLU())
    bilinear = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
    return nn.Sequential(*_conv(channels, out), bilinear)
