"""From message objects to frames and back, checked: `encode`, `decode_request` (the service's door), `decode_reply`.

Decoding raises a ColorizeError that names the field. Nothing is copied: arrays are views of the received frames.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, asdict, fields, is_dataclass
from typing import Any, TypeVar

import msgpack

from colorize_client.errors import (
    BadHints,
    BadMessage,
    BadOptions,
    BadPicture,
    ColorizeError,
    UnknownType,
    VersionMismatch,
)
from colorize_client.messages import (
    ITEM_BYTES,
    LAYOUTS,
    MAX_FRAME_BYTES,
    MAX_FRAMES,
    MAX_HEADER_BYTES,
    MAX_ID_CHARS,
    MAX_ITEMS,
    MAX_SIDE,
    MAX_TEXT_CHARS,
    MAX_TILES,
    PROTOCOL_VERSION,
    PROTOCOL_VERSIONS,
    Array,
    Band,
    Buffer,
    Cancel,
    Colorize,
    ErrorReply,
    Hello,
    Hints,
    Image,
    JobCancelled,
    Models,
    NeedImage,
    Newer,
    Prepare,
    Progress,
    Reply,
    Request,
    Result,
    Status,
    Stop,
    Tile,
    Update,
    check_size,
    unpack_tiles,
)
from colorize_client.options import MAX_OPTION_CHARS, Options

_KEY = re.compile(r"[0-9a-f]{32}")  # of a picture, or of a state
Message = TypeVar("Message")


def encode(message: Request | Reply) -> list[Buffer]:
    """The frames of a message: msgpack header, then one raw frame per array."""
    arrays: list[Buffer] = []
    header = {"v": PROTOCOL_VERSION, "type": message.type, **_plain(message, arrays)}
    return [msgpack.packb(header), *arrays]


def _plain(value: Any, arrays: list[Buffer]) -> Any:
    if isinstance(value, Array):
        arrays.append(value.data)
        return {"shape": list(value.shape), "dtype": value.dtype, "frame": len(arrays)}
    if is_dataclass(value):
        plain: dict[str, Any] = {}
        for name, entry in ((each.name, getattr(value, each.name)) for each in fields(value)):
            if isinstance(entry, Options):
                plain |= asdict(entry)
            elif entry is not None:
                plain[name] = _plain(entry, arrays)
        return plain
    return value


class _Fields:
    """Reads typed fields of one map; `where` names the map in error texts, `refuse` is the error to raise."""

    def __init__(
        self,
        values: Mapping[str, Any],
        where: str,
        frames: Sequence[Buffer] = (),
        refuse: type[ColorizeError] = BadMessage,
    ) -> None:
        self._values = {name: value for name, value in values.items() if value is not None}  # nil is as good as absent
        self.where, self._frames, self._refuse = where, frames, refuse

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) is not None

    def fail(self, name: str, wanted: str) -> ColorizeError:
        given = self._values.get(name)
        shown = "nothing" if given is None else repr(given)[:80]
        return self._refuse(f"{self.where}.{name}: expected {wanted}, got {shown}")

    def text(self, name: str, longest: int = MAX_TEXT_CHARS, default: str | None = None) -> str:
        value = self._values.get(name, default)
        if not isinstance(value, str) or len(value) > longest:
            raise self.fail(name, f"a text of at most {longest} characters")
        return value

    def state(self, name: str) -> str:
        """The name of a state, or "" for none."""
        value = self.text(name, 32, "")
        if value and not _KEY.fullmatch(value):
            raise self.fail(name, "32 lower-case hexadecimal digits, or nothing")
        return value

    def integer(self, name: str, low: int, high: int) -> int:
        value = self._values.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.fail(name, f"an integer {low}..{high}")
        return value

    def number(self, name: str, low: float, high: float, default: float | None = None) -> float:
        value = self._values.get(name, default)
        if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
            raise self.fail(name, f"a number {low:g}..{high:g}")
        return float(value)

    def flag(self, name: str, default: bool) -> bool:
        value = self._values.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.fail(name, "true or false")
        return value

    def choice(self, name: str, among: Sequence[str], default: str) -> str:
        value = self._values.get(name, default)
        if not isinstance(value, str) or value not in among:
            raise self.fail(name, f"one of {', '.join(among)}")
        return value

    def mapping(self, name: str) -> Mapping[str, Any]:
        value = self._values.get(name)
        if not isinstance(value, dict):
            raise self.fail(name, "a map")
        return value

    def refusing(self, refuse: type[ColorizeError]) -> _Fields:
        """The same fields, refused with another error."""
        return _Fields(self._values, self.where, self._frames, refuse)

    def inside(self, name: str, refuse: type[ColorizeError]) -> _Fields:
        return _Fields(self.mapping(name), f"{self.where}.{name}", self._frames, refuse)

    def integers(self, name: str, most: int, high: int) -> tuple[int, ...]:
        value = self._values.get(name)
        if not isinstance(value, list) or len(value) > most:
            raise self.fail(name, f"a list of at most {most} integers")
        if not all(isinstance(item, int) and not isinstance(item, bool) and 0 <= item <= high for item in value):
            raise self.fail(name, f"integers 0..{high}")
        return tuple(value)

    def array(self, name: str, dtypes: Sequence[str], shape: Sequence[int | None]) -> Array:
        """The array of field `name`: one of `dtypes`, and of this shape (None: any length)."""
        spec = _Fields(self.mapping(name), f"{self.where}.{name}", refuse=self._refuse)
        dtype = spec.choice("dtype", dtypes, "")
        found = spec.integers("shape", len(shape), MAX_FRAME_BYTES)
        if len(found) != len(shape) or any(want not in (None, have) for want, have in zip(shape, found, strict=True)):
            raise spec.fail("shape", f"({', '.join('any' if want is None else str(want) for want in shape)})")
        data = self._frames[spec.integer("frame", 1, len(self._frames)) - 1]
        return self._sized(spec, Array(found, dtype, data))

    def _sized(self, spec: _Fields, array: Array) -> Array:
        have = memoryview(array.data).nbytes
        if have != array.nbytes:
            text = f"{spec.where}: shape and dtype ask for {array.nbytes} bytes, the frame has {have}"
            raise self._refuse(text)
        return array


def unpack_header(data: Buffer) -> dict[str, Any]:
    """The header map, bounded in size and in every length; BadMessage where it is not such a map."""
    if len(data) > MAX_HEADER_BYTES:
        raise BadMessage(f"header of {len(data)} bytes, at most {MAX_HEADER_BYTES} are accepted")
    try:
        header = msgpack.unpackb(
            data,
            strict_map_key=True,
            max_str_len=MAX_HEADER_BYTES,
            max_bin_len=0,
            max_ext_len=0,
            max_array_len=MAX_ITEMS,
            max_map_len=MAX_ITEMS,
        )
    except (ValueError, TypeError, RecursionError) as error:
        raise BadMessage(f"header is not valid msgpack: {error}") from error
    if not isinstance(header, dict):
        raise BadMessage(f"header is {type(header).__name__}, expected a map")
    return header


def message_id(frames: Sequence[Buffer]) -> str:
    """The id of a message that may be broken in every other way, "" where there is none to be found."""
    try:
        return _Fields(unpack_header(frames[0]), "header").text("id", MAX_ID_CHARS)
    except (BadMessage, IndexError):
        return ""


def decode_request(frames: Sequence[Buffer]) -> Request:
    """The request in these frames; raises BadMessage, VersionMismatch, UnknownType, or a RequestError."""
    return _decode(frames, _REQUESTS)


def decode_reply(frames: Sequence[Buffer]) -> Reply:
    """The reply in these frames; raises BadMessage, VersionMismatch or UnknownType."""
    return _decode(frames, _REPLIES)


def _decode(frames: Sequence[Buffer], readers: Mapping[str, Callable[[str, _Fields], Message]]) -> Message:
    if not 1 <= len(frames) <= 1 + MAX_FRAMES:
        raise BadMessage(f"{len(frames)} frames, expected a header and at most {MAX_FRAMES} arrays")
    header = unpack_header(frames[0])
    envelope = _Fields(header, "header", frames[1:])
    request_id, kind = envelope.text("id", MAX_ID_CHARS), envelope.text("type", MAX_ID_CHARS)
    if header.get("v") not in PROTOCOL_VERSIONS and kind not in _TIMELESS:
        raise VersionMismatch(f"message of version {header.get('v')!r}, this side speaks {list(PROTOCOL_VERSIONS)}")
    if kind not in readers:
        raise UnknownType(f"message type {kind!r}")
    envelope.where = kind
    return readers[kind](request_id, envelope)


def _hello(request_id: str, given: _Fields) -> Hello:
    return Hello(request_id, given.integers("versions", 64, 2**16), given.text("client", 200, ""))


def _image(given: _Fields) -> Image:
    width, height = given.integer("width", 1, MAX_SIDE), given.integer("height", 1, MAX_SIDE)
    check_size(width, height)
    key = given.text("key", 32)
    if not _KEY.fullmatch(key):
        raise given.fail("key", "32 lower-case hexadecimal digits")
    array = given.array("array", ("u8", "u16"), (height, width)) if "array" in given else None
    return Image(key, width, height, array)


def _hints(given: _Fields, image: Image) -> Hints:
    tiles = given.array("tiles", ("u16",), (None, 4))
    if tiles.shape[0] > MAX_TILES:
        raise BadHints(f"{given.where}: {tiles.shape[0]} tiles, at most {MAX_TILES} are accepted")
    pixels = 0
    for x, y, w, h in unpack_tiles(tiles):
        if not (w and h and x + w <= image.width and y + h <= image.height):
            size = f"{image.width}x{image.height}"
            raise BadHints(f"{given.where}: tile {x},{y} {w}x{h} does not lie in a picture of {size}")
        pixels += w * h
    if pixels > image.width * image.height:
        raise BadHints(f"{given.where}: tiles of {pixels} pixels over a picture of {image.width * image.height}")
    return Hints(tiles, given.array("array", ("u8",), (4 * pixels,)))


def _colorize(request_id: str, given: _Fields) -> Colorize:
    image = _image(given.inside("image", BadPicture))
    hints, kept = (_hints(given.inside(name, BadHints), image) if name in given else None for name in ("hints", "kept"))
    chosen = given.refusing(BadOptions)
    values: dict[str, Any] = {each.name: _option(chosen, each) for each in fields(Options)}
    layout = chosen.choice("layout", tuple(LAYOUTS), "rgb8")
    update = _update(given.inside("update", BadMessage), image) if "update" in given else None
    return Colorize(request_id, image, hints, Options(**values), layout, kept, update)


def _update(given: _Fields, image: Image) -> Update:
    stale = _rectangles(given, "stale") if "stale" in given else None
    newer = None
    if "newer" in given:
        inside = given.inside("newer", BadMessage)
        newer = Newer(inside.state("since"), _rectangles(inside, "tiles"))
    near = given.integers("near", 2, MAX_SIDE) if "near" in given else None
    if near is not None and len(near) != 2:
        raise given.fail("near", "x and y")
    since = given.state("since")
    return Update(since, stale, newer, (near[0], near[1]) if near else None, given.flag("draft", False))


def _rectangles(given: _Fields, name: str) -> Array:
    found = given.array(name, ("u16",), (None, 4))
    if found.shape[0] > MAX_TILES:
        raise BadMessage(f"{given.where}.{name}: {found.shape[0]} rectangles, at most {MAX_TILES} are accepted")
    return found


def _prepare(request_id: str, given: _Fields) -> Prepare:
    image = _image(given.inside("image", BadPicture))
    model = given.refusing(BadOptions).text("model", MAX_OPTION_CHARS, "")
    return Prepare(request_id, image, model, given.flag("hold", False))


def _option(given: _Fields, option: Field[Any]) -> str | float | bool:
    default: Any = option.default
    if isinstance(default, bool):
        return given.flag(option.name, default)
    if isinstance(default, str):
        return given.text(option.name, MAX_OPTION_CHARS, default)
    low, high = option.metadata["limits"]
    return given.number(option.name, low, high, default)


def _band(request_id: str, given: _Fields) -> Band:
    y, rows = given.integer("y", 0, MAX_SIDE - 1), given.integer("rows", 1, MAX_SIDE)
    return Band(request_id, y, rows, given.array("array", tuple(ITEM_BYTES), (rows, None, None)))


def _tile(request_id: str, given: _Fields) -> Tile:
    x, y = (given.integer(name, 0, MAX_SIDE - 1) for name in ("x", "y"))
    return Tile(request_id, x, y, given.state("state"), given.array("array", tuple(ITEM_BYTES), (None, None, None)))


def _failure(request_id: str, given: _Fields) -> ErrorReply:
    return ErrorReply(
        request_id, given.text("code", 200), given.text("sentence"), given.text("detail", MAX_HEADER_BYTES, "")
    )


_TIMELESS = ("hello", "error")  # readable in every version, so that two sides can find out that they differ
_REQUESTS: dict[str, Callable[[str, _Fields], Request]] = {
    "hello": _hello,
    "status": lambda request_id, given: Status(request_id),
    "models": lambda request_id, given: Models(request_id),
    "colorize": _colorize,
    "prepare": _prepare,
    "cancel": lambda request_id, given: Cancel(request_id, given.text("target", MAX_ID_CHARS)),
    "stop": lambda request_id, given: Stop(request_id),
}
_REPLIES: dict[str, Callable[[str, _Fields], Reply]] = {
    "progress": lambda request_id, given: Progress(
        request_id, given.text("stage", 64), given.number("fraction", 0.0, 1.0)
    ),
    "band": _band,
    "tile": _tile,
    "result": lambda request_id, given: Result(request_id, given.mapping("body")),
    "need-image": lambda request_id, given: NeedImage(request_id, given.text("key", 32)),
    "error": _failure,
    "cancelled": lambda request_id, given: JobCancelled(request_id),
}
