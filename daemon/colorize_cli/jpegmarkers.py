"""What a JPEG file says beside its pixels: its kind of coding, whether it is whole, IPTC, comments, more pictures.

Source of the layout: ITU-T T.81, annex B; the multi-picture index of CIPA DC-007, section 5.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from colorize_cli.tifftags import BrokenTags, Bytes, count_of_pictures

END = b"\xff\xd9"
_PHOTOSHOP = b"Photoshop 3.0\0"
_PICTURES = b"MPF\0"
_SOS, _EOI, _APP0, _APP2, _APP13, _COMMENT = 0xDA, 0xD9, 0xE0, 0xE2, 0xED, 0xFE
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE = frozenset((0x01, *range(0xD0, 0xD9)))  # markers without a payload
_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])")  # none of those that lie within compressed data
_KINDS = {0xC3: "lossless", 0xC5: "hierarchical", 0xC6: "hierarchical", 0xC7: "lossless hierarchical"}
_COEFFICIENTS = 64
MAX_SEGMENTS = 10000
MAX_CARRIED = 4 << 20  # bytes of IPTC and comments, and of each


@dataclass
class Markers:
    """What was found, up to the end marker or to where the file ends."""

    frame: int = 0
    precision: int = 8
    ended: bool = False
    resolution: bool = False
    pictures: int = 1
    photoshop: bytes = b""
    comments: list[bytes] = field(default_factory=list)
    _components: bytes = b""
    _missing: dict[int, list[bool]] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether the scans that were found hold every bit of every coefficient."""
        return bool(self._missing) and not any(any(component) for component in self._missing.values())

    @property
    def coding(self) -> str | None:
        """The name of a coding that is not everybody's, None for the usual ones."""
        if self.frame in _KINDS:
            return f"{_KINDS[self.frame]} JPEG"
        if self.frame > 0xC8:
            return "JPEG with arithmetic coding"
        return None if self.precision == 8 else f"JPEG with {self.precision} bits per channel"

    def _take(self, marker: int, data: bytes) -> None:
        if marker in _FRAMES and not self.frame and len(data) >= 6:
            self.frame, self.precision = marker, data[0]
            self._missing = {number: [True] * _COEFFICIENTS for number in data[6::3]}
        elif marker == _SOS:
            self._scan(data)
        elif marker == _APP0 and data.startswith(b"JFIF\0") and len(data) > 7:
            self.resolution |= data[7] in (1, 2)
        elif marker == _APP2 and data.startswith(_PICTURES):
            self.pictures = _pictures(data.removeprefix(_PICTURES))
        elif marker == _APP13 and data.startswith(_PHOTOSHOP) and len(self.photoshop) < MAX_CARRIED:
            self.photoshop += data.removeprefix(_PHOTOSHOP)
        elif marker == _COMMENT and sum(map(len, self.comments)) < MAX_CARRIED:
            self.comments.append(data)

    def _scan(self, data: bytes) -> None:
        """Cross off the coefficients that a scan brings to their last bit (T.81, B.2.3)."""
        count = data[0] if data else 0
        if len(data) < 4 + 2 * count:
            return
        first, last, shift = data[1 + 2 * count : 4 + 2 * count]
        if shift & 15:
            return
        for number in data[1 : 1 + 2 * count : 2]:
            missing = self._missing.get(number, [])
            missing[first : last + 1] = [False] * len(missing[first : last + 1])


def read_markers(data: Bytes) -> Markers:
    """The markers of a JPEG file's first picture; what is damaged ends the search."""
    found = Markers()
    for marker, start, end in _segments(data):
        found._take(marker, bytes(data[start:end]))
        found.ended = marker == _EOI
    return found


def _segments(data: Bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, begin and end of its payload, of the first picture."""
    at = 2
    for _ in range(MAX_SEGMENTS):
        match = _MARKER.search(data, at)
        if match is None:
            return
        marker, at = match.group(1)[0], match.end()
        if marker == _EOI:
            yield marker, at, at
            return
        if marker in _ALONE or at + 2 > len(data):
            continue
        (size,) = struct.unpack(">H", data[at : at + 2])
        yield marker, at + 2, max(at + 2, min(at + size, len(data)))
        at += size


def _pictures(index: bytes) -> int:
    try:
        return count_of_pictures(index)
    except BrokenTags:
        return 1
