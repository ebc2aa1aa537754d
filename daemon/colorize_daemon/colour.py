"""Colour science: sRGB, CIELAB and the sRGB gamut, on planes of any device; the constants are those of `cielab`.

White is D65 throughout (no chromatic adaptation) and the primaries are those of sRGB (IEC 61966-2-1). Lightness L
runs 0..100, chroma a and b about -110..110. All functions work on any device and compute in float32.

XYZ is always divided by the white, so that a neutral colour has X = Y = Z. For a fixed lightness the linear
channels are then Y plus a combination of (X - Y) and (Z - Y), which is exactly neutral where a = b = 0.

Sources: IEC 61966-2-1:1999 (transfer function, primaries), CIE 15:2004 section 8.2.1 (CIELAB).
"""

from collections.abc import Iterator
from functools import cache

import numpy as np
import torch
from torch import Tensor

from colorize_daemon.cielab import (
    A_SCALE,
    AB16_SCALE,
    B_SCALE,
    DELTA,
    ENCODED_END,
    GAMMA,
    LINEAR_END,
    LINEAR_SLOPE,
    OFFSET,
    RGB_TO_XYZ,
    XYZ_TO_RGB,
)

# A channel this far outside 0..1 still counts as inside: float32 rounding, and under one step of 16 bits near white.
GAMUT_TOLERANCE = 1e-6
# Halvings in the search for the gamut's border: it ends less than 0.002 of the chroma asked for inside the border.
GAMUT_STEPS = 16
# Grid on which the border is tabulated, and what is taken off so that interpolation rarely lands outside.
BORDER_ROWS = 257
BORDER_COLUMNS = 512
BORDER_SHORTENED = 0.998
# Beyond this chroma nothing is in the gamut (its bluest corner has 134), so larger values are first cut to it.
CHROMA_LIMIT = 160.0

# The 8-bit encoder looks up linear light in this many steps: at black, where sRGB is steepest, 1/20 of an 8-bit step.
ENCODE_STEPS = 65536

# What `render` can deliver: channels and type.
LAYOUTS = {"rgb8": (3, torch.uint8), "rgb16": (3, torch.uint16), "ab16": (2, torch.int16)}

# Pixels treated at once: the 15 or so float32 planes that live at a time then stay in a core's second-level cache
# and one operation is below the size at which torch starts threads of its own.
BLOCK = 32768


def srgb_to_linear(encoded: Tensor) -> Tensor:
    """Decode sRGB values 0..1 to linear light 0..1, any shape."""
    curve = ((encoded.clamp(min=ENCODED_END) + OFFSET) / (1.0 + OFFSET)).pow(GAMMA)
    return torch.where(encoded > ENCODED_END, curve, encoded / LINEAR_SLOPE)


def linear_to_srgb(linear: Tensor) -> Tensor:
    """Encode linear light 0..1 to sRGB values 0..1, any shape; values outside are continued, not clipped."""
    curve = linear.clamp(min=LINEAR_END).pow(1.0 / GAMMA) * (1.0 + OFFSET) - OFFSET
    return torch.where(linear > LINEAR_END, curve, linear * LINEAR_SLOPE)


def _cube_root(xyz: Tensor) -> Tensor:
    """CIELAB's f: the cube root, continued below DELTA**3 by its tangent."""
    upper = xyz.clamp(min=DELTA**3)
    return upper.pow(1.0 / 3.0) + (xyz - upper) / (3.0 * DELTA**2)


def _cube(f: Tensor) -> Tensor:
    """Inverse of `_cube_root`: the cube, continued below DELTA by its tangent."""
    upper = f.clamp(min=DELTA)
    return upper * upper * upper + (f - upper) * (3.0 * DELTA**2)


def _mix(matrix: np.ndarray, planes: Tensor) -> Tensor:
    """Apply a (3, 3) matrix to planes (..., 3, H, W)."""
    weights = torch.as_tensor(matrix, dtype=planes.dtype, device=planes.device)
    return torch.einsum("ij,...jhw->...ihw", weights, planes)


def linear_to_lab(linear: Tensor) -> Tensor:
    """Convert linear sRGB (..., 3, H, W) in 0..1 to CIELAB (..., 3, H, W)."""
    x, y, z = _cube_root(_mix(RGB_TO_XYZ, linear)).unbind(-3)
    return torch.stack((116.0 * y - 16.0, A_SCALE * (x - y), B_SCALE * (y - z)), dim=-3)


def srgb_to_lab(rgb: Tensor) -> Tensor:
    """Convert encoded sRGB (..., 3, H, W) in 0..1 to CIELAB (..., 3, H, W)."""
    return linear_to_lab(srgb_to_linear(rgb))


