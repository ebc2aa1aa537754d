"""Reads photographs: any depth, profile and kind of pixels into one gray plane, a strip of rows at a time."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyvips
from colorize_engine.colour.rows import luminance

from colorize_cli import profiles
from colorize_cli.light import Light, of_profile
from colorize_cli.opening import Opened, harmless, open_picture, refusal_of
from colorize_cli.photograph import ORIENTATIONS, Photograph, upright
from colorize_cli.problems import PictureError

STRIP_PIXELS = 1 << 18
MAX_RESOLUTION = 1e6  # pixels per millimetre: libvips' limit


@dataclass
class _Colours:
    """The colour channels, and how they become luminance and a result."""

    image: pyvips.Image
    light: Light | None = None  # None: they are sRGB
    profile: bytes | None = field(default=None, repr=False)  # of the result
    converts: bool = False


def read_photograph(path: Path) -> Photograph:
    """Decode the photograph in a file; PictureError where that cannot be done."""
    try:
        return _read(open_picture(path))
    except pyvips.Error as error:
        warning = harmless(error)
        if warning is None:
            raise PictureError(path, refusal_of(path, error)) from error
    patient = open_picture(path, patient=True)
    patient.notes.append(f"the file is not quite in order ({warning}); look whether the result is whole")
    try:
        return _read(patient)
    except pyvips.Error as error:
        raise PictureError(path, refusal_of(path, error)) from error


def _read(opened: Opened) -> Photograph:
    whole = _to_integers(opened)
    colours = _to_srgb(opened, whole)
    alpha = None if opened.alpha is None else whole[opened.alpha]
    gray, opacity, extras = _planes(colours, alpha, [whole[number] for number in opened.extras])
    opened.check_decoded()
    orientation = opened.orientation if opened.orientation in ORIENTATIONS else 1
    return Photograph(
        path=opened.path,
        form=opened.form,
        gray=np.ascontiguousarray(upright(gray, orientation)),
        alpha=None if opacity is None else upright(opacity, orientation),
        extras=tuple(upright(extra, orientation) for extra in extras),
        depth=8 if whole.format == "uchar" else 16,
        profile=colours.profile,
        converts=colours.converts,
        orientation=orientation,
        resolution=_resolution(opened),
        metadata=opened.metadata,
        notes=tuple(opened.notes),
    )


def _resolution(opened: Opened) -> tuple[float, float] | None:
    """The file's own, None where it names none, or one that no file can hold."""
    found = (opened.image.xres, opened.image.yres)
    return found if opened.has_resolution and all(0.0 < value <= MAX_RESOLUTION for value in found) else None


def _to_integers(opened: Opened) -> pyvips.Image:
    """The picture with 8 or 16 unsigned bits per channel."""
    image, notes = opened.image, opened.notes
    if image.format == "uint":
        notes.append("the file's 32 bits per channel were read as 16")
        image = _named((image >> 16).cast("ushort"))
    elif image.format in ("float", "double"):
        notes.append("the file's floating-point values were read as 16 bits")
        white = max(1.0, _finite(open_picture(opened.path).image).max())
        image = _named(_finite(image).linear(65535.0 / white, 0.5).cast("ushort"))
    elif image.format not in ("uchar", "ushort"):
        reason = f"pixels of type {image.format} cannot be read; save it with 8 or 16 bits per channel"
        raise PictureError(opened.path, reason)
    return image


def _finite(image: pyvips.Image) -> pyvips.Image:
    """The values of a float picture, 0 for those that are not a number or infinite."""
    return (image.abs() < 1e30).ifthenelse(image, 0)


def _named(image: pyvips.Image) -> pyvips.Image:
    return image.copy(interpretation="grey16" if image.bands < 3 else "rgb16")


def _to_srgb(opened: Opened, whole: pyvips.Image) -> _Colours:
    """The colour channels as sRGB (or gray of sRGB's curve), or with the light that leads there."""
    channels, notes = opened.channels, opened.notes
    image = whole[:channels] if channels < whole.bands else whole
    if whole.interpretation == "cmyk":
        notes.append("CMYK cannot be kept; the result is in sRGB")
        return _Colours(profiles.cmyk_to_srgb(image), None, profiles.srgb_profile())
    if channels not in (1, 3):
        raise PictureError(opened.path, f"{channels} colour channels cannot be read; save it as gray or RGB")
    if opened.light is not None:
        return _Colours(image, opened.light, profiles.srgb_profile())
    profile = profiles.embedded(whole)
    return _Colours(image) if profile is None else _by_profile(image, profile, notes)


def _by_profile(image: pyvips.Image, profile: bytes, notes: list[str]) -> _Colours:
    try:
        same = profiles.is_srgb(profile, image.bands)
    except profiles.BrokenProfile:
        notes.append("the embedded profile cannot be used with this picture, which was taken as sRGB")
        return _Colours(image)
    result = profile
    if image.bands == 1:
        result = profiles.srgb_profile()
        if not same:
            notes.append("the file's gray profile cannot hold colour; the result is in sRGB")
    converts = not same and image.bands == 3
    if same:
        return _Colours(image, None, result)
    light = of_profile(profile, image.bands)
    return _Colours(image if light else profiles.to_srgb(image), light, result, converts)


def _planes(
    colours: _Colours, alpha: pyvips.Image | None, extras: list[pyvips.Image]
) -> tuple[np.ndarray, np.ndarray | None, list[np.ndarray]]:
    """Gray plane, alpha plane (None where opaque), other planes, all (h, w) in the file's order, decoded in strips."""
    image = colours.image
    beside = [*([] if alpha is None else [alpha]), *extras]
    joined = image.bandjoin([band.cast(image.format) for band in beside]) if beside else image
    depth = np.dtype(np.uint8 if joined.format == "uchar" else np.uint16)
    size = (joined.height, joined.width)
    gray = np.empty(size, depth if image.bands == 1 and colours.light is None else np.uint16)
    planes = [np.empty(size, np.uint8 if band.format == "uchar" else np.uint16) for band in beside]
    for y, strip in _strips(joined, depth):
        rows = slice(y, y + len(strip))
        gray[rows] = _gray(strip[..., : image.bands], colours.light)
        for plane, band in zip(planes, np.moveaxis(strip[..., image.bands :], -1, 0), strict=True):
            plane[rows] = band
    opacity = planes.pop(0) if alpha is not None else None
    if opacity is not None and opacity.min() == np.iinfo(opacity.dtype).max:
        opacity = None
    return gray, opacity, planes


def _strips(image: pyvips.Image, depth: np.dtype) -> Iterator[tuple[int, np.ndarray]]:
    region = pyvips.Region.new(image)
    rows = max(1, STRIP_PIXELS // image.width)
    for y in range(0, image.height, rows):
        count = min(rows, image.height - y)
        data = region.fetch(0, y, image.width, count)
        yield y, np.frombuffer(data, depth).reshape(count, image.width, image.bands)


def _gray(strip: np.ndarray, light: Light | None) -> np.ndarray:
    """sRGB-encoded luminance of colours, (rows, W) of (rows, W, bands)."""
    if light is not None:
        return light.gray(strip)
    return strip[..., 0] if strip.shape[2] == 1 else luminance(strip)
