"""sRGB and CIELAB of planes on any device, in float32; the constants are those of `constants`.

White is D65 throughout (no chromatic adaptation) and the primaries are those of sRGB (IEC 61966-2-1). Lightness L
runs 0..100, chroma a and b about -110..110.

Sources: IEC 61966-2-1:1999 (transfer function, primaries), CIE 15:2004 section 8.2.1 (CIELAB).
"""

from functools import cache

import numpy as np
import torch
from torch import Tensor

from colorize_engine.colour.constants import (
    A_SCALE,
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


def srgb_to_linear(encoded: Tensor) -> Tensor:
    """Decode sRGB values 0..1 to linear light 0..1, any shape."""
    curve = ((encoded.clamp(min=ENCODED_END) + OFFSET) / (1.0 + OFFSET)).pow(GAMMA)
    return torch.where(encoded > ENCODED_END, curve, encoded / LINEAR_SLOPE)


def linear_to_srgb(linear: Tensor) -> Tensor:
    """Encode linear light 0..1 to sRGB values 0..1, any shape; values outside are continued, not clipped."""
    # exp(log) is twice as fast as pow and errs by less than 1/20 of a 16-bit step.
    curve = (linear.clamp(min=LINEAR_END).log() / GAMMA).exp() * (1.0 + OFFSET) - OFFSET
    return torch.where(linear > LINEAR_END, curve, linear * LINEAR_SLOPE)


def cube_root(xyz: Tensor) -> Tensor:
    """CIELAB's f: the cube root, continued below DELTA**3 by its tangent."""
    upper = xyz.clamp(min=DELTA**3)
    return upper.pow(1.0 / 3.0) + (xyz - upper) / (3.0 * DELTA**2)


def cube(f: Tensor) -> Tensor:
    """Inverse of `cube_root`: the cube, continued below DELTA by its tangent."""
    upper = f.clamp(min=DELTA)
    return upper * upper * upper + (f - upper) * (3.0 * DELTA**2)


def _mix(matrix: np.ndarray, planes: Tensor) -> Tensor:
    """Apply a (3, 3) matrix to planes (..., 3, H, W)."""
    weights = torch.as_tensor(matrix, dtype=planes.dtype, device=planes.device)
    return torch.einsum("ij,...jhw->...ihw", weights, planes)


def linear_to_lab(linear: Tensor) -> Tensor:
    """Convert linear sRGB (..., 3, H, W) in 0..1 to CIELAB (..., 3, H, W)."""
    x, y, z = cube_root(_mix(RGB_TO_XYZ, linear)).unbind(-3)
    return torch.stack((116.0 * y - 16.0, A_SCALE * (x - y), B_SCALE * (y - z)), dim=-3)


def srgb_to_lab(rgb: Tensor) -> Tensor:
    """Convert encoded sRGB (..., 3, H, W) in 0..1 to CIELAB (..., 3, H, W)."""
    return linear_to_lab(srgb_to_linear(rgb))


def lab_to_linear(lab: Tensor) -> Tensor:
    """Convert CIELAB (..., 3, H, W) to linear sRGB (..., 3, H, W), below 0 or above 1 where outside the gamut."""
    lightness, a, b = lab.unbind(-3)
    y = (lightness + 16.0) / 116.0
    return _mix(XYZ_TO_RGB, cube(torch.stack((y + a / A_SCALE, y, y - b / B_SCALE), dim=-3)))


def lab_to_srgb(lab: Tensor) -> Tensor:
    """Convert CIELAB (..., 3, H, W) to encoded sRGB (..., 3, H, W), clipped to 0..1 channel by channel.

    For the linear, unclipped colour take `lab_to_linear`; to keep lightness take `fit_gamut` first.
    """
    return linear_to_srgb(lab_to_linear(lab).clamp(0.0, 1.0))


@cache
def lightness_table(levels: int) -> Tensor:
    """L (levels,) float32, 0..100, of every sRGB-encoded level of luminance."""
    gray = torch.linspace(0.0, 1.0, levels, dtype=torch.float64)
    return (116.0 * cube_root(srgb_to_linear(gray)) - 16.0).clamp(0.0, 100.0).float()


def check_gray(gray: np.ndarray) -> None:
    """TypeError for a plane that is neither uint8 nor uint16."""
    if gray.dtype not in (np.uint8, np.uint16):
        raise TypeError(f"a gray plane is uint8 or uint16, not {gray.dtype}")


def gray_to_lightness(gray: np.ndarray) -> Tensor:
    """Lightness L (H, W) float32 0..100 of a plane (H, W) of sRGB-encoded luminance, uint8 or uint16.

    Raises TypeError for any other dtype.
    """
    check_gray(gray)
    table = lightness_table(int(np.iinfo(gray.dtype).max) + 1)
    return torch.from_numpy(table.numpy()[gray])