def lab_to_linear(lab: Tensor) -> Tensor:
    """Convert CIELAB (..., 3, H, W) to linear sRGB (..., 3, H, W), below 0 or above 1 where outside the gamut."""
    lightness, a, b = lab.unbind(-3)
    y = (lightness + 16.0) / 116.0
    return _mix(XYZ_TO_RGB, _cube(torch.stack((y + a / A_SCALE, y, y - b / B_SCALE), dim=-3)))


def lab_to_srgb(lab: Tensor) -> Tensor:
    """Convert CIELAB (..., 3, H, W) to encoded sRGB (..., 3, H, W), clipped to 0..1 channel by channel.

    For the linear, unclipped colour take `lab_to_linear`; to keep lightness take `fit_gamut` first.
    """
    return linear_to_srgb(lab_to_linear(lab).clamp(0.0, 1.0))


@cache
def _lightness_table(levels: int) -> Tensor:
    gray = torch.linspace(0.0, 1.0, levels, dtype=torch.float64)
    return (116.0 * _cube_root(srgb_to_linear(gray)) - 16.0).clamp(0.0, 100.0).float()


def gray_to_lightness(gray: np.ndarray) -> Tensor:
    """Lightness L (H, W) float32 0..100 of a plane (H, W) of sRGB-encoded luminance, uint8 or uint16.

    Raises TypeError for any other dtype.
    """
    if gray.dtype not in (np.uint8, np.uint16):
        raise TypeError(f"a gray plane is uint8 or uint16, not {gray.dtype}")
    table = _lightness_table(int(np.iinfo(gray.dtype).max) + 1)
    return torch.from_numpy(table.numpy()[gray])


def _channels(f: Tensor, y: Tensor, a: Tensor, b: Tensor) -> list[Tensor]:
    """Linear red, green and blue of colours given by f(Y), Y, a and b; exactly Y where a = b = 0."""
    x_surplus = _cube(torch.add(f, a, alpha=1.0 / A_SCALE)) - y
    z_surplus = _cube(torch.sub(f, b, alpha=1.0 / B_SCALE)) - y
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
    y = _cube(f)
    scale = torch.zeros_like(a)
    for step in (0.5**n for n in range(1, GAMUT_STEPS + 1)):
        trial = scale + step
        scale = torch.where(_inside(_channels(f, y, a * trial, b * trial)), trial, scale)
    return scale


def _hue_axis(a: Tensor, b: Tensor, length: Tensor) -> Tensor:
    """Place of a hue on the diamond |a| + |b| = length, 0..4: an angle without an arc tangent; 0 for grey."""
    cosine = a / length.clamp(min=1e-12)
    return torch.where(b >= 0.0, 1.0 - cosine, 3.0 + cosine)


@cache
def _border_table(device: torch.device) -> Tensor:
    """Largest |a| + |b| inside the gamut over (lightness, hue): (BORDER_ROWS, BORDER_COLUMNS + 1)."""
    lightness = torch.linspace(0.0, 100.0, BORDER_ROWS, dtype=torch.float64)
    hue = torch.linspace(0.0, 4.0, BORDER_COLUMNS + 1, dtype=torch.float64)
    a = torch.where(hue < 2.0, 1.0 - hue, hue - 3.0)
    b = torch.where(hue < 2.0, 1.0 - a.abs(), a.abs() - 1.0)
    f = ((lightness + 16.0) / 116.0)[:, None].expand(-1, len(hue))
    reach = 2.0 * CHROMA_LIMIT
    return (reach * _halve(f, (a * reach).expand_as(f), (b * reach).expand_as(f))).float().to(device)


def _border(lightness: Tensor, hue: Tensor) -> Tensor:
    """Look `_border_table` up between its points."""
    table = _border_table(hue.device).view(-1)
    row, column = lightness * ((BORDER_ROWS - 1) / 100.0), hue * (BORDER_COLUMNS / 4.0)
    top, left = row.to(torch.int32).clamp_(max=BORDER_ROWS - 2), column.to(torch.int32).clamp_(max=BORDER_COLUMNS - 1)
    corner = top * (BORDER_COLUMNS + 1) + left
    down, right = row - top, column - left
    upper = torch.lerp(table.index_select(0, corner), table.index_select(0, corner + 1), right)
    corner += BORDER_COLUMNS + 1
    return torch.lerp(upper, torch.lerp(table.index_select(0, corner), table.index_select(0, corner + 1), right), down)


