"""What a PNG file says beside its pixels: colour, texts, animation, resolution; and chunks to write.

Source of the layout: Portable Network Graphics, third edition, sections 5 and 11.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from colorize_cli.tifftags import Bytes

SIGNATURE = b"\x89PNG\r\n\x1a\n"
TEXTS = (b"tEXt", b"zTXt", b"iTXt")
XMP_KEYWORD = b"XML:com.adobe.xmp"
_RAW_PROFILE = b"Raw profile type "
MAX_CHUNKS = 1 << 20
MAX_TEXT_BYTES = 16 << 20  # of all texts, and of one that is unpacked
_LINE = 36  # bytes on a line of a raw profile: 72 digits


@dataclass
class Chunks:
    """What was found; `texts` are (type, body) of all texts but XMP and raw profiles, in the file's order."""

    cicp: bytes | None = None
    gamma: int | None = None
    chromaticities: tuple[int, ...] | None = None
    srgb: bool = False
    icc: bool = False
    frames: int = 1
    resolution: bool = False
    ended: bool = False
    texts: list[tuple[bytes, bytes]] = field(default_factory=list)
    raw_profiles: dict[bytes, bytes] = field(default_factory=dict)
    dropped_texts: int = 0

    def _take(self, kind: bytes, body: bytes) -> None:
        size = len(body)
        if kind == b"cICP" and size == 4:
            self.cicp = body
        elif kind == b"gAMA" and size == 4:
            self.gamma = int.from_bytes(body, "big")
        elif kind == b"cHRM" and size == 32:
            self.chromaticities = struct.unpack(">8I", body)
        elif kind == b"acTL" and size == 8:
            self.frames = int.from_bytes(body[:4], "big")
        elif kind == b"pHYs" and size == 9:
            self.resolution = body[8] == 1
        elif kind in TEXTS:
            self._text(kind, body)
        self.srgb |= kind == b"sRGB"
        self.icc |= kind == b"iCCP"
        self.ended |= kind == b"IEND"

    def _text(self, kind: bytes, body: bytes) -> None:
        keyword, _, rest = body.partition(b"\0")
        if keyword == XMP_KEYWORD:
            return
        if keyword.startswith(_RAW_PROFILE):
            profile = _raw_profile(kind, rest)
            if profile is not None:
                self.raw_profiles[keyword.removeprefix(_RAW_PROFILE)] = profile
                return
        if sum(len(text) for _, text in self.texts) + len(body) > MAX_TEXT_BYTES:
            self.dropped_texts += 1
        else:
            self.texts.append((kind, body))


def read_chunks(data: Bytes) -> Chunks:
    """The chunks of a PNG file; what is damaged ends the search."""
    found = Chunks()
    for kind, start, end in _chunks(data):
        if kind != b"IDAT":
            found._take(kind, bytes(data[start : min(end, start + MAX_TEXT_BYTES + 1)]))
    return found


def _chunks(data: Bytes) -> Iterator[tuple[bytes, int, int]]:
    at = len(SIGNATURE)
    for _ in range(MAX_CHUNKS):
        if at + 12 > len(data):
            return
        size = int.from_bytes(data[at : at + 4], "big")
        kind = bytes(data[at + 4 : at + 8])
        if at + 12 + size > len(data):
            return
        yield kind, at + 8, at + 8 + size
        if kind == b"IEND":
            return
        at += 12 + size


def _raw_profile(kind: bytes, rest: bytes) -> bytes | None:
    """The bytes that ImageMagick and ExifTool keep as hexadecimal text; None where it is none."""
    text = _unpacked(rest[1:]) if kind == b"zTXt" else rest if kind == b"tEXt" else b""
    words = text.split(None, 2)
    try:
        return bytes.fromhex(words[2].decode("ascii"))[: int(words[1])]
    except (IndexError, ValueError):
        return None


def _unpacked(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, MAX_TEXT_BYTES)
    except zlib.error:
        return b""


def chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk with its length and checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def xmp_chunk(packet: bytes) -> bytes:
    """XMP as the text that its specification names for PNG."""
    return chunk(b"iTXt", XMP_KEYWORD + bytes(5) + packet)


def raw_profile_chunk(name: bytes, data: bytes) -> bytes:
    """Bytes as the text in which programs keep what PNG has no chunk for."""
    lines = b"\n".join(data[at : at + _LINE].hex().encode() for at in range(0, len(data), _LINE))
    text = b"\n%s\n%8d\n%s\n" % (name, len(data), lines)
    return chunk(b"zTXt", _RAW_PROFILE + name + b"\0\0" + zlib.compress(text))


def comment_chunk(text: bytes) -> bytes:
    """A comment, UTF-8 where it is that and Latin-1 otherwise."""
    try:
        utf8 = text.decode("utf-8")
    except UnicodeDecodeError:
        utf8 = text.decode("latin-1")
    return chunk(b"iTXt", b"Comment" + bytes(5) + utf8.encode().replace(b"\0", b" "))


def keywords(texts: list[tuple[bytes, bytes]]) -> list[str]:
    """The keywords of texts, each once."""
    return list(dict.fromkeys(body.partition(b"\0")[0].decode("latin-1") for _, body in texts))


def pixels_at(head: bytes) -> int | None:
    """Where the first chunk of pixels begins, None where it has not come yet."""
    at = len(SIGNATURE)
    while at + 8 <= len(head):
        if head[at + 4 : at + 8] == b"IDAT":
            return at
        at += 12 + int.from_bytes(head[at : at + 4], "big")
    return None


def without(head: bytes, kind: bytes) -> bytes:
    """The beginning of a PNG file without chunks of one kind."""
    kept = [head[start - 8 : end + 4] for name, start, end in _chunks(head) if name != kind]
    return SIGNATURE + b"".join(kept)
