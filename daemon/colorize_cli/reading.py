"""Reads photographs: any depth, profile and kind of pixels into one gray plane, a strip of rows at a time."""

import os
import stat
from functools import cache
from pathlib import Path

import numpy as np
import pyvips
from colorize_client.errors import RequestError
from colorize_client.messages import MAX_PIXELS, MAX_SIDE, check_size
from colorize_engine.colour.rows import luminance

from colorize_cli import metadata, profiles
from colorize_cli.photograph import ORIENTATIONS, Photograph, upright
from colorize_cli.problems import PictureError, sentence_for
from colorize_cli.tifftags import BrokenTags

STRIP_PIXELS = 1 << 18

_FORMAT_OF_LOADER = {"pngload": "png", "jpegload": "jpeg", "tiffload": "tiff", "webpload": "webp", "heifload": "heif"}
_LOADER_CLASSES = ("Png", "Jpeg", "Tiff", "Webp", "Heif")
_EMPTY = "the file is empty; copy it again from where it came"
_NOT_A_PICTURE = "this is not a picture that can be read; use PNG, TIFF, JPEG, WebP or AVIF"
_DAMAGED = "the file is damaged or cut short ({detail}); copy it again from where it came"
_UNSUPPORTED = "this kind of file cannot be read ({detail}); save it again as 8- or 16-bit PNG, TIFF or JPEG"


@cache
def _allow_photographs_only() -> None:
    """Let libvips open only the formats that are meant here: the fewer parsers a hostile file reaches, the better."""
    pyvips.operation_block_set("VipsForeignLoad", True)
    for name in _LOADER_CLASSES:
        pyvips.operation_block_set(f"VipsForeignLoad{name}", False)


def open_picture(path: Path) -> pyvips.Image:
    """The picture in a file, its pixels still undecoded and to be read once from the top to the bottom.

    Raises PictureError: not readable, not a picture, empty, larger than the service accepts.
    """
    _allow_photographs_only()
    descriptor = _open(path)
    try:
        source = pyvips.Source.new_from_descriptor(descriptor)  # a name would be searched for libvips' [options]
        image = pyvips.Image.new_from_source(source, "", access="sequential", fail_on="error")
    except pyvips.Error as error:
        raise PictureError(path, _refusal(descriptor, error)) from error
    finally:
        os.close(descriptor)
    _check_size(path, image)
    return image


def _refusal(descriptor: int, error: pyvips.Error) -> str:
    if os.fstat(descriptor).st_size == 0:
        return _EMPTY
    if "not in a known format" in error.detail:
        return _NOT_A_PICTURE
    return _UNSUPPORTED.format(detail=_first_line(error))


def _open(path: Path) -> int:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe without a writer would wait for ever
    except OSError as error:
        raise PictureError(path, sentence_for(error)) from error
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise PictureError(path, "this is not a regular file; name a file or a folder")


def _check_size(path: Path, image: pyvips.Image) -> None:
    try:
        check_size(image.width, image.height)
    except RequestError as error:
        reason = (
            f"{image.width} x {image.height} pixels are too many; "
            f"scale it to at most {MAX_SIDE} per side and {MAX_PIXELS // 10**6} megapixels"
        )
        raise PictureError(path, reason) from error


def read_photograph(path: Path) -> Photograph:
    """Decode the photograph in a file; PictureError where that cannot be done."""
    image = open_picture(path)
    notes: list[str] = []
    try:
        whole = _to_integers(path, image, notes)
        colours, profile, converts = _to_srgb(path, whole, notes)
        gray, alpha = _planes(colours, whole[whole.bands - 1] if whole.hasalpha() else None)
    except pyvips.Error as error:
        raise PictureError(path, _DAMAGED.format(detail=_first_line(error))) from error
    if _field(image, "n-pages", 1) > 1:
        notes.append(f"only the first of the file's {image.get('n-pages')} pages was coloured")
    orientation = _field(image, "orientation", 1)
    orientation = orientation if orientation in ORIENTATIONS else 1
    fields = _metadata(image, path, notes)
    return Photograph(
        path=path,
        form=_form(image),
        gray=np.ascontiguousarray(upright(gray, orientation)),
        alpha=None if alpha is None else upright(alpha, orientation),
        depth=8 if whole.format == "uchar" else 16,
        profile=profile,
        converts=converts,
        orientation=orientation,
        resolution=(image.xres, image.yres),
        metadata=fields,
        notes=tuple(notes),
    )


