"""HEIF: telephones' HEIC, by libheif with a decoder of HEVC; what libvips leaves out of AVIF.

Source of the layout: ISO/IEC 14496-12, section 4; ISO/IEC 23008-12, section 6.5.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import pyvips

from colorize_cli.tifftags import Bytes

_WITHIN = (b"meta", b"iprp", b"ipco")
_FULL_BOX = (b"meta",)  # with four bytes of version and flags before what lies within
MAX_BOXES = 4096
_ERRORS = (ValueError, OSError, EOFError, SyntaxError, RuntimeError, IndexError)  # what pillow-heif makes of libheif's


class Undecodable(Exception):
    """The picture cannot be decoded; the text is libheif's."""


def colour_codes(data: Bytes) -> tuple[int, int] | None:
    """H.273's numbers of primaries and transfer (a colr box of type nclx), None where the file has none."""
    for start, end in _properties(data, 0, len(data), _WITHIN):
        if bytes(data[start : start + 4]) == b"nclx" and end - start >= 8:
            primaries, transfer = struct.unpack(">HH", data[start + 4 : start + 8])
            return primaries, transfer
    return None


def _properties(data: Bytes, start: int, end: int, path: tuple[bytes, ...]) -> Iterator[tuple[int, int]]:
    """Where the colr boxes below `path` lie."""
    wanted = path[0] if path else b"colr"
    for kind, at, stop in _boxes(data, start, end):
        if kind != wanted:
            continue
        if not path:
            yield at, stop
        else:
            yield from _properties(data, at + 4 * (kind in _FULL_BOX), stop, path[1:])


def _boxes(data: Bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    for _ in range(MAX_BOXES):
        if start + 8 > end:
            return
        size, kind = struct.unpack(">I4s", data[start : start + 8])
        head = 8
        if size == 1 and start + 16 <= end:
            (size,), head = struct.unpack(">Q", data[start + 8 : start + 16]), 16
        stop = end if size == 0 else start + size
        if stop > end or stop < start + head:
            return
        yield kind, start + head, stop
        start = stop


class Heic:
    """A HEIC file's primary picture, its pixels undecoded; Undecodable where the file is damaged."""

    def __init__(self, file: BinaryIO) -> None:
        import pillow_heif  # only where such a file is met: it takes a tenth of a second

        try:
            self._file = pillow_heif.open_heif(file, convert_hdr_to_8bit=False)
            self._picture = self._file[self._file.primary_index]
        except _ERRORS as error:
            raise Undecodable(_line(error)) from error
        self.width, self.height = self._picture.size
        self.pictures = len(self._file)

    def decode(self) -> pyvips.Image:
        """The pixels, upright, with the fields that libvips gives to AVIF; Undecodable where they are damaged."""
        try:
            pixels = np.asarray(self._picture)
        except _ERRORS as error:
            raise Undecodable(_line(error)) from error
        deep, bands = pixels.dtype == np.uint16, pixels.shape[2] if pixels.ndim == 3 else 1
        kind = ("grey16" if deep else "b-w") if bands < 3 else ("rgb16" if deep else "srgb")
        image = pyvips.Image.new_from_array(np.ascontiguousarray(pixels)).copy(interpretation=kind)
        info = self._picture.info
        fields = {
            "exif-data": info.get("exif"),
            "xmp-data": info.get("xmp"),
            "icc-profile-data": info.get("icc_profile"),
        }
        for name, value in fields.items():
            if value:
                image.set_type(pyvips.GValue.blob_type, name, bytes(value))
        image.set_type(pyvips.GValue.gstr_type, "vips-loader", "heifload")
        image.set_type(pyvips.GValue.gint_type, "bits-per-sample", int(info.get("bit_depth", 8)))
        return image


def _line(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0] if lines else "no reason given"
