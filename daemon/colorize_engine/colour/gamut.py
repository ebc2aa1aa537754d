"""The sRGB gamut, and rendering: lightness and chroma become pixels that keep that lightness. On any device, float32.

XYZ is always divided by the white, so that a neutral colour has X = Y = Z. For a fixed lightness the linear
channels are then Y plus a combination of (X - Y) and (Z - Y), which is exactly neutral where a = b = 0.
"""

from collections.abc import Iterator
from functools import cache

import numpy as np
import torch
from colorize_client import messages
from torch import Tensor

from colorize_engine.colour.constants import A_SCALE, AB16_SCALE, B_SCALE, XYZ_TO_RGB
from colorize_engine.colour.conversions import cube, linear_to_srgb

# A channel this far outside 0..1 still counts as inside: float32 rounding, and under one step of 16 bits near white.
GAMUT_TOLERANCE = 1e-6
# Halvings in the search for the gamut's border: it ends less than 0.002 of the chroma asked for inside the border.
GAMUT_STEPS = 16
# Grid on which the border is tabulated.
BORDER_ROWS = 257
BORDER_COLUMNS = 512
# Beyond this chroma nothing is in the gamut (its bluest corner has 134), so larger values are first cut to it.
CHROMA_LIMIT = 160.0

# The 8-bit encoder looks up linear light in this many steps: at black, where sRGB is steepest, 1/20 of an 8-bit step.
ENCODE_STEPS = 65536

# What `render` can deliver: channels and type.
_TYPES = {"u8": torch.uint8, "u16": torch.uint16, "i16": torch.int16}
LAYOUTS = {name: (channels, _TYPES[dtype]) for name, (dtype, channels) in messages.LAYOUTS.items()}

# Keeps quotients finite where a chroma is 0.
TINY = 1e-12

# Pixels treated at once: the 15 or so float32 planes that live at a time then stay in a core's second-level cache
# and one operation is below the size at which torch starts threads of its own.
BLOCK = 32768


def _channels(f: Tensor, y: Tensor, a: Tensor, b: Tensor) -> list[Tensor]:
    """Linear red, green and blue of colours given by f(Y), Y, a and b; exactly Y where a = b = 0."""
    x_surplus = cube(torch.add(f, a, alpha=1.0 / A_SCALE)) - y
    z_surplus = cube(torch.sub(f, b, alpha=1.0 / B_SCALE)) - y
    return [
        torch.add(y, x_surplus, alpha=from_x).add_(z_surplus, alpha=from_z) for from_x, _, from_z in XYZ_TO_RGB.tolist()
    ]


def _inside(channels: list[Tensor]) -> Tensor:
    """Whether each colour lies within the gamut; False also for NaN."""
    red, green, blue = channels
    lowest = torch.minimum(torch.minimum(red, green), blue)
    highest = torch.maximum(torch.maximum(red, green), blue)
    return torch.minimum(lowest, 1.0 - highest) >= -GAMUT_TOLERANCE


