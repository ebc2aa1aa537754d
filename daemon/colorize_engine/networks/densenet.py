"""`densenet`: the first 52 layers of DenseNet-121 and a decoder of convolutions and upsampling.

Akbulut and Atay, *Image Colorization with DenseNet*.

The report counts "layers" without saying which. We read it as Keras lists them (the report's (224, 224, 2) is Keras's
order of axes), leaving out the input, which is none: padding, conv1, its batch norm and ReLU, padding and pooling are
6; each of the six dense layers of block 1 is 7 (batch norm, ReLU, 1x1 convolution, batch norm, ReLU, 3x3 convolution,
concatenation), 42; transition 1 is 4 (batch norm, ReLU, convolution, pooling): 6 + 42 + 4 = 52, exactly the end of
transition 1. That gives 128 channels at stride 8, just what the report's model, Automatic Image Colorization (its [2]),
takes from ResNet-18 for its own decoder. Counted in convolutions, 52 would end inside a dense layer of block 3.

The decoder is that work's: 3x3 convolutions of 128, 64, 64, 32 and 2 channels, doubling the size by nearest neighbour
after the first, the third and the last.
"""

import re
from collections import OrderedDict
from dataclasses import dataclass

from torch import Tensor, nn
from torchvision.models import DenseNet

from colorize_engine.networks.imagenet import load_encoder, normalize
from colorize_engine.networks.served import AutomaticNetwork
from colorize_engine.networks.spaces import CIELAB

GROWTH, DENSE_LAYERS, FEATURES = 32, 6, 128  # of DenseNet-121 up to its first transition
_LATER = ("denseblock2.", "denseblock3.", "denseblock4.", "transition2.", "transition3.", "norm5.", "classifier.")
_OLD_NAME = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")  # torchvision's files say "norm.1." for "norm1."


@dataclass(frozen=True)
class DenseNetConfig:
    """norm_eps: of the encoder's batch norms; 1e-5 is torchvision's, 1.001e-5 that of weights that come from Keras."""

    norm_eps: float = 1e-5


class DenseNetRegression(AutomaticNetwork):
    """L (B, 1, H, W) in 0..100 -> ab (B, 2, H, W), -110..110 as 0..1, without bounds. Sides are multiples of 8.

    The encoder sees L / 100 in three channels, with ImageNet's normalization.
    """

    Config = DenseNetConfig
    stride = 8

    def __init__(self, config: DenseNetConfig | None = None) -> None:
        super().__init__(config)
        self.encoder = _encoder(self.config.norm_eps)
        self.decoder = nn.Sequential(
            *_block(FEATURES, 128), _double(), *_block(128, 64), *_block(64, 64), _double(), *_block(64, 32),
            nn.Conv2d(32, 2, 3, padding=1), _double(),
        )  # fmt: skip
        nn.init.constant_(self.decoder[-2].get_parameter("bias"), 0.5)  # start around gray, not around deep green

    def predict(self, lightness: Tensor) -> Tensor:
        """ab (B, 2, H, W) as `CIELAB.scale` gives it."""
        return self.decoder(self.encoder(normalize(lightness / 100)))

    def colour(self, prediction: Tensor, lightness: Tensor, temperature: float) -> Tensor:
        return CIELAB.unscale(prediction)

    def load_imagenet(self, state: dict[str, Tensor]) -> None:
        """Start the encoder from torchvision's `densenet121` state, with or without "features." before the names.

        Later blocks and the classifier are left out. Raises ValueError for names that are missing or unknown.
        """
        own = {_OLD_NAME.sub(r"\1\2", name.removeprefix("features.")): tensor for name, tensor in state.items()}
        load_encoder(self.encoder, own, unused=_LATER)


def _encoder(norm_eps: float) -> nn.Sequential:
    """conv0, norm0, relu0, pool0, denseblock1, transition1 of torchvision's: (B, 3, H, W) -> (B, 128, H/8, W/8)."""
    features = DenseNet(GROWTH, (DENSE_LAYERS, 1), num_classes=1).features  # the second block brings the transition
    for module in features.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = norm_eps
    children = list(features.named_children())
    end = next(place for place, (name, _) in enumerate(children) if name == "transition1") + 1
    return nn.Sequential(OrderedDict(children[:end]))


def _block(channels: int, out: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(channels, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU()


def _double() -> nn.Upsample:
    return nn.Upsample(scale_factor=2.0)
