"""Photographs of any size as a scanner would deliver them: a real one enlarged, with grain."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

import numpy as np
import pyvips

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from photographs import PHOTOGRAPHS, load_photograph  # noqa: E402

ASPECT = 1.5
PATCH = 1024  # grain repeats after so many pixels
GRAIN_RADIUS = 1.2  # pixels, of the blur that clumps it
GRAIN = (0.01, 0.06)  # deviation of encoded values: everywhere, and more in the middle tones
STRIP = 256


def size_of(megapixels: float) -> tuple[int, int]:
    """Height and width of a 3:2 photograph of so many million pixels."""
    width = round((ASPECT * 1e6 * megapixels) ** 0.5)
    return round(width / ASPECT), width


def scan(megapixels: float, *, deep: bool = False, number: int = 1) -> np.ndarray:
    """Gray plane (H, W), uint8, or uint16 where deep; `number` chooses the photograph and the grain's place."""
    height, width = size_of(megapixels)
    enlarged = _enlarged(PHOTOGRAPHS[number % len(PHOTOGRAPHS)], height, width)
    peak, dtype = (65535, np.uint16) if deep else (255, np.uint8)
    plane = np.empty((height, width), dtype)
    for top in range(0, height, STRIP):
        encoded = enlarged[top : top + STRIP].astype(np.float32) / 65535
        rows = np.arange(top, top + len(encoded)) + 37 * number
        grain = np.take(grain_patch()[rows % PATCH], np.arange(width) % PATCH, axis=1)
        base, more = GRAIN
        encoded += grain * (base + more * encoded * (1 - encoded))
        plane[top : top + STRIP] = np.rint(encoded.clip(0, 1) * peak).astype(dtype)
    return plane


def _enlarged(name: str, height: int, width: int) -> np.ndarray:
    """The middle of a photograph, of our aspect, as uint16 (height, width)."""
    gray = load_photograph(name).gray16
    rows = min(gray.shape[0], round(gray.shape[1] / ASPECT))
    columns = min(gray.shape[1], round(rows * ASPECT))
    top, left = (gray.shape[0] - rows) // 2, (gray.shape[1] - columns) // 2
    middle = pyvips.Image.new_from_array(np.ascontiguousarray(gray[top : top + rows, left : left + columns]))
    large = middle.resize(width / columns, vscale=height / rows, kernel="cubic")
    return large.crop(0, 0, width, height).numpy()


@cache
def grain_patch() -> np.ndarray:
    """Clumped noise (PATCH, PATCH) float32 of deviation 1 that joins itself on every side."""
    noise = np.random.default_rng(0).standard_normal((PATCH, PATCH))
    frequency = np.fft.fftfreq(PATCH)
    squares = frequency[:, None] ** 2 + frequency**2
    blurred = np.fft.ifft2(np.fft.fft2(noise) * np.exp(-2 * (np.pi * GRAIN_RADIUS) ** 2 * squares)).real
    return (blurred / blurred.std()).astype(np.float32)
