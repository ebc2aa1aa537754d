"""EXIF in TIFF files, which libvips passes over: read as the block that JPEG and PNG carry, and put back into a TIFF.

An EXIF block is itself a small TIFF file (EXIF 2.32, section 4.5), so one reader and one writer serve both.
Source of the layout: TIFF 6.0, section 2; BigTIFF as in libtiff's specification (read only).
"""

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

EXIF_IFD, GPS_IFD = 0x8769, 0x8825
# What describes the photograph rather than the arrangement of its pixels: document, description, maker, model,
# software, date, artist, computer, copyright, and Windows' title, comment, author, keywords, subject.
_DESCRIPTIVE = {0x10D, 0x10E, 0x10F, 0x110, 0x131, 0x132, 0x13B, 0x13C, 0x8298, *range(0x9C9B, 0x9CA0)}
_SUBFOLDERS = (EXIF_IFD, GPS_IFD)
_INTEROPERABILITY = 0xA005  # points outside its own folder, and says nothing about a photograph
_PREFIX = b"Exif\0\0"

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_WORDS = _SIZES | {5: 4, 10: 4}  # what is swapped between byte orders: a rational is two words
_LONG = 4

MAX_BLOCK_BYTES = 65000  # JPEG's segment holds 65533


class BrokenTags(Exception):
    """The tags are damaged."""


@dataclass(frozen=True)
class _Value:
    """A tag's value, in the byte order of the file that it came from."""

    type: int
    count: int
    data: bytes


_Folder = dict[int, "_Value | _Folder"]


class _Reader:
    """The folders (IFDs) of a TIFF or BigTIFF file or of an EXIF block, every offset checked."""

    def __init__(self, data: bytes | mmap.mmap) -> None:
        self._data = data
        self.order = {b"II": "<", b"MM": ">"}.get(bytes(data[:2]), "")
        if not self.order:
            raise BrokenTags("no byte order")
        (magic,) = self._unpack("H", 2)
        self._big = magic == 43
        self._count, self._entry, self._pointer = ("Q", "HHQ8s", "Q") if self._big else ("H", "HHI4s", "I")

    def _unpack(self, layout: str, offset: int) -> tuple:
        layout = self.order + layout
        size = struct.calcsize(layout)
        return struct.unpack(layout, self._slice(offset, size))

    def _slice(self, offset: int, size: int) -> bytes:
        if offset < 0 or offset + size > len(self._data):
            raise BrokenTags("an offset leaves the file")
        return bytes(self._data[offset : offset + size])

    @property
    def first(self) -> int:
        return self._unpack(self._pointer, 8 if self._big else 4)[0]

    def values(self, offset: int) -> Iterator[tuple[int, _Value]]:
        """Tags and values of the folder at `offset`; values of unknown type are passed over."""
        (count,) = self._unpack(self._count, offset)
        offset += struct.calcsize(self._count)
        step = struct.calcsize("=" + self._entry)
        if count * step > len(self._data):
            raise BrokenTags("more tags than the file has bytes")
        for at in range(offset, offset + count * step, step):
            tag, kind, items, inline = self._unpack(self._entry, at)
            size = _SIZES.get(kind, 0) * items
            if size and size <= len(inline):
                yield tag, _Value(kind, items, inline[:size])
            elif size:
                yield tag, _Value(kind, items, self._slice(struct.unpack(self.order + self._pointer, inline)[0], size))

    def pointer(self, value: _Value) -> int:
        return int.from_bytes(value.data, "little" if self.order == "<" else "big")


def exif_of_tiff(file: BinaryIO) -> bytes | None:
    """The EXIF block of an open TIFF file's first picture, None where nothing describes it; raises BrokenTags."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        reader = _Reader(data)
        tags = _descriptive(reader)
    if not tags:
        return None
    order = b"II*\0" if reader.order == "<" else b"MM\0*"
    body, folder = _serialized(tags, 8, reader.order)
    block = _PREFIX + order + struct.pack(reader.order + "I", folder) + body
    if len(block) > MAX_BLOCK_BYTES:
        raise BrokenTags("larger than an EXIF block can be")
    return block


def add_exif(file: BinaryIO, block: bytes) -> None:
    """Append the tags of an EXIF block to an open TIFF file (not BigTIFF) of one picture; raises BrokenTags."""
    source = _Reader(block.removeprefix(_PREFIX))
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        reader, end = _Reader(data), len(data)
        own: _Folder = dict(reader.values(reader.first))
    added = _reordered(_descriptive(source), source.order, reader.order)
    padding = end % 2
    body, folder = _serialized(added | own, end + padding, reader.order)
    file.seek(end)
    file.write(bytes(padding) + body)
    file.seek(4)
    file.write(struct.pack(reader.order + "I", folder))
    file.flush()


def _descriptive(reader: _Reader) -> _Folder:
    tags: _Folder = {}
    for tag, value in reader.values(reader.first):
        if tag in _DESCRIPTIVE:
            tags[tag] = value
        elif tag in _SUBFOLDERS:
            inside: _Folder = dict(reader.values(reader.pointer(value)))
            inside.pop(_INTEROPERABILITY, None)
            tags[tag] = inside
    return tags


def _reordered(tags: _Folder, old: str, new: str) -> _Folder:
    if old == new:
        return tags
    return {
        tag: _reordered(value, old, new) if isinstance(value, dict) else _swapped(value) for tag, value in tags.items()
    }


def _swapped(value: _Value) -> _Value:
    word = _WORDS[value.type]
    words = (value.data[at : at + word][::-1] for at in range(0, len(value.data), word))
    return _Value(value.type, value.count, b"".join(words))


def _serialized(tags: _Folder, at: int, order: str) -> tuple[bytes, int]:
    """The bytes of a folder and all its values for the even offset `at` of a file, and the offset of the folder."""
    body, rows = bytearray(), b""
    for tag, value in sorted(tags.items(), key=lambda item: item[0]):
        if isinstance(value, dict):
            part, offset = _serialized(value, at + len(body), order)
            kind, count, field = _LONG, 1, struct.pack(order + "I", offset)
        else:
            short = len(value.data) <= 4
            part = b"" if short else value.data
            kind, count = value.type, value.count
            field = value.data.ljust(4, b"\0") if short else struct.pack(order + "I", at + len(body))
        body += part + bytes(len(part) % 2)
        rows += struct.pack(order + "HHI", tag, kind, count) + field
    folder = at + len(body)
    return bytes(body) + struct.pack(order + "H", len(tags)) + rows + bytes(4), folder
