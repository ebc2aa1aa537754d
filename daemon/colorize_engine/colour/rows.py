"""sRGB and CIELAB on numpy rows, without torch: for programs that must start at once, such as the command line.

The constants are those of `constants`. All functions take strips of rows, so that a picture of any size needs
only a strip's worth of float32.
"""

from functools import cache

import numpy as np

from colorize_engine.colour.constants import ENCODED_END, GAMMA, LINEAR_END, LINEAR_SLOPE, OFFSET, RGB_TO_XYZ
from colorize_engine.native import functions

CURVE_STEPS = 16384  # of which a straight line between two is as good as the curve, to 1/10 of a 16-bit level


@cache
def linear_table(levels: int) -> np.ndarray:
    """Linear light 0..1, float32 (levels,), of every sRGB-encoded level 0..levels-1."""
    encoded = np.linspace(0.0, 1.0, levels)
    curve = ((encoded + OFFSET) / (1.0 + OFFSET)) ** GAMMA
    return np.where(encoded > ENCODED_END, curve, encoded / LINEAR_SLOPE).astype(np.float32)


@cache
def encode_curve() -> np.ndarray:
    """16-bit sRGB, 0..65535 float32, of linear light in CURVE_STEPS even steps, the last one twice."""
    linear = np.minimum(np.arange(CURVE_STEPS + 2) / CURVE_STEPS, 1.0)
    curve = np.maximum(linear, LINEAR_END) ** (1.0 / GAMMA) * (1.0 + OFFSET) - OFFSET
    return (np.where(linear > LINEAR_END, curve, linear * LINEAR_SLOPE) * 65535.0).clip(0.0, 65535.0).astype(np.float32)


def _levels(dtype: np.dtype) -> int:
    return int(np.iinfo(dtype).max) + 1


def encode(linear: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Encode linear light (float32, clipped to 0..1) as sRGB of `dtype` (uint8 or uint16), any shape."""
    linear = np.clip(linear, 0.0, 1.0)
    curve = np.maximum(linear, np.float32(LINEAR_END)) ** np.float32(1.0 / GAMMA)
    curve = curve * np.float32(1.0 + OFFSET) - np.float32(OFFSET)
    encoded = np.where(linear > LINEAR_END, curve, linear * np.float32(LINEAR_SLOPE))
    return (encoded * np.float32(_levels(dtype) - 1) + np.float32(0.5)).astype(dtype)


def luminance(rgb: np.ndarray) -> np.ndarray:
    """sRGB-encoded luminance, uint16 (rows, W), of encoded sRGB (rows, W, 3) uint8 or uint16.

    A neutral pixel keeps its value exactly (8 bits: times 257).
    """
    return encoded_sum(rgb, _weighted_tables(_levels(rgb.dtype)))


@cache
def _weighted_tables(levels: int) -> np.ndarray:
    """What each channel's levels add to the luminance: (3, levels) float32."""
    return RGB_TO_XYZ[1].astype(np.float32)[:, None] * linear_table(levels)


def encoded_sum(values: np.ndarray, tables: np.ndarray) -> np.ndarray:
    """Sum of what tables say of each channel's value, encoded as sRGB: uint16 (rows, W).

    Args:
        values: (rows, W, bands) uint8 or uint16, one band or three.
        tables: (bands, levels) float32, linear light of each of the values that the type can have; the sum is clipped
            to 0..1.
    """
    library = functions.library()
    if library is not None:
        return functions.luminance(library, values, tables, encode_curve())
    y = np.zeros(values.shape[:2], np.float32)
    for channel, table in enumerate(tables):
        y += table[values[..., channel]]
    return encode(y, np.dtype(np.uint16))
