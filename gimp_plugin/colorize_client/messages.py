"""The messages between the colour service and its clients, version 1: daemon/PROTOCOL.md is the specification.

A message is `[header, frame 1, frame 2, ...]`: a msgpack map, then raw arrays. Here are the messages as typed objects
and the limits that both sides keep; `codec` turns them into frames and back.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from colorize_client.errors import BadPicture, TooLarge
from colorize_client.options import Options

PROTOCOL_VERSION = 1
PROTOCOL_VERSIONS = (1,)  # every version that this side speaks

MAX_HEADER_BYTES = 64 * 1024
MAX_FRAMES = 8  # raw frames after the header
MAX_ID_CHARS = 64
MAX_TEXT_CHARS = 4096
MAX_ITEMS = 1024  # entries of any list or map in a header
MAX_SIDE = 65535
MAX_PIXELS = 400_000_000
MAX_TILES = 65536
MAX_FRAME_BYTES = 4 * MAX_PIXELS  # hint tiles over the whole of the largest picture

TILE_SIDE = 256  # pixels; tiles begin at multiples of it
ITEM_BYTES = {"u8": 1, "u16": 2, "i16": 2}
LAYOUTS = {"rgb8": ("u8", 3), "rgb16": ("u16", 3), "ab16": ("i16", 2)}  # dtype and channels of the bands
STAGES = ("queued", "loading", "upload", "encode", "hints", "lift")

Buffer = bytes | bytearray | memoryview


@dataclass(frozen=True)
class Array:
    """A dense array, little endian, C order; `data` has exactly the bytes that shape and dtype ask for."""

    shape: tuple[int, ...]
    dtype: str
    data: Buffer

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * ITEM_BYTES[self.dtype]


@dataclass(frozen=True)
class Image:
    """A gray plane named by its key; `array` (height, width) u8 or u16 is absent where the service may know it."""

    key: str
    width: int
    height: int
    array: Array | None = None


@dataclass(frozen=True)
class Hints:
    """Painted rectangles in the photograph's pixels, hints or what is kept: `tiles` u16 (n, 4) of x, y, w, h; `array`
    u8 flat RGBA."""

    tiles: Array
    array: Array


@dataclass(frozen=True)
class Hello:
    type: ClassVar[str] = "hello"
    id: str
    versions: tuple[int, ...] = PROTOCOL_VERSIONS
    client: str = ""


@dataclass(frozen=True)
class Status:
    type: ClassVar[str] = "status"
    id: str


@dataclass(frozen=True)
class Models:
    type: ClassVar[str] = "models"
    id: str


@dataclass(frozen=True)
class Newer:
    """Rectangles, u16 (n, 4) of x, y, w, h, whose tiles are of another state than most."""

    since: str
    tiles: Array


@dataclass(frozen=True)
class Update:
    """Asks for those tiles alone that differ from what the client holds.

    Attributes:
        since: the state, named by an earlier answer, that the client's tiles are of; "" for none.
        stale: u16 (n, 4), the x, y, w, h of rectangles that are of no state, or of any other one; None for none.
        newer: those that are of one other state; None for none.
        near: x, y in the photograph's pixels: the nearest tiles come first. None: from the top to the bottom.
        draft: whether a stroke on what may be a small thing is answered at once, by what lies under it alone.
    """

    since: str = ""
    stale: Array | None = None
    newer: Newer | None = None
    near: tuple[int, int] | None = None
    draft: bool = False


@dataclass(frozen=True)
class Colorize:
    type: ClassVar[str] = "colorize"
    id: str
    image: Image
    hints: Hints | None = None
    options: Options = Options()  # in the message its fields stand beside the others
    layout: str = "rgb8"
    kept: Hints | None = None
    update: Update | None = None

    @property
    def model(self) -> str:
        """The name of the weights."""
        return self.options.model


@dataclass(frozen=True)
class Prepare:
    """Asks for a model and a photograph's embedding ahead of the first `Colorize`; with `hold`, to keep it a while."""

    type: ClassVar[str] = "prepare"
    id: str
    image: Image
    model: str = ""
    hold: bool = False


@dataclass(frozen=True)
class Cancel:
    type: ClassVar[str] = "cancel"
    id: str
    target: str


@dataclass(frozen=True)
class Stop:
    type: ClassVar[str] = "stop"
    id: str


@dataclass(frozen=True)
class Progress:
    type: ClassVar[str] = "progress"
    id: str
    stage: str
    fraction: float


@dataclass(frozen=True)
class Band:
    """Rows y .. y + rows of the picture: `array` (rows, width, channels) in the layout that was asked for."""

    type: ClassVar[str] = "band"
    id: str
    y: int
    rows: int
    array: Array


@dataclass(frozen=True)
class Tile:
    """A rectangle of the picture at x, y: `array` (h, w, channels) in the layout that was asked for; `state`: of the
    answer that it belongs to."""

    type: ClassVar[str] = "tile"
    id: str
    x: int
    y: int
    state: str
    array: Array


@dataclass(frozen=True)
class Result:
    type: ClassVar[str] = "result"
    id: str
    body: Mapping[str, Any]


@dataclass(frozen=True)
class NeedImage:
    type: ClassVar[str] = "need-image"
    id: str
    key: str


@dataclass(frozen=True)
class ErrorReply:
    type: ClassVar[str] = "error"
    id: str
    code: str
    sentence: str
    detail: str = ""


@dataclass(frozen=True)
class JobCancelled:
    type: ClassVar[str] = "cancelled"
    id: str


PictureRequest = Colorize | Prepare  # those that wait for their turn
Request = Hello | Status | Models | PictureRequest | Cancel | Stop
Reply = Progress | Band | Tile | Result | NeedImage | ErrorReply | JobCancelled


def check_size(width: int, height: int) -> None:
    """Raises BadPicture or TooLarge where a picture of this size, in pixels, is not accepted."""
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise BadPicture(f"{width} x {height} pixels, each side may have 1..{MAX_SIDE}")
    if width * height > MAX_PIXELS:
        raise TooLarge(f"{width} x {height} pixels, at most {MAX_PIXELS} are accepted")


def unpack_tiles(tiles: Array) -> list[tuple[int, int, int, int]]:
    """The rectangles (x, y, w, h) of a u16 (n, 4) array."""
    return list(struct.iter_unpack("<4H", tiles.data))


def pack_tiles(tiles: Sequence[tuple[int, int, int, int]]) -> Array:
    """A u16 (n, 4) array of the rectangles (x, y, w, h), each number 0..65535."""
    return Array((len(tiles), 4), "u16", b"".join(struct.pack("<4H", *tile) for tile in tiles))
