"""Colour science: sRGB, CIELAB and the sRGB gamut. Every colour constant of the project lives here.

White is D65 throughout (no chromatic adaptation) and the primaries are those of sRGB (IEC 61966-2-1). Lightness L
runs 0..100, chroma a and b about -110..110. All functions work on any device and compute in float32.

XYZ is always divided by the white, so that a neutral colour has X = Y = Z. For a fixed lightness the linear
channels are then Y plus a combination of (X - Y) and (Z - Y), which is exactly neutral where a = b = 0.

Sources: IEC 61966-2-1:1999 (transfer function, primaries), CIE 15:2004 section 8.2.1 (CIELAB).
"""

from functools import cache

import numpy as np
import torch
from torch import Tensor

# IEC 61966-2-1: chromaticities x, y of the primaries and of D65.
PRIMARIES = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
WHITE = (0.3127, 0.3290)

# IEC 61966-2-1: transfer function.
LINEAR_END = 0.0031308
ENCODED_END = 0.04045
LINEAR_SLOPE = 12.92
GAMMA = 2.4
OFFSET = 0.055

# CIE 15: below DELTA the cube root is continued by its tangent.
DELTA = 6.0 / 29.0
A_SCALE = 500.0
B_SCALE = 200.0

# A channel this far outside 0..1 still counts as inside: float32 rounding, and under one step of 16 bits near white.
GAMUT_TOLERANCE = 1e-6
# Steps of the search for the gamut's border: resolves a chroma of 128 to 0.03.
GAMUT_STEPS = 12

# The 8-bit encoder looks up linear light in this many steps: at black, where sRGB is steepest, 1/20 of an 8-bit step.
ENCODE_STEPS = 65535


def _xyz_of(chromaticity: tuple[float, float]) -> np.ndarray:
    x, y = chromaticity
    return np.array([x / y, 1.0, (1.0 - x - y) / y])


def _rgb_to_xyz() -> np.ndarray:
    """(3, 3) linear sRGB to XYZ over white; every row sums to 1."""
    primaries = np.stack([_xyz_of(p) for p in PRIMARIES], axis=1)
    white = _xyz_of(WHITE)
    return primaries * np.linalg.solve(primaries, white) / white[:, None]


RGB_TO_XYZ = _rgb_to_xyz()
XYZ_TO_RGB = np.linalg.inv(RGB_TO_XYZ)


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


def srgb_to_lab(rgb: Tensor) -> Tensor:
    """Convert encoded sRGB (..., 3, H, W) in 0..1 to CIELAB (..., 3, H, W)."""
    x, y, z = _cube_root(_mix(RGB_TO_XYZ, srgb_to_linear(rgb))).unbind(-3)
    return torch.stack((116.0 * y - 16.0, A_SCALE * (x - y), B_SCALE * (y - z)), dim=-3)


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
