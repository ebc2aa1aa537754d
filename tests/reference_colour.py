"""Pixels of lightness and chroma in plain numpy: what the engine's are compared with, and what the stand-in's are."""

from functools import cache

import numpy as np
from colorize_engine.colour.constants import A_SCALE, AB16_SCALE, B_SCALE, DELTA, XYZ_TO_RGB
from colorize_engine.colour.rows import encode, linear_table


@cache
def _cube_root_table(levels: int) -> np.ndarray:
    """CIELAB's f, float32 (levels,), of the luminance of every sRGB-encoded gray level."""
    linear = linear_table(levels).astype(np.float64)
    upper = np.maximum(linear, DELTA**3)
    return (np.cbrt(upper) + (linear - upper) / (3.0 * DELTA**2)).astype(np.float32)


def _cube(f: np.ndarray) -> np.ndarray:
    """Inverse of CIELAB's f: the cube, continued below DELTA by its tangent."""
    upper = np.maximum(f, np.float32(DELTA))
    return upper * upper * upper + (f - upper) * np.float32(3.0 * DELTA**2)


def merge(gray: np.ndarray, ab: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Encoded sRGB (rows, W, 3) of `dtype` (uint8 or uint16) with the lightness of `gray` and the chroma of `ab`.

    gray: sRGB-encoded luminance (rows, W) uint8 or uint16; ab: int16 (rows, W, 2), AB16_SCALE per unit. Chroma is
    expected inside the sRGB gamut, as the service sends it; what rounding leaves outside is clipped per channel.
    Where ab is 0 the result is neutral and equals `gray` exactly.
    """
    levels = int(np.iinfo(gray.dtype).max) + 1
    f = _cube_root_table(levels)[gray]
    y = linear_table(levels)[gray]
    x_surplus = _cube(f + ab[..., 0] * np.float32(1.0 / (AB16_SCALE * A_SCALE))) - y
    z_surplus = _cube(f - ab[..., 1] * np.float32(1.0 / (AB16_SCALE * B_SCALE))) - y
    rgb = np.empty((*gray.shape, 3), dtype)
    for channel, (x, _, z) in enumerate(XYZ_TO_RGB.astype(np.float32)):
        rgb[..., channel] = encode(y + x * x_surplus + z * z_surplus, dtype)
    return rgb
