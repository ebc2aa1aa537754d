"""Colour profiles (ICC) of photographs: into sRGB and back, through Little CMS in libvips, relative colorimetric.

At 16 bits Little CMS works through tables: L is kept to about 0.02, below L = 10 to about 0.3, and much worse where a
gray profile is nearly linear. So what consists of curves and a matrix is read by `light`.
"""

from functools import lru_cache

import numpy as np
import pyvips

SRGB = "srgb"  # libvips' own profile
CMYK = "cmyk"  # what CMYK without a profile is taken for
FIELD = "icc-profile-data"
INTENT = "relative"
# A profile whose colours lie within this many 16-bit steps of sRGB's (a quarter of an 8-bit step) is sRGB itself in
# one of its many spellings.
SAME_STEPS = 64
_PROBE_LEVELS = 9


class BrokenProfile(Exception):
    """The embedded profile is damaged, or of another kind of picture."""


def embedded(image: pyvips.Image) -> bytes | None:
    """The profile that the file carries, None where it has none."""
    return image.get(FIELD) if image.get_typeof(FIELD) else None


def with_profile(image: pyvips.Image, profile: bytes) -> pyvips.Image:
    """The same pixels, said to be in `profile`."""
    image = image.copy()
    image.set_type(pyvips.GValue.blob_type, FIELD, profile)
    return image


def srgb_profile() -> bytes:
    """The sRGB profile that goes into results whose own profile cannot hold colour."""
    return pyvips.Image.profile_load(SRGB)


@lru_cache(maxsize=32)
def is_srgb(profile: bytes, bands: int) -> bool:
    """Whether pictures of 1 or 3 bands in `profile` need no conversion; BrokenProfile where it does not fit them."""
    if not _fits(profile, bands):
        raise BrokenProfile
    ramp = np.linspace(0, 65535, _PROBE_LEVELS).astype(np.uint16)
    colours = np.stack(np.meshgrid(*[ramp] * bands, indexing="ij"), axis=-1).reshape(1, -1, bands)
    probe = pyvips.Image.new_from_array(colours).copy(interpretation="grey16" if bands == 1 else "rgb16")
    try:
        seen = to_srgb(with_profile(probe, profile)).numpy()
    except pyvips.Error as error:
        raise BrokenProfile from error
    return int(np.abs(seen.astype(int) - colours).max()) <= SAME_STEPS


def _fits(profile: bytes, bands: int) -> bool:
    """Whether the profile's header (ICC.1, section 7.2) is whole and names this kind of pixels.

    libvips would take its own sRGB for one that does not, and say nothing.
    """
    whole = len(profile) > 128 and profile[36:40] == b"acsp" and int.from_bytes(profile[:4], "big") <= len(profile)
    return whole and profile[16:20] == {1: b"GRAY", 3: b"RGB "}.get(bands)


def to_srgb(image: pyvips.Image) -> pyvips.Image:
    """16-bit sRGB (three bands) of a picture in its embedded profile."""
    return image.icc_transform(SRGB, embedded=True, intent=INTENT, depth=16)


def cmyk_to_srgb(image: pyvips.Image) -> pyvips.Image:
    """16-bit sRGB of a CMYK picture, by its embedded profile or else by a common press's."""
    return image.icc_transform(SRGB, embedded=True, input_profile=CMYK, intent=INTENT, depth=16)


def from_srgb(image: pyvips.Image, profile: bytes, depth: int) -> pyvips.Image:
    """`depth`-bit pixels in `profile` of a 16-bit sRGB picture, with the profile embedded."""
    between = image.icc_import(input_profile=SRGB, intent=INTENT, pcs="lab")
    return with_profile(between, profile).icc_export(intent=INTENT, pcs="lab", depth=depth)
