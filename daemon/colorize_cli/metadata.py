"""What a file says about its photograph: EXIF, XMP, IPTC, comments, resolution; from any format to any other.

libvips carries all of it but EXIF in TIFF, which `tifftags` adds.
"""

import os
from functools import cache
from typing import Any

import pyvips

from colorize_cli import tifftags

Fields = dict[str, tuple[int, Any]]

EXIF = "exif-data"
ORIENTATION = "orientation"
_KEPT = ("exif-", "xmp-data", "iptc-data", "photoshop-data", "png-comment-", "image-description", "resolution-")


def fields_of(image: pyvips.Image) -> Fields:
    """libvips' fields of a picture that its result carries over: name -> (GType, value)."""
    names = [name for name in image.get_fields() if name.startswith(_KEPT) or name == ORIENTATION]
    return {name: (image.get_typeof(name), image.get(name)) for name in names}


def exif_of_tiff(descriptor: int) -> Fields:
    """The EXIF fields of an open TIFF file; raises tifftags.BrokenTags."""
    with open(os.dup(descriptor), "rb") as file:
        block = tifftags.exif_of_tiff(file)
    if block is None:
        return {}
    fields = fields_of(pyvips.Image.jpegload_buffer(_jpeg_with(block)))
    return {name: field for name, field in fields.items() if name.startswith("exif-")}


def set_fields(image: pyvips.Image, fields: Fields, orientation: int) -> pyvips.Image:
    """The same picture with these fields, and this orientation where the fields name one."""
    image = image.copy()
    for name, (kind, value) in fields.items():
        image.set_type(kind, name, value)
    if ORIENTATION in fields:
        image.set_type(pyvips.GValue.gint_type, ORIENTATION, orientation)
    return image


def finish_tiff(descriptor: int, fields: Fields) -> None:
    """Put the EXIF among `fields` into the TIFF file just written; raises tifftags.BrokenTags."""
    if EXIF not in fields:
        return
    with open(os.dup(descriptor), "r+b") as file:
        tifftags.add_exif(file, fields[EXIF][1])


def _jpeg_with(block: bytes) -> bytes:
    """A JPEG of one pixel that carries an EXIF block: libvips takes the block apart only when it opens a file."""
    start = _one_pixel()
    return start[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block + start[2:]


@cache
def _one_pixel() -> bytes:
    return pyvips.Image.black(1, 1).jpegsave_buffer(keep="none")
