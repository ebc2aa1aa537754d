"""Tags of TIFF files and of EXIF blocks, which are small TIFF files themselves (EXIF 2.32, section 4.5).

libvips passes over EXIF in TIFF and rewrites it elsewhere; here it is read as the block that JPEG and PNG carry,
changed in place, and put into a TIFF. Source of the layout: TIFF 6.0, section 2; BigTIFF as in libtiff's
specification (read only).
"""

import mmap
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

Bytes = bytes | mmap.mmap

EXIF_IFD, GPS_IFD = 0x8769, 0x8825
ORIENTATION, X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT, EXTRA_SAMPLES = 0x112, 0x11A, 0x11B, 0x128, 0x152
XMP, IPTC, PHOTOSHOP = 0x2BC, 0x83BB, 0x8649
PIXELS_ACROSS, PIXELS_DOWN = 0xA002, 0xA003
# What describes the photograph rather than the arrangement of its pixels: document, description, maker, model,
# software, date, artist, computer, copyright, and Windows' title, comment, author, keywords, subject.
_DESCRIPTIVE = {0x10D, 0x10E, 0x10F, 0x110, 0x131, 0x132, 0x13B, 0x13C, 0x8298, *range(0x9C9B, 0x9CA0)}
_SUBFOLDERS = (EXIF_IFD, GPS_IFD)
_DESCRIBING = frozenset(_DESCRIPTIVE) | {*_SUBFOLDERS}
_INTEROPERABILITY = 0xA005  # points outside its own folder, and says nothing about a photograph
# Where a thumbnail lies: (offset, size) of a JPEG stream, and of strips.
_THUMBNAIL = ((0x201, 0x202), (0x111, 0x117))
_NUMBER_OF_PICTURES = 0xB001
EXIF_PREFIX = b"Exif\0\0"

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_WORDS = _SIZES | {5: 4, 10: 4}  # what is swapped between byte orders: a rational is two words
_SHORT, _LONG, _UNDEFINED = 3, 4, 7
_LAYOUTS = {1: "B", _SHORT: "H", _LONG: "I", 13: "I", 16: "Q", 18: "Q"}

MAX_BLOCK_BYTES = 65000  # JPEG's segment holds 65533
# What a hostile file may cost: no folder of a photograph comes near, nor do the values of all that are read.
MAX_TAGS = 1024
MAX_VALUE_BYTES = 256 << 20


class BrokenTags(Exception):
    """The tags are damaged."""


@dataclass(frozen=True)
class Value:
    """A tag's value, in the byte order of the file that it came from."""

    type: int
    count: int
    data: bytes


_Folder = dict[int, "Value | _Folder"]


class Reader:
    """The folders (IFDs) of a TIFF or BigTIFF file or of an EXIF block, every offset checked."""

    def __init__(self, data: Bytes) -> None:
        self._data = data
        self._left = MAX_VALUE_BYTES
        self.order = {b"II": "<", b"MM": ">"}.get(bytes(data[:2]), "")
        if not self.order:
            raise BrokenTags("no byte order")
        (magic,) = self._unpack("H", 2)
        self._big = magic == 43
        self._count, self._entry, self._pointer = ("Q", "HHQ8s", "Q") if self._big else ("H", "HHI4s", "I")
        self._inline = 8 if self._big else 4  # bytes of a value that lie in its entry

    def _unpack(self, layout: str, offset: int) -> tuple:
        layout = self.order + layout
        size = struct.calcsize(layout)
        return struct.unpack(layout, self._slice(offset, size))

    def _slice(self, offset: int, size: int) -> bytes:
        if offset < 0 or offset + size > len(self._data):
            raise BrokenTags("an offset leaves the file")
        self._left -= size
        if self._left < 0:
            raise BrokenTags("its tags are too large")
        return bytes(self._data[offset : offset + size])

    @property
    def first(self) -> int:
        return self._unpack(self._pointer, 8 if self._big else 4)[0]

    def values(self, offset: int, wanted: frozenset[int] | None = None) -> Iterator[tuple[int, Value]]:
        """Tags and values, all or `wanted`, of the folder at `offset`; values of unknown type are passed over."""
        for tag, kind, items, at in self.entries(offset):
            size = _SIZES.get(kind, 0) * items
            if not size or (wanted is not None and tag not in wanted):
                continue
            start = at if size <= self._inline else self._unpack(self._pointer, at)[0]
            yield tag, Value(kind, items, self._slice(start, size))

    def entries(self, offset: int) -> Iterator[tuple[int, int, int, int]]:
        """Tag, type, count, and where its value or the pointer to it lies, of each in the folder at `offset`."""
        start, count = self._rows(offset)
        step = struct.calcsize("=" + self._entry)
        for at in range(start, start + count * step, step):
            tag, kind, items, _ = self._unpack(self._entry, at)
            yield tag, kind, items, at + step - self._inline

    def _rows(self, offset: int) -> tuple[int, int]:
        (count,) = self._unpack(self._count, offset)
        if count > MAX_TAGS:
            raise BrokenTags(f"a folder of {count} tags")
        return offset + struct.calcsize("=" + self._count), count

    def next_at(self, offset: int) -> int:
        """Where the pointer lies that leads from the folder at `offset` to the next one."""
        start, count = self._rows(offset)
        return start + count * struct.calcsize("=" + self._entry)

    def following(self, offset: int) -> int:
        """The folder after the one at `offset`, 0 where it is the last."""
        return self._unpack(self._pointer, self.next_at(offset))[0]

    def numbers(self, value: Value) -> tuple[int, ...]:
        """The whole numbers of a value; none where it has other things."""
        layout = _LAYOUTS.get(value.type)
        return struct.unpack(f"{self.order}{value.count}{layout}", value.data) if layout else ()

    def pointer(self, value: Value) -> int:
        return int.from_bytes(value.data, "little" if self.order == "<" else "big")


