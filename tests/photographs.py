"""Real photographs made gray, for tests and benchmarks."""

from dataclasses import dataclass
from functools import cache

import numpy as np

# scikit-image carries these photographs itself; its others would be downloaded.
PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")


@dataclass(frozen=True)
class Photograph:
    """A colour photograph and what a gray scan of it would hold.

    Attributes:
        name: scikit-image's name of it.
        rgb: sRGB-encoded colour, uint8, (H, W, 3).
        gray: sRGB-encoded luminance of `rgb`, uint8, (H, W).
        gray16: the same luminance without the rounding to 8 bits, uint16, (H, W).
    """

    name: str
    rgb: np.ndarray
    gray: np.ndarray
    gray16: np.ndarray


def luminance(rgb: np.ndarray) -> np.ndarray:
    """sRGB-encoded luminance 0..1 of sRGB-encoded uint8 colour, by IEC 61966-2-1, (H, W) float64."""
    encoded = rgb / 255.0
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    y = linear @ np.array([0.2126, 0.7152, 0.0722])
    return np.where(y <= 0.0031308, 12.92 * y, 1.055 * y ** (1 / 2.4) - 0.055)


@cache
def load_photograph(name: str) -> Photograph:
    """One of PHOTOGRAPHS; its arrays cannot be written to, since all tests share them."""
    from skimage import data

    rgb = np.ascontiguousarray(getattr(data, name)())
    encoded = luminance(rgb)
    planes = (rgb, np.rint(encoded * 255).astype(np.uint8), np.rint(encoded * 65535).astype(np.uint16))
    for plane in planes:
        plane.setflags(write=False)
    return Photograph(name, *planes)
