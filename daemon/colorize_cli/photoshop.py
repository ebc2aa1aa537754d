"""IPTC and its wrapping: Photoshop's resources, which JPEG carries whole and TIFF in two tags.

Sources: Adobe Photoshop File Formats Specification, "Image Resource Blocks"; IPTC-NAA Information Interchange
Model 4.2.
"""

import struct
from collections.abc import Iterator

IPTC = 0x0404
_THUMBNAILS = (0x0409, 0x040C)
_DATASET = 0x1C
_KEPT_SIGNATURES = (b"8BIM", b"MeSa", b"AgHg", b"PHUT", b"DCSR")


def split(resources: bytes) -> tuple[bytes, bytes]:
    """The IPTC data among resources, and the other ones; thumbnails, which would stay gray, are left out."""
    iptc, others = b"", b""
    for number, whole, data in _resources(resources):
        if number == IPTC:
            iptc = iptc or trimmed(data)
        elif number not in _THUMBNAILS:
            others += whole
    return iptc, others


def joined(iptc: bytes, others: bytes) -> bytes:
    """Resources that hold IPTC data, and these others."""
    if not iptc:
        return others
    return b"8BIM" + struct.pack(">HHI", IPTC, 0, len(iptc)) + iptc + bytes(len(iptc) % 2) + others


def _resources(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Number, all bytes, and data of each resource; what is damaged ends the search."""
    at = 0
    while at + 12 <= len(data) and data[at : at + 4] in _KEPT_SIGNATURES:
        number, name = struct.unpack(">HB", data[at + 4 : at + 7])
        body = at + 6 + (name + 2) // 2 * 2
        size = int.from_bytes(data[body : body + 4], "big")
        end = body + 4 + size
        if end > len(data):
            return
        yield number, data[at:end] + bytes(size % 2), data[body + 4 : end]
        at = end + size % 2


def trimmed(iptc: bytes) -> bytes:
    """IPTC data without what pads it at the end."""
    at = 0
    while at + 5 <= len(iptc) and iptc[at] == _DATASET:
        size = int.from_bytes(iptc[at + 3 : at + 5], "big")
        if size & 0x8000:  # an extended dataset: its length takes this many bytes
            length = size & 0x7FFF
            size = length + int.from_bytes(iptc[at + 5 : at + 5 + length], "big")
        at += 5 + size
    return iptc[:at]


def from_longs(data: bytes) -> bytes:
    """IPTC data of a TIFF's tag, whose words some programs swap since its type is wrongly LONG."""
    if data[:1] == bytes([_DATASET]) or data[3:4] != bytes([_DATASET]):
        return trimmed(data)
    return trimmed(b"".join(data[at : at + 4][::-1] for at in range(0, len(data), 4)))