def exif_of_tiff(data: Bytes, folders: tuple[int, ...]) -> bytes | None:
    """What describes the photograph in these folders of a TIFF file, the later ones first to be believed.

    As an EXIF block; None where nothing does. Raises BrokenTags.
    """
    reader = Reader(data)
    tags: _Folder = {}
    for folder in folders:
        tags |= _descriptive(reader, folder)
    if not tags:
        return None
    order = b"II*\0" if reader.order == "<" else b"MM\0*"
    body, folder = _serialized(tags, 8, reader.order)
    block = order + struct.pack(reader.order + "I", folder) + body
    if len(block) > MAX_BLOCK_BYTES:
        raise BrokenTags("larger than an EXIF block can be")
    return block


def edited_exif(block: bytes, changes: Mapping[int, int]) -> bytes:
    """An EXIF block with other numbers in those of the tags that it has, and without its thumbnail; raises BrokenTags.

    All else stays where it is, since makers' own notes count from the block's beginning.
    """
    reader, data = Reader(block), bytearray(block)
    folders = [reader.first]
    folders += [reader.pointer(value) for tag, value in reader.values(reader.first) if tag == EXIF_IFD]
    for folder in folders:
        for tag, kind, items, at in reader.entries(folder):
            if tag in changes and items == 1 and kind in (_SHORT, _LONG):
                layout = reader.order + _LAYOUTS[kind]
                struct.pack_into(layout, data, at, min(changes[tag], 256 ** struct.calcsize(layout) - 1))
    return bytes(_without_thumbnail(reader, data))


def _without_thumbnail(reader: Reader, data: bytearray) -> bytearray:
    end = reader.next_at(reader.first)
    if end + 4 > len(data) or not reader.following(reader.first):  # some programs leave the last pointer out
        return data
    found = {tag: reader.numbers(value) for tag, value in reader.values(reader.following(reader.first))}
    struct.pack_into(reader.order + "I", data, end, 0)
    for place, size in _THUMBNAIL:
        for start, count in zip(found.get(place, ()), found.get(size, ()), strict=False):
            stop = min(start + count, len(data))
            data[start:stop] = b"" if stop == len(data) else bytes(max(0, stop - start))
    return data


def has_tag(block: bytes, tag: int) -> bool:
    """Whether an EXIF block's first folder has this tag; raises BrokenTags."""
    reader = Reader(block)
    return any(name == tag for name, *_ in reader.entries(reader.first))


def count_of_pictures(index: bytes) -> int:
    """How many pictures a multi-picture file (CIPA DC-007) has, by its index; raises BrokenTags."""
    reader = Reader(index)
    wanted = frozenset((_NUMBER_OF_PICTURES,))
    counts = [number for _, value in reader.values(reader.first, wanted) for number in reader.numbers(value)]
    return counts[0] if counts else 1


def rewrite_tiff(
    file: BinaryIO,
    exif: bytes,
    blocks: Mapping[int, bytes],
    shorts: Mapping[int, tuple[int, ...]],
    dropped: frozenset[int],
) -> None:
    """Give an open TIFF file (not BigTIFF) of one picture other tags; raises BrokenTags.

    exif: a block whose tags are added, may be empty; blocks: tags whose value is bytes of no type; shorts: tags whose
    value is numbers of 16 bits; dropped: tags to be left out.
    """
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        reader, end = Reader(data), len(data)
        own: _Folder = {tag: value for tag, value in reader.values(reader.first) if tag not in dropped}
    tags: _Folder = {}
    if exif:
        source = Reader(exif)
        tags = _reordered(_descriptive(source, source.first), source.order, reader.order)
    tags |= own | {tag: Value(_UNDEFINED, len(value), value) for tag, value in blocks.items()}
    for tag, numbers in shorts.items():
        tags[tag] = Value(_SHORT, len(numbers), struct.pack(f"{reader.order}{len(numbers)}H", *numbers))
    padding = end % 2
    body, folder = _serialized(tags, end + padding, reader.order)
    file.seek(end)
    file.write(bytes(padding) + body)
    file.seek(4)
    file.write(struct.pack(reader.order + "I", folder))
    file.flush()


def _descriptive(reader: Reader, folder: int) -> _Folder:
    tags: _Folder = {}
    for tag, value in reader.values(folder, _DESCRIBING):
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


def _swapped(value: Value) -> Value:
    word = _WORDS[value.type]
    words = (value.data[at : at + word][::-1] for at in range(0, len(value.data), word))
    return Value(value.type, value.count, b"".join(words))


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
