"""From a file's own values to linear sRGB, exactly: by curves and a matrix, without the tables of Little CMS.

Where a profile is nearly linear those tables miss dark grays by several units of L.
Sources: ICC.1:2022, sections 8.3 and 10.6, 10.18, 10.31; ITU-T H.273, tables 2 and 3; PNG, third edition, 11.3.2.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from colorize_engine.colour.constants import PRIMARIES, RGB_TO_XYZ, WHITE
from colorize_engine.colour.rows import encoded_sum, linear_table

Curve = Callable[[np.ndarray], np.ndarray]  # encoded values 0..1 to linear light 0..1
Primaries = tuple[tuple[float, float], ...]  # x, y of red, green, blue

SRGB_PRIMARIES: Primaries = tuple(PRIMARIES)
_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_MAX_POINTS = 65536
_LAB_GRAY = b"Lab "


@dataclass(frozen=True)
class Light:
    """What values mean.

    Attributes:
        curves: one for gray, three for RGB.
        matrix: (3, 3) from linear values to linear sRGB, None for gray.
    """

    curves: tuple[Curve, ...]
    matrix: np.ndarray | None = field(repr=False)
    _known: dict[int, np.ndarray] = field(default_factory=dict, init=False, repr=False, compare=False)

    def gray(self, strip: np.ndarray) -> np.ndarray:
        """sRGB-encoded luminance, uint16 (rows, W), of values (rows, W, bands), uint8 or uint16."""
        return encoded_sum(strip, self._tables(int(np.iinfo(strip.dtype).max) + 1))

    def _tables(self, levels: int) -> np.ndarray:
        """What each band's levels add to the luminance: (bands, levels) float32."""
        if levels not in self._known:
            values = np.linspace(0.0, 1.0, levels)
            weights = np.ones(1) if self.matrix is None else RGB_TO_XYZ[1] @ self.matrix
            weighted = [weight * curve(values) for curve, weight in zip(self.curves, weights, strict=True)]
            self._known[levels] = np.stack(weighted).astype(np.float32)
        return self._known[levels]


def srgb_curve(values: np.ndarray) -> np.ndarray:
    """sRGB's own curve."""
    table = linear_table(_MAX_POINTS).astype(np.float64)
    return np.interp(values, np.linspace(0.0, 1.0, len(table)), table)


def power(exponent: float) -> Curve:
    """A pure power of the encoded value."""
    return lambda values: np.asarray(values, float) ** exponent


def of_primaries(curve: Curve, primaries: Primaries, white: tuple[float, float], bands: int) -> Light:
    """The light of values with these primaries and white; numpy's LinAlgError where they span no colours."""
    if bands == 1:
        return Light((curve,), None)
    columns = np.stack([_xyz(place) for place in primaries], axis=1)
    scaled = columns * np.linalg.solve(columns, _xyz(white))
    matrix = np.linalg.inv(_absolute_srgb()) @ _adapted(_xyz(white), _xyz(WHITE)) @ scaled
    return Light((curve,) * 3, matrix)


def of_profile(profile: bytes, bands: int) -> Light | None:
    """The light of an ICC profile made of curves, and for RGB of a matrix; None for one that is made otherwise."""
    tags = _tags(profile)
    names = [b"kTRC"] if bands == 1 else [b"rTRC", b"gTRC", b"bTRC"]
    curves = [_curve(tags.get(name, b"")) for name in names]
    if b"A2B0" in tags or b"A2B1" in tags or any(curve is None for curve in curves):
        return None
    found = tuple(curve for curve in curves if curve is not None)
    if bands == 1:
        return Light((_lightness(found[0]),) if profile[20:24] == _LAB_GRAY else found, None)
    colorants = [_colorant(tags.get(name, b"")) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
    columns = [column for column in colorants if column is not None]
    if len(columns) < 3:
        return None
    matrix = np.linalg.inv(_absolute_srgb()) @ _adapted(_D50, _xyz(WHITE)) @ np.stack(columns, axis=1)
    return Light(found, matrix)


def of_lightness() -> Light:
    """The light of values that are L over its range."""
    return Light((_lightness(power(1.0)),), None)


def _absolute_srgb() -> np.ndarray:
    """Linear sRGB to XYZ under its own white (the project's constants divide by it)."""
    return _xyz(WHITE)[:, None] * RGB_TO_XYZ


def _xyz(place: tuple[float, float]) -> np.ndarray:
    x, y = place
    return np.array([x / y, 1.0, (1.0 - x - y) / y])


def _adapted(white: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Bradford's adaptation of XYZ from one white to another (ICC.1:2022, annex E)."""
    return np.linalg.inv(_BRADFORD) @ np.diag((_BRADFORD @ other) / (_BRADFORD @ white)) @ _BRADFORD


def _lightness(curve: Curve) -> Curve:
    """A curve that gives L rather than luminance."""

    def light(values: np.ndarray) -> np.ndarray:
        lightness = 100.0 * curve(values)
        return np.where(lightness > 8.0, ((lightness + 16.0) / 116.0) ** 3, lightness / 903.2963)

    return light


@lru_cache(maxsize=8)
def _tags(profile: bytes) -> dict[bytes, bytes]:
    """The tags of a profile, as far as they lie within it."""
    count = min(int.from_bytes(profile[128:132], "big"), 256)
    rows = (profile[at : at + 12] for at in range(132, 132 + 12 * count, 12))
    found = {}
    for row in rows:
        if len(row) == 12:
            name, start, size = struct.unpack(">4sII", row)
            found[name] = profile[start : start + size]
    return found


def _colorant(data: bytes) -> np.ndarray | None:
    if data[:4] != b"XYZ " or len(data) < 20:
        return None
    return np.array(struct.unpack(">3i", data[8:20])) / 65536.0


def _curve(data: bytes) -> Curve | None:
    if data[:4] == b"para":
        return _parametric(data)
    count = int.from_bytes(data[8:12], "big")
    if data[:4] != b"curv" or count > _MAX_POINTS or len(data) < 12 + 2 * count:
        return None
    points = np.frombuffer(data, ">u2", count, 12)
    if count < 2:
        return power(points[0] / 256.0 if count else 1.0)
    places, table = np.linspace(0.0, 1.0, count), points / 65535.0
    return lambda values: np.interp(values, places, table)


_PARAMETERS = (1, 3, 4, 5, 7)  # of each type of parametric curve


def _parametric(data: bytes) -> Curve | None:
    kind = int.from_bytes(data[8:10], "big")
    if kind >= len(_PARAMETERS) or len(data) < 12 + 4 * _PARAMETERS[kind]:
        return None
    values = [number / 65536.0 for number in struct.unpack_from(f">{_PARAMETERS[kind]}i", data, 12)]
    gamma, a, b, c, d, e, f = _spelled_out(kind, values)

    def light(encoded: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):  # parameters without sense
            upper = np.maximum(a * encoded + b, 0.0) ** gamma + e
        return np.clip(np.nan_to_num(np.where(encoded >= d, upper, c * encoded + f)), 0.0, 1.0)

    return light


def _spelled_out(kind: int, values: list[float]) -> tuple[float, ...]:
    """The seven parameters (g a b c d e f) of the general form: (ax + b)^g + e from d on, cx + f below."""
    gamma, a, b, c, d, e, f = (values + [0.0] * 7)[:7]
    if kind == 0:
        return gamma, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0
    if kind in (1, 2):  # below -b/a it is c
        return gamma, a, b, 0.0, (-b / a if a else 0.0), c, c
    return gamma, a, b, c, d, e, f
