"""Loads the compiled functions, gives them types, and checks every size before they are called. Without torch.

What they compute is written down beside their callers in torch or numpy, which serves where no library fits the
machine: another system than Linux, another processor, a damaged file. The log says once which of both it is.
"""

import ctypes
import hashlib
import logging
import platform
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from colorize_client.messages import LAYOUTS

HERE = Path(__file__).parent
SUMS = "SHA256SUMS"
LANES = 4  # so many columns more are read of `Model.beside`, and overwritten
MOST_PLANES = 3  # of a model
MOST_SIDE = (1 << 31) - (1 << 16)  # pixels: the functions count in 32 bits along a side

_TYPES = {"u8": np.uint8, "u16": np.uint16, "i16": np.int16}

log = logging.getLogger(__name__)


class NoLibrary(Exception):
    """There is no library for this machine, or it cannot be used; the text says why."""


class OtherMachine(NoLibrary):
    """None was built for it: nothing is wrong."""


class _Curve(ctypes.Structure):
    _fields_ = [("levels", ctypes.c_void_p), ("steps", ctypes.c_int32)]


class _Model(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int32) for name in ("x", "y", "width", "height", "rows", "columns", "planes")),
        *((name, ctypes.c_void_p) for name in ("cells", "top", "left", "down", "beside")),
    ]


class _Colours(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("lightness", "border", "bytes")),
        ("curve", _Curve),
        ("x", ctypes.c_float * 3),
        ("z", ctypes.c_float * 3),
    ]


class Model(NamedTuple):
    """Chroma as a linear function of lightness, over a part of a photograph.

    Attributes:
        cells: (rows, columns, 2 * planes) float32: for each plane its slope and its offset.
        down, beside: for each of the part's rows and columns the cell before its centre, and the way to the next one,
            0..1 (float32).
        x, y: the part's corner in the photograph.
    """

    cells: np.ndarray
    down: tuple[np.ndarray, np.ndarray]
    beside: tuple[np.ndarray, np.ndarray]
    x: int = 0
    y: int = 0


class Colours(NamedTuple):
    """Tables of the colour science.

    Attributes:
        lightness: L 0..100 of each gray level, float32.
        border: (257, 513) float32, the largest |a| + |b| inside the gamut, see `gamut`.
        bytes: (65537,) uint8, 8-bit sRGB of linear light.
        curve: 16-bit sRGB of linear light in even steps, float32, the last one twice.
        mixing: (3, 2) float32, linear red, green and blue of X - Y and of Z - Y.
    """

    lightness: np.ndarray
    border: np.ndarray
    bytes: np.ndarray
    curve: np.ndarray
    mixing: np.ndarray


