"""`chroma`, the default network: the photograph is encoded once, hints enter late.

An encoder with ImageNet's features (`encoders`) reads L alone; everything that follows from L alone belongs to the
embedding. The decoder joins hints to the embedding at strides 16, 4 and 2, so a changed stroke repeats only the
decoder. Global attention at stride 16 carries a hint to everything alike (as iColoriT does, Yun et al. 2023). Two
heads: a distribution over in-gamut ab bins at stride 4, and a regression of ab at stride 2.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from colorize_engine.colour.constants import AB_SCALE
from colorize_engine.networks.bins import annealed_mean, bin_centres
from colorize_engine.networks.encoders import ENCODERS, MEAN_LIGHTNESS
from colorize_engine.networks.served import ServedNetwork

REGRESSION_AT, DISTRIBUTION_AT = 1.0, 0.1  # temperatures between which the result moves from one head to the other
# Temperature of the annealed mean, at most. Alone it is as colourful as the truth, and blotched with red; mixed by two
# thirds (temperature 0.4) it is 0.9 dB nearer to the truth, and its FID is no worse when mixed by half.
ANNEALED = 0.4


@dataclass(frozen=True)
class ChromaConfig:
    """Sizes of the network; stored in the weights' metadata."""

    encoder: str = "mobilenet_v2"  # of encoders.ENCODERS
    width: int = 192  # channels of the tokens at stride 16
    depth: int = 4  # attention blocks
    refinement: int = 2  # convolutions at strides 8 and 4
    heads: int = 6
    mid: int = 96  # channels at stride 8
    fine: int = 64  # channels at stride 4
    finest: int = 32  # channels at stride 2


class Embedding(NamedTuple):
    """What follows from L alone, projected for the decoder: (B, C, H / stride, W / stride) each."""

    at16: Tensor
    at8: Tensor
    at4: Tensor
    at2: Tensor


class Output(NamedTuple):
    """logits (B, K, H/4, W/4) over `bin_centres()`; ab (B, 2, H/2, W/2) in CIELAB units."""

    logits: Tensor
    ab: Tensor


