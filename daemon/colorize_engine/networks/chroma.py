"""`chroma`, the default network: the photograph is encoded once, hints enter late, and a stroke means one thing.

An encoder with ImageNet's features (`encoders`) reads L alone; everything that follows from L alone belongs to the
embedding. The decoder joins hints to the embedding at strides 16, 4 and 2, so a changed stroke repeats only the
decoder. It compares every place with what the hints lie on (`Chroma.compare`) and attends globally at stride 16. Three
answers: a distribution over in-gamut ab bins at stride 4, a regression of ab at stride 2, and the *reach* of the hints
at stride 2: which cells belong to the thing that they lie on, as in interactive segmentation (Kirillov et al. 2023,
"Segment Anything", whose split into a heavy encoder and a light decoder of prompts is ours too).
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
FAR = 1e4  # square of a distance that is too far to matter, in cells


@dataclass(frozen=True)
class ChromaConfig:
    """Sizes of the network; stored in the weights' metadata."""

    encoder: str = "resnet50_v2"  # of encoders.ENCODERS
    width: int = 192  # channels of the tokens at stride 16
    context: int = 2  # attention blocks that see the photograph alone
    depth: int = 4  # attention blocks that see the hints too
    refinement: int = 2  # convolutions at strides 8 and 4
    heads: int = 6
    mid: int = 96  # channels at stride 8
    fine: int = 64  # channels at stride 4
    finest: int = 32  # channels at stride 2
    identity: int = 64  # channels in which places are compared
    similarities: int = 8  # parts of them, each compared by itself


class Embedding(NamedTuple):
    """What follows from L alone, projected for the decoder: (B, C, H / stride, W / stride) each.

    `identity` (B, identity, H/4, W/4) says what each place is, in parts of unit length.
    """

    at16: Tensor
    at8: Tensor
    at4: Tensor
    at2: Tensor
    identity: Tensor


class Output(NamedTuple):
    """fine (B, fine, H/4, W/4), of which `Chroma.logits` are made; ab (B, 2, H/2, W/2) in CIELAB units; reach
    (B, 1, H/2, W/2), the logits of "this cell belongs to what the hints lie on"."""

    fine: Tensor
    ab: Tensor
    reach: Tensor


