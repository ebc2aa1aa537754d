"""What the user gives: a photograph's gray plane, and the colours painted on it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from colorize_client import messages
from colorize_client.errors import BadHints, BadPicture
from colorize_client.messages import Array, Buffer


@dataclass(frozen=True)
class Picture:
    """A photograph's gray plane: sRGB-encoded luminance, row by row, without padding.

    Args:
        width, height: pixels, 1..65535 each, at most 400 megapixels together.
        dtype: "u8" (0..255) or "u16" (0..65535, little endian).
        data: width * height items; it must not change while the picture is used.

    Raises:
        BadPicture, TooLarge.
    """

    width: int
    height: int
    dtype: str
    data: Buffer = field(repr=False)

    def __post_init__(self) -> None:
        if self.dtype not in ("u8", "u16"):
            raise BadPicture(f"gray plane of type {self.dtype!r}, expected u8 or u16")
        messages.check_size(self.width, self.height)
        have, want = memoryview(self.data).nbytes, self.array.nbytes
        if have != want:
            raise BadPicture(f"{self.width} x {self.height} {self.dtype} needs {want} bytes, {have} were given")

    @property
    def array(self) -> Array:
        return Array((self.height, self.width), self.dtype, self.data)

    @cached_property
    def key(self) -> str:
        """The plane's name: two pictures with the same key are the same picture."""
        return picture_key(self.array)


@dataclass(frozen=True)
class UnreadPicture:
    """A photograph that the service may know by its key, and that is read only where it does not.

    Args:
        width, height: pixels.
        key: of the picture that it was.
        read: gives the picture that it is.
    """

    width: int
    height: int
    key: str
    read: Callable[[], Picture] = field(repr=False)


def picture_key(plane: Array) -> str:
    """blake2b-128, hexadecimal, over "{width}x{height}:{dtype}:" and the bytes of a (height, width) plane."""
    height, width = plane.shape
    digest = hashlib.blake2b(f"{width}x{height}:{plane.dtype}:".encode(), digest_size=16)
    digest.update(plane.data)
    return digest.hexdigest()


# A flattened picture is opaque to its last pixel, but for what scaling or a cut leaves at its edges: on 1000 x 1000
# pixels, one per cent is a margin of two and a half. Strokes that are meant as such leave far more.
COVERED_SHARE = 0.99
_OPAQUE = 255


@dataclass(frozen=True)
class HintTiles:
    """Rectangles cut from a layer with strokes, hints or what is kept, in the photograph's pixels.

    Args:
        tiles: (x, y, w, h) of each rectangle, inside the photograph.
        data: RGBA u8 of each, w * h * 4 bytes, sRGB-encoded, straight alpha.
    """

    tiles: Sequence[tuple[int, int, int, int]]
    data: Sequence[Buffer] = field(repr=False)

    def cover_all(self, width: int, height: int) -> bool:
        """Whether practically nothing of a picture of width x height is left unpainted.

        Then it is no layer of strokes, but one that was filled or flattened with the photograph: every colour of the
        picture would be given, and the network would have nothing to say.
        """
        if sum(w * h for _, _, w, h in self.tiles) < COVERED_SHARE * width * height:
            return False
        opaque = sum(bytes(memoryview(pixels).cast("B")[3::4]).count(_OPAQUE) for pixels in self.data)
        return opaque >= COVERED_SHARE * width * height

    def to_wire(self, width: int, height: int) -> messages.Hints:
        """The hints as they travel; BadHints where a tile does not fit a picture of width x height."""
        self._check(width, height)
        pixels = b"".join(self.data)
        return messages.Hints(messages.pack_tiles(self.tiles), Array((len(pixels),), "u8", pixels))

    def _check(self, width: int, height: int) -> None:
        if len(self.tiles) != len(self.data):
            raise BadHints(f"{len(self.tiles)} hint tiles with pixels for {len(self.data)}")
        for (x, y, w, h), pixels in zip(self.tiles, self.data, strict=True):
            if x < 0 or y < 0 or w < 1 or h < 1 or x + w > width or y + h > height:
                raise BadHints(f"hint tile {x},{y} {w}x{h} does not lie in a picture of {width}x{height}")
            if memoryview(pixels).nbytes != 4 * w * h:
                raise BadHints(f"hint tile {x},{y} {w}x{h} needs {4 * w * h} bytes of RGBA, got {len(pixels)}")

    @classmethod
    def from_wire(cls, hints: messages.Hints) -> HintTiles:
        """The tiles of a checked message, their pixels as views of the received frame."""
        tiles, pixels, data, start = messages.unpack_tiles(hints.tiles), memoryview(hints.array.data), [], 0
        for _, _, w, h in tiles:
            data.append(pixels[start : start + 4 * w * h])
            start += 4 * w * h
        return cls(tiles, data)
