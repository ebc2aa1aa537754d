"""Colour spaces of the recipes: one channel of lightness, and two of chroma scaled to 0..1 for a sigmoid."""

from dataclasses import dataclass

import torch
from torch import Tensor

from colorize_engine.colour.constants import A_SCALE, AB_SCALE, B_SCALE, WHITE
from colorize_engine.colour.conversions import cube, cube_root, lab_to_srgb, linear_to_srgb, srgb_to_lab

# u', v' of D65 (CIE 15:2004 section 8.2.2)
_WHITE_U = 4 * WHITE[0] / (-2 * WHITE[0] + 12 * WHITE[1] + 3)
_WHITE_V = 9 * WHITE[1] / (-2 * WHITE[0] + 12 * WHITE[1] + 3)
_WHITE_XZ = (WHITE[0] / WHITE[1], (1 - WHITE[0] - WHITE[1]) / WHITE[1])
_BLACK = 0.5  # CIELAB lightness below which chroma in CIELUV is not told apart from none
_BLUE, _RED = 0.492, 0.877  # ITU-R BT.601: U = 0.492 (B - Y), V = 0.877 (R - Y)
_LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class ChromaSpace:
    """Chroma c of a space's own units is stored as (c - low) / (high - low), so that gray lies well inside 0..1."""

    name: str
    low: tuple[float, float]
    high: tuple[float, float]

    def scale(self, chroma: Tensor) -> Tensor:
        """Own units (B, 2, H, W) -> 0..1."""
        low, high = self._range(chroma)
        return (chroma - low) / (high - low)

    def unscale(self, unit: Tensor) -> Tensor:
        """0..1 (B, 2, H, W) -> own units."""
        low, high = self._range(unit)
        return low + unit * (high - low)

    def from_srgb(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        """Encoded sRGB (B, 3, H, W) in 0..1 -> lightness (B, 1, H, W) in 0..1 and chroma (B, 2, H, W) in 0..1."""
        raise NotImplementedError

    def lightness(self, cielab_lightness: Tensor) -> Tensor:
        """The space's lightness 0..1 of a neutral photograph of CIELAB lightness 0..100."""
        raise NotImplementedError

    def to_ab(self, unit: Tensor, cielab_lightness: Tensor) -> Tensor:
        """Chroma 0..1 (B, 2, H, W) at L (B, 1, H, W) in 0..100 -> CIELAB ab (B, 2, H, W)."""
        raise NotImplementedError

    def from_ab(self, ab: Tensor, cielab_lightness: Tensor) -> Tensor:
        """CIELAB ab (B, 2, H, W) at L (B, 1, H, W) in 0..100 -> chroma 0..1 (B, 2, H, W)."""
        raise NotImplementedError

    def _range(self, like: Tensor) -> tuple[Tensor, Tensor]:
        low, high = (like.new_tensor(ends)[:, None, None] for ends in (self.low, self.high))
        return low, high


class _Lab(ChromaSpace):
    def from_srgb(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        lab = srgb_to_lab(rgb)
        return lab[:, :1] / 100, self.scale(lab[:, 1:])

    def lightness(self, cielab_lightness: Tensor) -> Tensor:
        return cielab_lightness / 100

    def to_ab(self, unit: Tensor, cielab_lightness: Tensor) -> Tensor:
        return self.unscale(unit)

    def from_ab(self, ab: Tensor, cielab_lightness: Tensor) -> Tensor:
        return self.scale(ab)


class _Luv(_Lab):
    """CIE 15:2004 section 8.2.2, with D65; its L is CIELAB's."""

    def from_srgb(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        lab = srgb_to_lab(rgb)
        return lab[:, :1] / 100, self.from_ab(lab[:, 1:], lab[:, :1])

    def from_ab(self, ab: Tensor, cielab_lightness: Tensor) -> Tensor:
        f = (cielab_lightness + 16) / 116
        y = cube(f)
        x = cube(f + ab[:, :1] / A_SCALE) * _WHITE_XZ[0]
        z = cube(f - ab[:, 1:] / B_SCALE) * _WHITE_XZ[1]
        weight = (x + 15 * y + 3 * z).clamp_min(1e-9)
        u = 13 * cielab_lightness * (4 * x / weight - _WHITE_U)
        v = 13 * cielab_lightness * (9 * y / weight - _WHITE_V)
        return self.scale(torch.cat([u, v], 1))

    def to_ab(self, unit: Tensor, cielab_lightness: Tensor) -> Tensor:
        u, v = self.unscale(unit).split(1, 1)
        light = 13 * cielab_lightness.clamp_min(_BLACK)
        u, v = u / light + _WHITE_U, (v / light + _WHITE_V).clamp_min(1e-2)
        f = (cielab_lightness + 16) / 116
        y = cube(f)
        x, z = 9 * u / (4 * v) * y, (12 - 3 * u - 20 * v) / (4 * v) * y
        a = A_SCALE * (cube_root(x / _WHITE_XZ[0]) - f)
        b = B_SCALE * (f - cube_root(z / _WHITE_XZ[1]))
        return torch.where(cielab_lightness > _BLACK, torch.cat([a, b], 1).clamp(-160, 160), 0.0)


class _Yuv(ChromaSpace):
    """Y'UV with the luma of ITU-R BT.601 on gamma-encoded sRGB: an affine map of RGB, as `rtnet` and `hnet` want it."""

    def from_srgb(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        red, green, blue = rgb.split(1, 1)
        luma = _LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue
        return luma, self.scale(torch.cat([_BLUE * (blue - luma), _RED * (red - luma)], 1))

    def lightness(self, cielab_lightness: Tensor) -> Tensor:
        return linear_to_srgb(cube((cielab_lightness + 16) / 116).clamp(0, 1))

    def to_ab(self, unit: Tensor, cielab_lightness: Tensor) -> Tensor:
        u, v = self.unscale(unit).split(1, 1)
        luma = self.lightness(cielab_lightness)
        red, blue = luma + v / _RED, luma + u / _BLUE
        green = (luma - _LUMA[0] * red - _LUMA[2] * blue) / _LUMA[1]
        return srgb_to_lab(torch.cat([red, green, blue], 1).clamp(0, 1))[:, 1:]

    def from_ab(self, ab: Tensor, cielab_lightness: Tensor) -> Tensor:
        return self.from_srgb(lab_to_srgb(torch.cat([cielab_lightness, ab], 1)))[1]


# Ranges that hold all of sRGB: a -86..98, b -108..94; OpenCV's 8-bit ranges of u and v; BT.601's of U and V.
CIELAB = _Lab("CIELAB", (-AB_SCALE, -AB_SCALE), (AB_SCALE, AB_SCALE))
CIELUV = _Luv("CIELUV", (-134.0, -140.0), (220.0, 122.0))
YUV = _Yuv("YUV", (-0.436, -0.615), (0.436, 0.615))
