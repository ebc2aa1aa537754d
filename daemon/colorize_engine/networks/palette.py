"""`rtnet` and `hnet`: colour condensed into a palette of 196 values, and that palette guessed from hints.

Daly and Zhao, *CNN Assisted Colorization of Gray-scale Images*.

What the report says in words: the gray picture becomes 128 channels at half resolution in "a portion of VGG16", which
are its first two blocks; the YUV picture is condensed into a vector of 196 (CNN1, ending in ReLU), up-sampled with
smoothing convolutions to 32 channels at half resolution, and joined to VGG's; at each stage of the reconstruction the
batch-normalized features of the corresponding VGG stage are joined in; a sigmoid ends it. HNet makes the same vector of
a picture of four channels, Y, U, V and the hints' mask, and takes CNN1's place. Its figures are not in its text, so the
rest is chosen here: 196 is taken as a map of 14 x 14, which three doublings bring to 112; four strided convolutions and
a linear layer condense; the first layers are narrow, since the report calls HNet smaller.

The report feeds Y, U and V as 0..256 less their mean; here they are 0..1 less 1/2, and VGG's input is normalized as its
weights want it. Y is the gamma-encoded gray of L, as in the photograph that will be coloured.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from colorize_engine.networks.imagenet import normalize
from colorize_engine.networks.served import ServedNetwork, to_chroma_grid
from colorize_engine.networks.spaces import YUV
from colorize_engine.networks.vgg import VggStages

SIDE = 14  # of the palette as a map: 196 values
PALETTE_CHANNELS = 32  # of the up-sampled palette
GRAY = 0.5  # U and V, and the middle of Y


@dataclass(frozen=True)
class PaletteConfig:
    """The report fixes what matters."""


class Condense(nn.Module):
    """Y, U, V and perhaps a mask (B, C, H, W), around 0 -> palette (B, 196), none below 0."""

    WIDTHS = (16, 32, 32, 16)

    def __init__(self, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in self.WIDTHS:
            layers += [nn.Conv2d(channels, width, 3, stride=2, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
            channels = width
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(SIDE), nn.Flatten())
        self.values = nn.Linear(channels * SIDE**2, SIDE**2)

    def forward(self, picture: Tensor) -> Tensor:
        return F.relu(self.values(self.features(picture)))


class RTNet(ServedNetwork):
    """L and the colours that are known -> U and V as 0..1 (`spaces.YUV`).

    In training all colours are known. Served alone, those under the hints are, and the rest is gray.
    """

    Config = PaletteConfig
    stride = 4

    def __init__(self, config: PaletteConfig | None = None) -> None:
        super().__init__(config)
        fine, half = VggStages.CHANNELS[:2]
        self.vgg = VggStages(blocks=2)
        self.condense = Condense(3)
        self.smooth = nn.Sequential(_conv(1, PALETTE_CHANNELS), *(_doubling() for _ in range(3)))
        self.norm_half, self.norm_fine = nn.BatchNorm2d(half), nn.BatchNorm2d(fine)
        self.rebuild_half = nn.Sequential(_conv(half + PALETTE_CHANNELS, half), _conv(half, fine))
        self.rebuild_fine = nn.Sequential(_conv(2 * fine, fine), _conv(fine, fine // 2))
        self.last = nn.Conv2d(fine // 2, 2, 3, padding=1)

    def palette(self, lightness: Tensor, unit_chroma: Tensor) -> Tensor:
        """(B, 196) of L (B, 1, H, W) in 0..100 and U, V (B, 2, H, W) as 0..1, gray where a colour is not known."""
        return self.condense(torch.cat([YUV.lightness(lightness), unit_chroma], 1) - GRAY)

    def look(self, lightness: Tensor) -> tuple[Tensor, Tensor]:
        """VGG's features of the gray picture, batch-normalized: (B, 64, H, W) and (B, 128, H/2, W/2)."""
        fine, half = self.vgg(normalize(YUV.lightness(lightness)))
        return self.norm_fine(fine), self.norm_half(half)

    def rebuild(self, fine: Tensor, half: Tensor, palette: Tensor) -> Tensor:
        """U and V (B, 2, H, W) as 0..1."""
        colours = self.smooth(palette.view(-1, 1, SIDE, SIDE))  # (B, 32, 112, 112)
        colours = F.interpolate(colours, half.shape[2:], mode="bilinear", align_corners=False)
        x = self.rebuild_half(torch.cat([half.expand(len(colours), -1, -1, -1), colours], 1))
        x = F.interpolate(x, fine.shape[2:], mode="bilinear", align_corners=False)
        x = self.rebuild_fine(torch.cat([fine.expand(len(x), -1, -1, -1), x], 1))
        return torch.sigmoid(self.last(x))

    def encode(self, lightness: Tensor) -> tuple[Tensor, ...]:
        return *self.look(lightness), lightness

    def decode(self, embedding: tuple[Tensor, ...], hints: Tensor) -> tuple[Tensor, ...]:
        fine, half, lightness = embedding
        chroma, _ = hinted_chroma(hints, lightness)
        return self.rebuild(fine, half, self.palette(lightness, chroma)), lightness

    def chroma(self, output: tuple[Tensor, ...], temperature: float) -> Tensor:
        chroma, lightness = output
        return to_chroma_grid(YUV.to_ab(chroma.float(), lightness), lightness)


class HintedRTNet(ServedNetwork):
    """RTNet with HNet in CNN1's place: the palette comes from L and hints. RTNet is frozen; HNet alone learns."""

    Config = PaletteConfig
    stride = RTNet.stride

    def __init__(self, config: PaletteConfig | None = None) -> None:
        super().__init__(config)
        self.rtnet = RTNet(config).requires_grad_(False)
        self.condense = Condense(4)

    def train(self, mode: bool = True) -> "HintedRTNet":
        """RTNet's batch norms keep the statistics of its own training."""
        super().train(mode)
        self.rtnet.eval()
        return self

    def palette(self, lightness: Tensor, unit_chroma: Tensor, mask: Tensor) -> Tensor:
        """(B, 196) of L (B, 1, H, W) in 0..100, and of U, V (B, 2, H, W) as 0..1 where the mask (B, 1, H, W) is 1."""
        known = (unit_chroma - GRAY) * mask
        return self.condense(torch.cat([YUV.lightness(lightness) - GRAY, known, mask], 1))

    def encode(self, lightness: Tensor) -> tuple[Tensor, ...]:
        return self.rtnet.encode(lightness)

    def decode(self, embedding: tuple[Tensor, ...], hints: Tensor) -> tuple[Tensor, ...]:
        fine, half, lightness = embedding
        return self.rtnet.rebuild(fine, half, self.palette(lightness, *hinted_chroma(hints, lightness))), lightness

    def chroma(self, output: tuple[Tensor, ...], temperature: float) -> Tensor:
        return self.rtnet.chroma(output, temperature)


def hinted_chroma(hints: Tensor, lightness: Tensor) -> tuple[Tensor, Tensor]:
    """Hint planes (B, 3.., H/2, W/2) -> U, V (B, 2, H, W) as 0..1, gray where there is no hint, and the mask."""
    planes = F.interpolate(hints, lightness.shape[2:], mode="nearest")
    mask = (planes[:, 2:3] > 0).to(planes)
    chroma = YUV.from_ab(planes[:, :2], lightness.expand(len(planes), -1, -1, -1))
    return GRAY + (chroma - GRAY) * mask, mask


def _conv(channels: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU())


def _doubling() -> nn.Sequential:
    bilinear = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
    return nn.Sequential(bilinear, *_conv(PALETTE_CHANNELS, PALETTE_CHANNELS))