def _pull(lightness: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Scale a and b towards 0 until the colour is inside; also returns its linear channels.

    The table's scale, a little shortened, suits nearly all; the rest is searched for.
    """
    lightness, a, b = _finite(lightness, a, b)
    f = (lightness + 16.0) / 116.0
    length = a.abs() + b.abs()
    scale = (_border(lightness, _hue_axis(a, b, length)) * BORDER_SHORTENED / length.clamp(min=1e-12)).clamp_(max=1.0)
    a, b = a * scale, b * scale
    channels = _channels(f, _cube(f), a, b)
    failed = (~_inside(channels)).nonzero().squeeze(1)
    if len(failed):
        f, scale = f[failed], _halve(f[failed], a[failed], b[failed])
        a[failed] *= scale
        b[failed] *= scale
        for plane, values in zip(channels, _channels(f, _cube(f), a[failed], b[failed]), strict=True):
            plane[failed] = values
    return a, b, channels


def _fit(lightness: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
    """`fit_gamut` on flat planes (N,): a, b and the linear channels. Pixels inside pay for a test only."""
    f = (lightness + 16.0) * (1.0 / 116.0)
    channels = _channels(f, _cube(f), a, b)
    outside = (~_inside(channels)).nonzero().squeeze(1)
    if len(outside):
        fitted = _pull(*(plane.index_select(0, outside) for plane in (lightness, a, b)))
        a, b = a.index_copy(0, outside, fitted[0]), b.index_copy(0, outside, fitted[1])
        for plane, values in zip(channels, fitted[2], strict=True):
            plane.index_copy_(0, outside, values)
    return a, b, channels


def _blocks(lightness: Tensor, ab: Tensor) -> Iterator[tuple[slice, Tensor, Tensor, Tensor]]:
    """Cut planes (H, W) and (2, H, W) into flat pieces that suit the device's cache."""
    flat, (a, b) = lightness.reshape(-1), ab.reshape(2, -1)
    size = BLOCK if flat.device.type == "cpu" else max(len(flat), 1)
    for start in range(0, len(flat), size):
        piece = slice(start, start + size)
        yield piece, flat[piece], a[piece], b[piece]


def fit_gamut(lightness: Tensor, ab: Tensor) -> Tensor:
    """Pull chroma towards grey, at constant lightness and hue, until the colour exists in sRGB.

    Args:
        lightness: L (H, W), float32.
        ab: chroma (2, H, W), float32, any range.

    Returns:
        Chroma (2, H, W). Colours inside the gamut come back as they were; NaN and Inf become grey.
    """
    fitted = torch.empty_like(ab, memory_format=torch.contiguous_format).view(2, -1)
    for piece, *planes in _blocks(lightness, ab):
        fitted[0, piece], fitted[1, piece], _ = _fit(*planes)
    return fitted.view(ab.shape)


@cache
def _encode_table(device: torch.device) -> Tensor:
    """8-bit sRGB of linear light in ENCODE_STEPS intervals, each by its middle, and 255 for exactly 1."""
    middles = (torch.arange(ENCODE_STEPS + 1, dtype=torch.float64) + 0.5) / ENCODE_STEPS
    return (linear_to_srgb(middles.clamp(max=1.0)) * 255.0).round().to(torch.uint8).to(device)


def _encode_u8(channels: list[Tensor]) -> Tensor:
    table = _encode_table(channels[0].device)
    return torch.stack([table.index_select(0, (c * ENCODE_STEPS).to(torch.int32)) for c in channels], dim=-1)


def _encode_u16(channels: list[Tensor]) -> Tensor:
    encoded = linear_to_srgb(torch.stack(channels, dim=-1).clamp_(0.0, 1.0))
    return (encoded * 65535.0).round_().to(torch.uint16)


def _pack_ab16(a: Tensor, b: Tensor) -> Tensor:
    return (torch.stack((a, b), dim=-1) * AB16_SCALE).round_().to(torch.int16)


def render(lightness: Tensor, ab: Tensor, layout: str) -> Tensor:
    """Turn lightness and chroma into pixels that keep that lightness.

    Args:
        lightness: L (H, W), float32, 0..100.
        ab: chroma (2, H, W), float32; `fit_gamut` is applied here.
        layout: a key of `LAYOUTS`.

    Returns:
        (H, W, C), contiguous, on the same device: "rgb8" and "rgb16" encoded sRGB, "ab16" 256 times the fitted chroma.
    """
    count, dtype = LAYOUTS[layout]
    pixels = torch.empty((lightness.numel(), count), dtype=dtype, device=lightness.device)
    for piece, *planes in _blocks(lightness, ab):
        a, b, channels = _fit(*planes)
        if layout == "rgb8":
            pixels[piece] = _encode_u8(channels)
        elif layout == "rgb16":
            pixels[piece] = _encode_u16(channels)
        else:
            pixels[piece] = _pack_ab16(a, b)
    return pixels.view(*lightness.shape, count)


def encode_rgb(lightness: Tensor, ab: Tensor, dtype: str) -> Tensor:
    """Encoded sRGB (H, W, 3) of L (H, W) and chroma (2, H, W); dtype "u8" or "u16"."""
    return render(lightness, ab, {"u8": "rgb8", "u16": "rgb16"}[dtype])


def render_band(lightness: Tensor, ab: Tensor, layout: str) -> np.ndarray:
    """`render` as a C-contiguous numpy array (rows, W, C): uint8, uint16 or int16."""
    return render(lightness, ab, layout).cpu().numpy()