def _finite(lightness: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Replace what is no colour: L is brought into 0..100, a chroma with NaN or Inf becomes 0."""
    lightness = torch.nan_to_num(lightness, nan=0.0).clamp(0.0, 100.0)
    scale = (CHROMA_LIMIT / torch.hypot(a, b)).clamp(max=1.0)
    usable = torch.isfinite(a) & torch.isfinite(b)
    zero = torch.zeros_like(a)
    return lightness, torch.where(usable, a * scale, zero), torch.where(usable, b * scale, zero)


def _halve(f: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Largest scale of a and b, found by halving, that is inside: within 2**-GAMUT_STEPS, never outside."""
    y = cube(f)
    scale = torch.zeros_like(a)
    for step in (0.5**n for n in range(1, GAMUT_STEPS + 1)):
        trial = scale + step
        scale = torch.where(_inside(_channels(f, y, a * trial, b * trial)), trial, scale)
    return scale


def _hue_axis(a: Tensor, b: Tensor, length: Tensor) -> Tensor:
    """Place of a hue on the diamond |a| + |b| = length, 0..4: an angle without an arc tangent."""
    cosine = a / length
    return torch.where(b >= 0.0, 1.0 - cosine, 3.0 + cosine)


@cache
def border_table(device: torch.device) -> Tensor:
    """Largest |a| + |b| inside the gamut over (lightness, hue): (BORDER_ROWS, BORDER_COLUMNS + 1)."""
    lightness = torch.linspace(0.0, 100.0, BORDER_ROWS, dtype=torch.float64)
    hue = torch.linspace(0.0, 4.0, BORDER_COLUMNS + 1, dtype=torch.float64)
    a = torch.where(hue < 2.0, 1.0 - hue, hue - 3.0)
    b = torch.where(hue < 2.0, 1.0 - a.abs(), a.abs() - 1.0)
    f = ((lightness + 16.0) / 116.0)[:, None].expand(-1, len(hue))
    reach = 2.0 * CHROMA_LIMIT
    return (reach * _halve(f, (a * reach).expand_as(f), (b * reach).expand_as(f))).float().to(device)


def _border(lightness: Tensor, hue: Tensor) -> Tensor:
    """Look `border_table` up between its points."""
    table = border_table(hue.device).view(-1)
    row, column = lightness * ((BORDER_ROWS - 1) / 100.0), hue * (BORDER_COLUMNS / 4.0)
    top, left = row.to(torch.int32).clamp_(max=BORDER_ROWS - 2), column.to(torch.int32).clamp_(max=BORDER_COLUMNS - 1)
    corner = top * (BORDER_COLUMNS + 1) + left
    down, right = row - top, column - left
    upper = torch.lerp(table.index_select(0, corner), table.index_select(0, corner + 1), right)
    corner += BORDER_COLUMNS + 1
    return torch.lerp(upper, torch.lerp(table.index_select(0, corner), table.index_select(0, corner + 1), right), down)


def _room(y: Tensor, channels: list[Tensor]) -> Tensor:
    """How much of the way from neutral light Y each colour can go until a channel reaches 0 or 1; at most 1."""
    red, green, blue = channels
    below = y - torch.minimum(torch.minimum(red, green), blue)
    above = torch.maximum(torch.maximum(red, green), blue) - y
    return torch.minimum(y / below.clamp_(min=TINY), (1.0 - y) / above.clamp_(min=TINY)).clamp_(0.0, 1.0)


def _pull(lightness: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Scale a and b towards 0 until the colour is inside; also returns its linear channels.

    What the table's interpolation leaves outside, a fraction of an 8-bit step, is taken off in linear light: there the
    way to neutral is straight, so it needs no search, and Y stays what it is.
    """
    lightness, a, b = _finite(lightness, a, b)
    f = (lightness + 16.0) * (1.0 / 116.0)
    y = cube(f)
    length = (a.abs() + b.abs()).clamp_(min=TINY)
    scale = (_border(lightness, _hue_axis(a, b, length)) / length).clamp_(max=1.0)
    channels = _channels(f, y, a * scale, b * scale)
    rest = _room(y, channels)
    scale *= rest
    return a * scale, b * scale, [torch.addcmul(y, c - y, rest) for c in channels]


def _test(lightness: Tensor, a: Tensor, b: Tensor) -> tuple[list[Tensor], Tensor]:
    """Linear channels of colours, and the indices of those outside the gamut."""
    f = (lightness + 16.0) * (1.0 / 116.0)
    channels = _channels(f, cube(f), a, b)
    return channels, (~_inside(channels)).nonzero().squeeze(1)


def _blocks(lightness: Tensor, ab: Tensor) -> Iterator[tuple[slice, Tensor, Tensor, Tensor]]:
    """Cut flat planes (N,) and (2, N) into pieces that suit the device's cache."""
    size = BLOCK if lightness.device.type == "cpu" else max(len(lightness), 1)
    for start in range(0, len(lightness), size):
        piece = slice(start, start + size)
        yield piece, lightness[piece], ab[0, piece], ab[1, piece]


def _pull_all(lightness: Tensor, ab: Tensor, outside: list[Tensor]) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
    """The indices of all that is outside, and what `_pull` makes of it: once for many blocks, as it is rarely much."""
    index = torch.cat(outside)
    return index, *_pull(*(plane.index_select(0, index) for plane in (lightness, ab[0], ab[1])))


def fit_gamut(lightness: Tensor, ab: Tensor) -> Tensor:
    """Pull chroma towards gray, at constant lightness and hue, until the colour exists in sRGB.

    Args:
        lightness: L (H, W), float32.
        ab: chroma (2, H, W), float32, any range.

    Returns:
        Chroma (2, H, W). Colours inside the gamut come back as they were; NaN and Inf become gray. What is pulled in
        may still pass the border by a part of an 8-bit step, near the yellow corner; `render` allows not even that.
    """
    flat, fitted = lightness.reshape(-1), ab.reshape(2, -1).clone()
    outside = [piece.start + _test(*planes)[1] for piece, *planes in _blocks(flat, fitted)]
    if outside:
        index, a, b, _ = _pull_all(flat, fitted, outside)
        fitted[0, index], fitted[1, index] = a, b
    return fitted.view(ab.shape)


@cache
def encode_table(device: torch.device) -> Tensor:
    """8-bit sRGB of linear light in ENCODE_STEPS intervals, each by its middle, and 255 for exactly 1."""
    middles = (torch.arange(ENCODE_STEPS + 1, dtype=torch.float64) + 0.5) / ENCODE_STEPS
    return (linear_to_srgb(middles.clamp(max=1.0)) * 255.0).round().to(torch.uint8).to(device)


def _encode_u8(channels: list[Tensor]) -> Tensor:
    """(N, 3) uint8 of linear channels. Clipped as integers: NaN, which `_pull` mends later, would pass a clamp."""
    table = encode_table(channels[0].device)
    steps = [(c * ENCODE_STEPS).to(torch.int32).clamp_(0, ENCODE_STEPS) for c in channels]
    return torch.stack([table.index_select(0, s) for s in steps], dim=-1)


def _encode_u16(channels: list[Tensor]) -> Tensor:
    """(N, 3) uint16 of linear channels."""
    encoded = [linear_to_srgb(c).mul_(65535.0).add_(0.5).to(torch.int32).clamp_(0, 65535) for c in channels]
    return torch.stack(encoded, dim=-1).to(torch.uint16)


def _pack(layout: str, a: Tensor, b: Tensor, channels: list[Tensor]) -> Tensor:
    """Pixels (N, C) of one layout."""
    if layout == "rgb8":
        return _encode_u8(channels)
    if layout == "rgb16":
        return _encode_u16(channels)
    return torch.stack((a, b), dim=-1).mul_(AB16_SCALE).round_().to(torch.int16)


def _bits(pixels: Tensor) -> Tensor:
    """The same memory as a type that torch can index."""
    return pixels.view(torch.int16) if pixels.dtype == torch.uint16 else pixels


def render(lightness: Tensor, ab: Tensor, layout: str) -> Tensor:
    """Turn lightness and chroma into pixels that keep that lightness.

    Args:
        lightness: L (H, W), float32, 0..100.
        ab: chroma (2, H, W), float32; what is outside the gamut is pulled in as by `fit_gamut`.
        layout: a key of `LAYOUTS`.

    Returns:
        (H, W, C), contiguous, on the same device: "rgb8" and "rgb16" encoded sRGB, "ab16" 256 times the fitted chroma.
    """
    count, dtype = LAYOUTS[layout]
    flat, flat_ab = lightness.reshape(-1), ab.reshape(2, -1)
    pixels = torch.empty((len(flat), count), dtype=dtype, device=flat.device)
    outside = []
    for piece, block, a, b in _blocks(flat, flat_ab):
        channels, index = _test(block, a, b)
        pixels[piece] = _pack(layout, a, b, channels)
        outside.append(piece.start + index)
    if outside:
        index, a, b, channels = _pull_all(flat, flat_ab, outside)
        _bits(pixels)[index] = _bits(_pack(layout, a, b, channels))
    return pixels.view(*lightness.shape, count)


def render_band(lightness: Tensor, ab: Tensor, layout: str) -> np.ndarray:
    """`render` as a C-contiguous numpy array (rows, W, C): uint8, uint16 or int16."""
    return render(lightness, ab, layout).cpu().numpy()
