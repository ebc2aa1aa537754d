"""The constants of sRGB and CIELAB for the whole project, without torch.

White is D65 throughout (no chromatic adaptation) and the primaries are those of sRGB. XYZ is always divided by the
white, so that a neutral colour has X = Y = Z.

Sources: IEC 61966-2-1:1999 (transfer function, primaries), CIE 15:2004 section 8.2.1 (CIELAB).
"""

import numpy as np

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

# CIELAB's a and b of sRGB colours lie within -AB_SCALE..AB_SCALE.
AB_SCALE = 110.0

# Chroma as int16 (layout "ab16"): 1/256 of a unit.
AB16_SCALE = 256.0


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
