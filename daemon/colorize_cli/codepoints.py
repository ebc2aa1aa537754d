"""Colour that is named by numbers: PNG's cICP, gAMA and cHRM, and HEIF's nclx.

Sources: ITU-T H.273 (2021), tables 2 and 3; PNG, third edition, 4.3 and 11.3.2.
"""

import numpy as np

from colorize_cli.light import SRGB_PRIMARIES, Curve, Light, Primaries, of_primaries, power, srgb_curve
from colorize_cli.pngchunks import Chunks
from colorize_cli.tiffpages import Unsuitable

_D65, _C, _DCI = (0.3127, 0.3290), (0.310, 0.316), (0.314, 0.351)
_SRGB, _UNSPECIFIED = 1, 2
_PRIMARIES: dict[int, tuple[Primaries, tuple[float, float]]] = {
    1: (SRGB_PRIMARIES, _D65),
    2: (SRGB_PRIMARIES, _D65),
    4: (((0.67, 0.33), (0.21, 0.71), (0.14, 0.08)), _C),
    5: (((0.64, 0.33), (0.29, 0.60), (0.15, 0.06)), _D65),
    6: (((0.630, 0.340), (0.310, 0.595), (0.155, 0.070)), _D65),
    7: (((0.630, 0.340), (0.310, 0.595), (0.155, 0.070)), _D65),
    9: (((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)), _D65),
    11: (((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)), _DCI),
    12: (((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)), _D65),
}
_CURVES: dict[int, Curve] = {
    **dict.fromkeys((2, 13), srgb_curve),
    **dict.fromkeys((1, 6, 14, 15), srgb_curve),  # video: shown by browsers and players as sRGB
    4: power(2.2),
    5: power(2.8),
    8: power(1.0),
}
_HIGH_RANGE = {16: "PQ", 18: "HLG"}

# What libpng takes for the same: a gamma within 5 %, chromaticities within 0.01.
_GAMMA, _GAMMA_SHARE = 45455, 0.05
_SAME_PLACE = 1000
_SRGB_PLACES = tuple(round(100000 * value) for place in (_D65, *SRGB_PRIMARIES) for value in place)

_READ_AS = "the picture's {what} cannot be kept; the result is in sRGB"


def of_png(chunks: Chunks, bands: int) -> tuple[Light, str] | None:
    """The light of a PNG file that says by numbers what its values mean, and a note; None where that is sRGB.

    cICP goes before a profile, that before sRGB, that before gAMA and cHRM. Raises Unsuitable.
    """
    if chunks.cicp is not None:
        primaries, transfer, matrix, full = chunks.cicp
        if matrix != 0 or full != 1:
            raise Unsuitable("its cICP chunk names video values, not RGB of full range; save it as sRGB")
        return of_codes(primaries, transfer, bands)
    if chunks.icc or chunks.srgb or chunks.gamma is None:
        return None
    return _of_gamma(chunks.gamma, chunks.chromaticities if bands == 3 else None, bands)


def names_colour(chunks: Chunks) -> bool:
    """Whether what the numbers say goes before an embedded profile."""
    return chunks.cicp is not None


def of_codes(primaries: int, transfer: int, bands: int) -> tuple[Light, str] | None:
    """The light that H.273's numbers stand for, and a note; None where that is sRGB. Raises Unsuitable."""
    if transfer in _HIGH_RANGE:
        kind = _HIGH_RANGE[transfer]
        raise Unsuitable(f"its brightness is that of high-dynamic-range video ({kind}); convert it to sRGB first")
    if transfer not in _CURVES or primaries not in _PRIMARIES:
        raise Unsuitable(f"its colours are of an unusual kind (H.273 {primaries}/{transfer}); convert it to sRGB first")
    if _CURVES[transfer] is srgb_curve and (bands == 1 or primaries in (_SRGB, _UNSPECIFIED)):
        return None
    places, white = _PRIMARIES[primaries]
    return of_primaries(_CURVES[transfer], places, white, bands), _READ_AS.format(what="colour space")


def _of_gamma(gamma: int, places: tuple[int, ...] | None, bands: int) -> tuple[Light, str] | None:
    same_curve = abs(gamma - _GAMMA) <= _GAMMA_SHARE * _GAMMA
    same_places = places is None or all(abs(a - b) <= _SAME_PLACE for a, b in zip(places, _SRGB_PLACES, strict=True))
    if gamma == 0 or (same_curve and same_places):
        return None
    curve = srgb_curve if same_curve else power(100000 / gamma)
    note = _READ_AS.format(what="gamma" if same_places else "gamma and primaries")
    white, red, green, blue = _pairs(places if places and not same_places else _SRGB_PLACES)
    try:
        return of_primaries(curve, (red, green, blue), white, bands), note
    except (np.linalg.LinAlgError, ZeroDivisionError) as error:
        raise Unsuitable("its cHRM chunk names impossible primaries; save it as sRGB") from error


def _pairs(places: tuple[int, ...]) -> list[tuple[float, float]]:
    return [(places[at] / 100000, places[at + 1] / 100000) for at in range(0, 8, 2)]