class Chroma(ServedNetwork):
    """L (B, 1, H, W) in 0..100 and hint planes (B, 3, H/2, W/2) -> Output. Sides are multiples of 32.

    Hint planes hold mean a and b of the hints in a cell (CIELAB units, 0 where there is none) and the cell's coverage
    0..1.
    """

    Config = ChromaConfig
    stride = 32
    centres: Tensor  # (K, 2), see `bin_centres`

    def __init__(self, config: ChromaConfig | None = None) -> None:
        super().__init__(config)
        c = self.config
        self.register_buffer("centres", bin_centres(), persistent=False)
        self.encoder = ENCODERS[c.encoder]()
        channels = self.encoder.CHANNELS
        self.to32 = nn.Conv2d(channels[32], c.width, 1) if 32 in channels else None
        self.to16 = nn.Conv2d(channels[16], c.width, 1)
        self.to8 = nn.Conv2d(channels[8], c.mid, 1)
        self.to4 = nn.Conv2d(channels[4], c.fine, 1)
        self.to2 = nn.Conv2d(channels[2], c.finest, 1)
        self.hints16 = nn.Conv2d(4, c.width, 1)
        self.hints4 = nn.Conv2d(4, c.fine, 3, padding=1)
        self.hints2 = nn.Conv2d(4, c.finest, 3, padding=1)
        self.blocks = nn.Sequential(*(AttentionBlock(c.width, c.heads) for _ in range(c.depth)))
        self.up8 = Up(c.width, c.mid)
        self.refine8 = nn.Sequential(*(ConvBlock(c.mid) for _ in range(c.refinement)))
        self.up4 = Up(c.mid, c.fine)
        self.refine4 = nn.Sequential(*(ConvBlock(c.fine) for _ in range(c.refinement)))
        self.up2 = Up(c.fine, c.finest)
        self.refine2 = ConvBlock(c.finest)
        self.distribution = nn.Sequential(
            nn.Conv2d(c.fine, 2 * c.fine, 1), nn.GELU(), nn.Conv2d(2 * c.fine, len(self.centres), 1)
        )
        self.regression = nn.Conv2d(c.finest, 2, 3, padding=1)
        nn.init.zeros_(self.regression.weight)  # start from gray, not from noise
        nn.init.zeros_(self.regression.get_parameter("bias"))

    def encode(self, lightness: Tensor) -> Embedding:
        """The heavy part. lightness (B, 1, H, W) in 0..100."""
        f2, f4, f8, f16, *f32 = self.encoder(lightness / 100 - MEAN_LIGHTNESS)
        at16 = self.to16(f16)
        if self.to32:
            at16 = at16 + F.interpolate(self.to32(*f32), scale_factor=2.0, mode="nearest")
        return Embedding(at16, self.to8(f8), self.to4(f4), self.to2(f2))

    def decode(self, embedding: Embedding, hints: Tensor) -> Output:
        """The light part. hints (B, 3, H/2, W/2); the batch of `embedding` may be 1 for any number of hints."""
        x = self.decode4(embedding, hints)
        logits = self.distribution(x)
        x = self.refine2(self.up2(x) + embedding.at2 + self.hints2(pool_hints(hints, 1)))
        return Output(logits, self.regression(x) * AB_SCALE)

    def decode4(self, embedding: Embedding, hints: Tensor) -> Tensor:
        """The decoder's features at stride 4, (B, fine, H/4, W/4)."""
        x = self.blocks(embedding.at16 + self.hints16(pool_hints(hints, 8)))  # (B, width, H/16, W/16)
        x = self.refine8(self.up8(x) + embedding.at8)
        return self.refine4(self.up4(x) + embedding.at4 + self.hints4(pool_hints(hints, 2)))

    def chroma(self, output: Output, temperature: float) -> Tensor:
        """ab (B, 2, H/2, W/2): the regression at temperature 1, the annealed mean from 0.1 down, a mix between."""
        share = min(1.0, max(0.0, (REGRESSION_AT - temperature) / (REGRESSION_AT - DISTRIBUTION_AT)))
        if share == 0:
            return output.ab
        vivid = annealed_mean(output.logits, min(temperature, ANNEALED), self.centres)
        vivid = F.interpolate(vivid, scale_factor=2.0, mode="bilinear", align_corners=False)
        return torch.lerp(output.ab, vivid, share)


class AttentionBlock(nn.Module):
    """Pre-norm self-attention over the whole picture; a depthwise convolution gives positions, so any size will do."""

    def __init__(self, width: int, heads: int, expansion: int = 2) -> None:
        super().__init__()
        self.heads = heads
        self.position = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, expansion * width), nn.GELU(), nn.Linear(expansion * width, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.position(x)
        b, c, h, w = x.shape
        tokens = x.flatten(2).transpose(1, 2)  # (B, HW, C)
        q, k, v = self.qkv(self.norm1(tokens)).view(b, h * w, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, h * w, c)
        tokens = tokens + self.out(attended)
        tokens = tokens + self.mlp(self.norm2(tokens))
        return tokens.transpose(1, 2).reshape(b, c, h, w)


class ConvBlock(nn.Module):
    """Residual 3x3 convolution with group norm."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, channels)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(F.gelu(self.norm(x)))


class Up(nn.Sequential):
    """Twice the size by pixel shuffle (Shi et al. 2016)."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(nn.Conv2d(channels, 4 * out, 1), nn.PixelShuffle(2))


def pool_hints(hints: Tensor, factor: int) -> Tensor:
    """Hint planes (B, 3, h, w) -> (B, 4, h/factor, w/factor): coverage-weighted mean ab, presence, and coverage.

    A single covered cell counts in full towards the colour and the presence, so a thin stroke never fades.
    """
    ab, coverage = hints[:, :2] / AB_SCALE, hints[:, 2:]
    if factor > 1:
        mass = F.avg_pool2d(coverage, factor)
        ab = F.avg_pool2d(ab * coverage, factor) / mass.clamp_min(1e-6)
        coverage = mass
    present = (coverage > 0).to(coverage)
    return torch.cat([ab * present, present, coverage], 1)