class Chroma(ServedNetwork):
    """L (B, 1, H, W) in 0..100 and hint planes (B, HINT_PLANES, H/2, W/2) -> Output. Sides are multiples of 32."""

    Config = ChromaConfig
    stride = 32
    knows_reach = True
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
        self.context = nn.Sequential(*(AttentionBlock(c.width, c.heads) for _ in range(c.context)))
        self.identity_up8 = Up(c.width, c.mid)
        self.identity8 = nn.Sequential(ConvBlock(c.mid), ConvBlock(c.mid))
        self.identity_up4 = Up(c.mid, c.fine)
        self.identity4 = nn.Sequential(ConvBlock(c.fine), ConvBlock(c.fine), nn.Conv2d(c.fine, c.identity, 1))
        compared = 2 * (c.similarities + 3)  # with the hints, and with what is not meant
        self.seen16 = nn.Conv2d(compared, c.width, 1)
        self.seen8 = nn.Conv2d(compared, c.mid, 1)
        self.seen4 = nn.Conv2d(compared, c.fine, 3, padding=1)
        self.hints16 = nn.Conv2d(6, c.width, 1)
        self.hints4 = nn.Conv2d(6, c.fine, 3, padding=1)
        self.hints2 = nn.Conv2d(6, c.finest, 3, padding=1)
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
        self.reach_up = Up(c.fine, c.finest)
        self.reach_join = nn.Conv2d(2 * c.finest, c.finest, 1)
        self.reach_refine = nn.Sequential(ConvBlock(c.finest), ConvBlock(c.finest))
        self.reach = nn.Conv2d(c.finest, 1, 3, padding=1)
        nn.init.zeros_(self.regression.weight)  # start from gray, not from noise
        nn.init.zeros_(self.regression.get_parameter("bias"))
        nn.init.zeros_(self.reach.weight)  # and from hints that reach little
        nn.init.constant_(self.reach.get_parameter("bias"), -2.0)

    def encode(self, lightness: Tensor) -> Embedding:
        """The heavy part. lightness (B, 1, H, W) in 0..100."""
        f2, f4, f8, f16, *f32 = self.encoder(lightness / 100 - MEAN_LIGHTNESS)
        at16 = self.to16(f16)
        if self.to32:
            at16 = at16 + F.interpolate(self.to32(*f32), scale_factor=2.0, mode="nearest")
        at16, at4 = self.context(at16), self.to4(f4)
        at8 = self.identity8(self.identity_up8(at16) + self.to8(f8))
        identity = self.identity4(self.identity_up4(at8) + at4)
        parts = self._parts(identity.float())
        return Embedding(at16, at8, at4, self.to2(f2), F.normalize(parts, dim=2).flatten(1, 2))

    def decode(self, embedding: Embedding, hints: Tensor) -> Output:
        """The light part. hints (B, HINT_PLANES, H/2, W/2); the batch of `embedding` may be 1 for any B."""
        x4 = self.decode4(embedding, hints)
        x2 = self.refine2(self.up2(x4) + embedding.at2 + self.hints2(pool_hints(hints, 1)))
        reach = self.reach(self.reach_refine(self.reach_join(torch.cat([x2, self.reach_up(x4)], 1))))
        return Output(x4, self.regression(x2) * AB_SCALE, reach)

    def decode4(self, embedding: Embedding, hints: Tensor) -> Tensor:
        """The decoder's features at stride 4, (B, fine, H/4, W/4)."""
        seen = torch.cat([self.compare(embedding.identity, hints[:, plane : plane + 1]) for plane in (2, 3)], 1)
        x = self.hints16(pool_hints(hints, 8)) + self.seen16(F.avg_pool2d(seen, 4))
        x = self.blocks(embedding.at16 + x)  # (B, width, H/16, W/16)
        x = self.refine8(self.up8(x) + embedding.at8 + self.seen8(F.avg_pool2d(seen, 2)))
        return self.refine4(self.up4(x) + embedding.at4 + self.hints4(pool_hints(hints, 2)) + self.seen4(seen))

    def compare(self, identity: Tensor, coverage: Tensor) -> Tensor:
        """How like the covered places every place is, and how near: (B, similarities + 3, H/4, W/4).

        identity as in `Embedding`; coverage (B, 1, H/2, W/2). All is 0 where nothing is covered.
        """
        weight = F.avg_pool2d(coverage, 2).float()
        weight = weight / weight.sum((2, 3), keepdim=True).clamp_min(1e-6)
        parts = self._parts(identity.float())
        asked = self._parts(
            (identity.float() * weight).sum((2, 3))[..., None, None]
        )  # (B, similarities, channels, 1, 1)
        alike = (parts * asked).sum(2)
        there = (weight > 0).flatten(1).any(1).to(weight)[:, None, None, None].expand(-1, -1, *identity.shape[2:])
        return torch.cat([alike, nearness(coverage, identity.shape[2:]), there], 1) * there

    def _parts(self, identity: Tensor) -> Tensor:
        """(B, identity, h, w) -> (B, similarities, channels, h, w)."""
        return identity.unflatten(1, (self.config.similarities, -1))

    def logits(self, output: Output) -> Tensor:
        """(B, K, H/4, W/4) over `bin_centres()`; made where they are asked for, since a stroke needs none."""
        return self.distribution(output.fine)

    def chroma(self, output: Output, temperature: float) -> Tensor:
        """ab (B, 2, H/2, W/2): the regression at temperature 1, the annealed mean from 0.1 down, a mix between."""
        share = min(1.0, max(0.0, (REGRESSION_AT - temperature) / (REGRESSION_AT - DISTRIBUTION_AT)))
        if share == 0:
            return output.ab
        vivid = annealed_mean(self.logits(output), min(temperature, ANNEALED), self.centres)
        vivid = F.interpolate(vivid, scale_factor=2.0, mode="bilinear", align_corners=False)
        return torch.lerp(output.ab, vivid, share)

    def reached(self, output: Output) -> Tensor:
        """The probability (B, H/2, W/2) that a cell belongs to what the hints lie on."""
        return torch.sigmoid(output.reach[:, 0].float())


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
        norm = self.norm
        with torch.autocast(x.device.type, enabled=False):  # in the precision of x: autocast would widen it to float32
            y = F.group_norm(x, norm.num_groups, norm.weight.to(x.dtype), norm.bias.to(x.dtype), norm.eps)
        return x + self.conv(F.gelu(y))


class Up(nn.Sequential):
    """Twice the size by pixel shuffle (Shi et al. 2016)."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(nn.Conv2d(channels, 4 * out, 1), nn.PixelShuffle(2))


def pool_hints(hints: Tensor, factor: int) -> Tensor:
    """Hint planes (B, HINT_PLANES, h, w) -> (B, 6, h/factor, w/factor).

    The coverage-weighted mean ab, presence, coverage, presence of strokes that are not meant, and the share in which
    alike things count. A single covered cell counts in full towards colour and presence: a thin stroke never fades.
    """
    ab, coverage, others = hints[:, :2] / AB_SCALE, hints[:, 2:3], hints[:, 3:]
    if factor > 1:
        mass = F.avg_pool2d(coverage, factor)
        ab = F.avg_pool2d(ab * coverage, factor) / mass.clamp_min(1e-6)
        coverage, others = mass, F.avg_pool2d(others, factor)
    present, against = ((plane > 0).to(coverage) for plane in (coverage, others[:, :1]))
    return torch.cat([ab * present, present, coverage, against, others[:, 1:]], 1)


def nearness(coverage: Tensor, size: tuple[int, ...]) -> Tensor:
    """exp(-d/2) and exp(-d/8) of the distance d to the nearest covered cell, in cells of 8 pixels; (B, 2, *size).

    coverage (B, 1, H/2, W/2). The distance is exact: first along the columns, then along the rows.
    """
    there = F.max_pool2d(coverage, 4)[:, 0] > 0
    rows, columns = (torch.arange(side, device=there.device, dtype=torch.float32) for side in there.shape[1:])
    far = torch.full(there.shape, FAR, device=there.device).masked_fill(there, 0)
    down = (far[:, None] + (rows[:, None] - rows).square()[..., None]).amin(2)  # (B, h, w), squares
    distance = (down[:, :, None] + (columns[:, None] - columns).square()).amin(3).clamp(max=FAR).sqrt()[:, None]
    near = torch.cat([torch.exp(-distance / 2), torch.exp(-distance / 8)], 1)
    return F.interpolate(near, size, mode="bilinear", align_corners=False)