def _check(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(f"internal error: {what}")


def _address(array: np.ndarray, dtype: type, shape: tuple[int, ...]) -> int:
    """Of an array that is what a function expects. Its owner keeps it for as long as the address is used."""
    _check(array.dtype == dtype and array.shape == shape, f"{array.dtype} {array.shape} instead of {dtype} {shape}")
    _check(array.flags.c_contiguous and array.flags.aligned, "an array that is not in one piece")
    return int(array.ctypes.data)


def whole(array: np.ndarray) -> np.ndarray:
    """The array in one piece, as the functions need it; a copy only where it is not."""
    return np.require(array, requirements=["C", "A"])


class _Kept:
    """A structure, and the arrays whose addresses are in it."""

    def __init__(self, structure: Any, *arrays: np.ndarray) -> None:
        self.structure, self._arrays = structure, arrays


def _places(places: tuple[np.ndarray, np.ndarray], cells: int, slack: int) -> tuple[np.ndarray, np.ndarray]:
    """As the functions take them: int32, and `slack` ways more."""
    pixels = len(places[0])
    before, way = places[0].astype(np.int32), np.zeros(pixels + slack, np.float32)
    way[:pixels] = places[1]
    _check(0 < pixels < MOST_SIDE and bool(before.min() >= 0) and bool(before.max() < cells), "places out of range")
    return before, way


def _model(model: Model) -> _Kept:
    rows, columns, count = model.cells.shape
    _check(0 < count <= 2 * MOST_PLANES and count % 2 == 0, f"a model of {count} coefficients")
    top, down = _places(model.down, rows, 0)
    left, beside = _places(model.beside, columns, LANES)
    structure = _Model(
        model.x,
        model.y,
        len(left),
        len(top),
        rows,
        columns,
        count // 2,
        _address(model.cells, np.float32, (rows, columns, count)),
        *(each.ctypes.data for each in (top, left, down, beside)),
    )
    return _Kept(structure, model.cells, top, left, down, beside)


def _curve(levels: np.ndarray) -> _Curve:
    _check(bool(levels.min() >= 0.0) and bool(levels.max() <= 65535.0), "an encoded level out of range")
    return _Curve(_address(levels, np.float32, (max(len(levels), 3),)), len(levels) - 2)


def _colours(colours: Colours, levels: int) -> _Kept:
    mixing, lightness = colours.mixing.astype(np.float32), colours.lightness
    _check(bool(lightness.min() >= 0.0) and bool(lightness.max() <= 100.0), "a lightness out of range")
    structure = _Colours(
        _address(lightness, np.float32, (levels,)),
        _address(colours.border, np.float32, (257, 513)),
        _address(colours.bytes, np.uint8, (65537,)),
        _curve(colours.curve),
        *((ctypes.c_float * 3)(*column) for column in mixing.T),
    )
    return _Kept(structure, *colours)


def check_rectangle(rectangle: tuple[int, int, int, int], width: int, height: int) -> None:
    """ValueError for a rectangle (x, y, width, height) that does not lie within a photograph."""
    x, y, across, down = rectangle
    if not (0 <= x <= x + across <= width and 0 <= y <= y + down <= height):
        raise ValueError(f"a rectangle {across}x{down} at {x}, {y} is not within {width}x{height}")


class Rendering:
    """Renders rectangles of a photograph, each from any thread.

    Args:
        model: of two planes, a and b, over the whole photograph.
        details: of three planes, a, b and how much they cover, 0..1, laid over it in this order.
        gray: (H, W) uint8 or uint16; must not change.
        layout: a key of `LAYOUTS`. Raises KeyError for another.
    """

    def __init__(
        self,
        library: ctypes.CDLL,
        colours: Colours,
        model: Model,
        details: Sequence[Model],
        gray: np.ndarray,
        layout: str,
    ) -> None:
        dtype, self._channels = LAYOUTS[layout]
        self._dtype, self._layout = _TYPES[dtype], list(LAYOUTS).index(layout)
        self._gray, self._deep = whole(gray), gray.dtype == np.uint16
        self.height, self.width = gray.shape
        self._render = library.render
        self._colours, self._model = _colours(colours, 1 << 8 * gray.dtype.itemsize), _model(model)
        self._details = [_model(detail) for detail in details]
        self._laid = (_Model * len(details))(*(detail.structure for detail in self._details))
        self._check()

    def _check(self) -> None:
        _check(self._gray.dtype in (np.uint8, np.uint16), f"gray of type {self._gray.dtype}")
        whole = self._model.structure
        _check((whole.x, whole.y, whole.width, whole.height) == (0, 0, self.width, self.height), "a model of a part")
        _check(whole.planes == 2 and all(detail.planes == 3 for detail in self._laid), "a model's number of planes")
        _check(all(self._holds(detail) for detail in self._laid), "a detail outside the photograph")

    def _holds(self, part: _Model) -> bool:
        return 0 <= part.x <= self.width - part.width and 0 <= part.y <= self.height - part.height

    def rectangle(self, x: int, y: int, width: int, height: int) -> np.ndarray:
        """Pixels (height, width, channels) of a rectangle of the photograph. ValueError where it is not within it."""
        check_rectangle((x, y, width, height), self.width, self.height)
        out = np.empty((height, width, self._channels), self._dtype)
        place = (x, y, width, height, self._layout, out.ctypes.data)
        colours, model = ctypes.byref(self._colours.structure), ctypes.byref(self._model.structure)
        self._render(colours, model, self._laid, len(self._laid), self._gray.ctypes.data, self._deep, *place)
        return out


def cell_sums(library: ctypes.CDLL, plane: np.ndarray, tops: np.ndarray, lefts: np.ndarray) -> np.ndarray:
    """Sums (rows, columns) uint64 over the cells of a plane (H, W) uint8 or uint16.

    tops, lefts: where the cells' rows and columns begin, from 0, and where the last ends, at H and W; ascending.
    """
    edges = [whole(each.astype(np.int32)) for each in (tops, lefts)]
    for each, side in zip(edges, plane.shape, strict=True):
        _check(side < MOST_SIDE and each[0] == 0 and each[-1] == side and bool((np.diff(each) >= 0).all()), "cells")
    plane, sums = whole(plane), np.zeros((len(tops) - 1, len(lefts) - 1), np.uint64)
    function = {np.dtype(np.uint8): library.cell_sums_u8, np.dtype(np.uint16): library.cell_sums_u16}[plane.dtype]
    function(plane.ctypes.data, *sums.shape, *(each.ctypes.data for each in edges), sums.ctypes.data)
    return sums


def luminance(library: ctypes.CDLL, values: np.ndarray, tables: np.ndarray, curve: np.ndarray) -> np.ndarray:
    """Sum of what tables (bands, levels) float32 have for each channel's value, encoded by a curve: uint16 (rows, W).

    values: (rows, W, bands) uint8 or uint16, one band or three. curve: as in `Colours`.
    """
    rows, width, bands = values.shape
    _check(bands in (1, 3) and values.dtype in (np.uint8, np.uint16), f"values {values.dtype} {values.shape}")
    function = library.luminance_u8 if values.dtype == np.uint8 else library.luminance_u16
    values, out = whole(values), np.empty((rows, width), np.uint16)
    looked_up = _address(tables, np.float32, (bands, 1 << 8 * values.dtype.itemsize))
    encoding = _curve(curve)
    function(values.ctypes.data, rows * width, bands, looked_up, ctypes.byref(encoding), out.ctypes.data)
    return out


class HintSums:
    """Adds painted pixels to the cells that they lie in.

    Args:
        rows, columns: the cell of each of the picture's rows (H,) and columns (W,), ascending from 0.
        linear: (256,) float32, linear light of each level.

    Attributes:
        sums: (rows, columns, 4) float64 of linear red, green and blue times alpha, and alpha, 0..1.
    """

    def __init__(self, library: ctypes.CDLL, rows: np.ndarray, columns: np.ndarray, linear: np.ndarray) -> None:
        self._add, self._linear = library.add_hints, linear
        self._rows, self._columns = rows.astype(np.int32), columns.astype(np.int32)
        self.sums = np.zeros((int(rows[-1]) + 1, int(columns[-1]) + 1, 4))
        for each in (self._rows, self._columns):
            _check(0 < len(each) < MOST_SIDE and each[0] == 0 and bool((np.diff(each) >= 0).all()), "cells")
        self._linear_at = _address(linear, np.float32, (256,))
        self._at = [each.ctypes.data for each in (self._rows, self._columns, self.sums)]

    def add(self, x: int, y: int, pixels: np.ndarray) -> None:
        """Adds pixels (h, w, 4) uint8, straight RGBA, at (x, y); they may be a part of a larger array."""
        height, width, _ = pixels.shape
        _check(pixels.dtype == np.uint8 and pixels.shape[2] == 4 and pixels.strides[1:] == (4, 1), "a hint's pixels")
        check_rectangle((x, y, width, height), len(self._columns), len(self._rows))
        rows, columns, sums = self._at
        of_cells = (rows + 4 * y, columns + 4 * x, self.sums.shape[1])
        self._add(pixels.ctypes.data, pixels.strides[0], width, height, *of_cells, self._linear_at, sums)


@cache
def library() -> ctypes.CDLL | None:
    """The compiled functions; None where there are none for this machine. The log says which, once."""
    try:
        loaded = load(HERE, platform.system(), platform.machine())
    except NoLibrary as reason:
        level = logging.INFO if isinstance(reason, OtherMachine) else logging.WARNING
        log.log(level, "pixels are computed by PyTorch and numpy, which takes several times as long: %s", reason)
        return None
    log.info("pixels are computed by the compiled functions for %s", platform.machine())
    return loaded


def file_name(processor: str) -> str:
    """Of the library for a processor, as `platform.machine` calls it."""
    return f"kernels-{processor}.so"


def load(folder: Path, system: str, processor: str) -> ctypes.CDLL:
    """The library for a processor from a folder. Raises NoLibrary, or OtherMachine where there never was one."""
    name = file_name(processor)
    sums = _sums(folder)
    if system != "Linux" or name not in sums:
        raise OtherMachine(f"there are no compiled functions for {system} on {processor}")
    try:
        # A file that was cut off would end the process when it is loaded, not raise an error.
        if digest(folder / name) != sums[name]:
            raise NoLibrary(f"{folder / name} is damaged; install the program again")
        return _typed(ctypes.CDLL(str(folder / name)))
    except OSError as error:
        raise NoLibrary(str(error)) from error


def _sums(folder: Path) -> dict[str, str]:
    """SHA-256 of each library, by its name."""
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise NoLibrary(str(error)) from error
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def digest(file: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


_POINTER, _I32, _I64 = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64
_ARGUMENTS: dict[str, list[Any]] = {
    "render": [*(_POINTER,) * 3, _I32, _POINTER, *(_I32,) * 6, _POINTER],
    "luminance_u8": [_POINTER, _I64, _I32, *(_POINTER,) * 3],
    "luminance_u16": [_POINTER, _I64, _I32, *(_POINTER,) * 3],
    "cell_sums_u8": [_POINTER, _I32, _I32, *(_POINTER,) * 3],
    "cell_sums_u16": [_POINTER, _I32, _I32, *(_POINTER,) * 3],
    "add_hints": [_POINTER, _I64, _I32, _I32, _POINTER, _POINTER, _I32, _POINTER, _POINTER],
}


def _typed(found: ctypes.CDLL) -> ctypes.CDLL:
    for name, arguments in _ARGUMENTS.items():
        function = getattr(found, name)
        function.argtypes, function.restype = arguments, None
    return found