def _first_line(error: pyvips.Error) -> str:
    lines = [line.strip() for line in error.detail.splitlines() if line.strip()]
    return lines[0] if lines else "no reason given"


def _field(image: pyvips.Image, name: str, default: int) -> int:
    return int(image.get(name)) if image.get_typeof(name) else default


def _metadata(image: pyvips.Image, path: Path, notes: list[str]) -> metadata.Fields:
    fields = metadata.fields_of(image)
    if _form(image) != "tiff":
        return fields
    descriptor = _open(path)
    try:
        return metadata.exif_of_tiff(descriptor) | fields
    except BrokenTags as error:
        notes.append(f"the file's EXIF data could not be kept: {error}")
        return fields
    finally:
        os.close(descriptor)


def _form(image: pyvips.Image) -> str:
    return _FORMAT_OF_LOADER[image.get("vips-loader").removesuffix("_source")]


def _to_integers(path: Path, image: pyvips.Image, notes: list[str]) -> pyvips.Image:
    """The picture with 8 or 16 unsigned bits per channel."""
    if image.format in ("uchar", "ushort"):
        return image
    if image.format == "uint":
        notes.append("the file's 32 bits per channel were read as 16")
        return _named((image >> 16).cast("ushort"))
    if image.format in ("float", "double"):
        notes.append("the file's floating-point values were read as 16 bits")
        white = max(1.0, _finite(open_picture(path)).max())
        return _named(_finite(image).linear(65535.0 / white, 0.5).cast("ushort"))
    raise PictureError(path, f"pixels of type {image.format} cannot be read; save it with 8 or 16 bits per channel")


def _finite(image: pyvips.Image) -> pyvips.Image:
    """The values of a float picture, 0 for those that are not a number or infinite."""
    return (image.abs() < 1e30).ifthenelse(image, 0)


def _named(image: pyvips.Image) -> pyvips.Image:
    return image.copy(interpretation="grey16" if image.bands < 3 else "rgb16")


def _to_srgb(path: Path, whole: pyvips.Image, notes: list[str]) -> tuple[pyvips.Image, bytes | None, bool]:
    """The colour channels as sRGB (or gray of sRGB's curve), the result's profile, and whether that is another one."""
    bands = whole.bands - int(whole.hasalpha())
    colours = whole[:bands] if bands < whole.bands else whole
    if whole.interpretation == "cmyk":
        notes.append("CMYK cannot be kept; the result is in sRGB")
        return profiles.cmyk_to_srgb(colours), profiles.srgb_profile(), False
    if bands not in (1, 3):
        raise PictureError(path, f"{bands} colour channels cannot be read; save it as gray or RGB")
    profile = profiles.embedded(whole)
    if profile is None:
        return colours, None, False
    try:
        same = profiles.is_srgb(profile, bands)
    except profiles.BrokenProfile:
        notes.append("the embedded profile cannot be used with this picture, which was taken as sRGB")
        return colours, None, False
    if bands == 1:
        if not same:
            notes.append("the file's gray profile cannot hold colour; the result is in sRGB")
        return colours if same else profiles.to_srgb(colours), profiles.srgb_profile(), False
    return (colours, profile, False) if same else (profiles.to_srgb(colours), profile, True)


def _planes(colours: pyvips.Image, alpha: pyvips.Image | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Gray plane and alpha plane (None where opaque), both (h, w) in the file's order, decoded in strips."""
    joined = colours if alpha is None else colours.bandjoin(alpha)
    depth = np.uint8 if joined.format == "uchar" else np.uint16
    size = (joined.height, joined.width)
    gray = np.empty(size, depth if colours.bands == 1 else np.uint16)
    opacity = None if alpha is None else np.empty(size, np.uint8 if alpha.format == "uchar" else np.uint16)
    region = pyvips.Region.new(joined)
    rows = max(1, STRIP_PIXELS // joined.width)
    for y in range(0, joined.height, rows):
        count = min(rows, joined.height - y)
        data = region.fetch(0, y, joined.width, count)
        strip = np.frombuffer(data, depth).reshape(count, joined.width, joined.bands)
        gray[y : y + count] = strip[..., 0] if colours.bands == 1 else luminance(strip[..., :3])
        if opacity is not None:
            opacity[y : y + count] = strip[..., -1]
    if opacity is None or opacity.min() == np.iinfo(opacity.dtype).max:
        return gray, None
    return gray, opacity
