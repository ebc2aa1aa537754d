"""From painted pixels to hints: which chroma is asked for in each cell of the chroma grid, and how surely.

A hint is painted: a colour under alpha. Every cell takes the alpha-weighted mean of the pixels in it, in linear
light, as a camera would see the cell from afar; what is transparent counts nothing, whatever colour lies under it.
Coverage is the mean alpha of the cell, so that the thinnest stroke leaves a cell with little coverage, never none.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from colorize_client.messages import Buffer

from colorize_engine.colour import conversions
from colorize_engine.native import functions

# Pixels treated at once: their linear float32 copy stays in a core's cache.
CHUNK_PIXELS = 65536

_LINEAR = conversions.srgb_to_linear(torch.arange(256, dtype=torch.float64) / 255.0).float().numpy()


class Tiles(Protocol):
    """Rectangles (x, y, w, h) in the photograph's pixels, and for each w * h * 4 bytes of straight RGBA u8 (sRGB)."""

    @property
    def tiles(self) -> Sequence[tuple[int, int, int, int]]: ...

    @property
    def data(self) -> Sequence[Buffer | np.ndarray]: ...


@dataclass(frozen=True)
class HintGrid:
    """Hints on the chroma grid.

    Attributes:
        ab: (2, h, w) float32, CIELAB chroma asked for; 0 where there is no hint.
        coverage: (h, w) float32, 0..1, the painted share of the cell; 0 means no hint.
    """

    ab: np.ndarray
    coverage: np.ndarray

    @property
    def cells(self) -> int:
        """How many cells have a hint."""
        return int(np.count_nonzero(self.coverage))


class _Bins:
    """Cuts an axis of `pixels` into `cells` runs: run i is edges[i] <= pixel < edges[i + 1], none is empty."""

    def __init__(self, pixels: int, cells: int) -> None:
        self.cells, self.edges = cells, np.arange(cells + 1) * pixels // cells

    def cut(self, start: int, stop: int) -> tuple[slice, np.ndarray]:
        """The runs that pixels start..stop touch, and where each begins, counted from start."""
        first, last = np.searchsorted(self.edges, (start, stop - 1), side="right") - 1
        return slice(int(first), int(last) + 1), np.maximum(self.edges[first : last + 1] - start, 0)

    @property
    def of_pixels(self) -> np.ndarray:
        """The run in which each pixel lies."""
        return np.repeat(np.arange(self.cells), np.diff(self.edges))


def _pixels(data: Buffer | np.ndarray, width: int, height: int) -> np.ndarray:
    pixels = np.frombuffer(data, dtype=np.uint8)
    if pixels.size != 4 * width * height:
        raise ValueError(f"a hint tile of {width}x{height} needs {4 * width * height} bytes, not {pixels.size}")
    return pixels.reshape(height, width, 4)


def _clipped(hints: Tiles | None, height: int, width: int) -> Iterator[tuple[int, int, np.ndarray]]:
    """Left, top and pixels (h, w, 4) of every tile, cut to the picture; tiles that lie outside are left out."""
    if hints is None:
        return
    for (x, y, w, h), data in zip(hints.tiles, hints.data, strict=True):
        if w < 0 or h < 0:
            raise ValueError(f"a hint tile cannot be {w}x{h}")
        pixels = _pixels(data, w, h)[max(-y, 0) : max(height - y, 0), max(-x, 0) : max(width - x, 0)]
        if pixels.size:
            yield max(x, 0), max(y, 0), pixels


def _painted(x: int, y: int, pixels: np.ndarray) -> Iterator[tuple[int, int, np.ndarray]]:
    """Cut a tile into chunks of whole rows, each narrowed to the columns painted in it; empty ones are left out."""
    rows = max(CHUNK_PIXELS // pixels.shape[1], 1)
    for top in range(0, len(pixels), rows):
        chunk = pixels[top : top + rows]
        # Read as little-endian words, the greatest pixel of a column has its greatest alpha in the top byte.
        columns = np.flatnonzero(chunk.view("<u4")[..., 0].max(axis=0) >> 24)
        if columns.size:
            left, right = int(columns[0]), int(columns[-1]) + 1
            yield x + left, y + top, chunk[:, left:right]


def _premultiplied(pixels: np.ndarray) -> np.ndarray:
    """(h, w, 4) float32: linear red, green and blue times alpha, and alpha, all 0..1."""
    light = _LINEAR[pixels]
    alpha = pixels[..., 3] * np.float32(1.0 / 255.0)
    light[..., 3] = 1.0
    light *= alpha[..., None]
    return light


def _add(sums: np.ndarray, rows: _Bins, columns: _Bins, x: int, y: int, pixels: np.ndarray) -> None:
    """Add the pixels at (x, y) to the cells (h, w, 4) that they lie in."""
    light = _premultiplied(pixels)
    down, tops = rows.cut(y, y + len(pixels))
    across, lefts = columns.cut(x, x + pixels.shape[1])
    # Not reduceat along the rows too: a plain sum over rows is vectorized and 20 times as fast.
    strips = np.stack([strip.sum(axis=0) for strip in np.split(light, tops[1:])])
    sums[down, across] += np.add.reduceat(strips, lefts, axis=1)


def _sums(tiles: Iterator[tuple[int, int, np.ndarray]], rows: _Bins, columns: _Bins) -> np.ndarray:
    """Sums (h, w, 4) over the cells: linear red, green and blue times alpha, and alpha."""
    library = functions.library()
    if library is not None:
        compiled = functions.HintSums(library, rows.of_pixels, columns.of_pixels, _LINEAR)
        for tile in tiles:
            compiled.add(*tile)
        return compiled.sums
    sums = np.zeros((rows.cells, columns.cells, 4))
    for tile in tiles:
        for x, y, pixels in _painted(*tile):
            _add(sums, rows, columns, x, y, pixels)
    return sums


def _spread_cells(sums: np.ndarray, height: int, width: int) -> np.ndarray:
    """Repeat cells (h, w, n) up to a grid that is finer than the picture's pixels."""
    down = np.arange(height) * sums.shape[0] // height
    across = np.arange(width) * sums.shape[1] // width
    return sums[down][:, across]


def _chroma(sums: np.ndarray) -> np.ndarray:
    """CIELAB chroma (h, w, 2) of sums (h, w, 4) of premultiplied linear light and alpha; 0 where alpha is."""
    ab = np.zeros((*sums.shape[:2], 2), np.float32)
    painted = sums[..., 3] > 0.0
    mean = (sums[painted, :3] / sums[painted, 3:]).astype(np.float32)
    lab = conversions.linear_to_lab(torch.from_numpy(mean.T[:, None]))
    ab[painted] = lab[1:, 0].T.numpy()
    return ab


def rasterize(hints: Tiles | None, height: int, width: int, grid_height: int, grid_width: int) -> HintGrid:
    """Average painted hints over the cells of a grid that covers a picture.

    Args:
        hints: tiles of the hint layer; what lies outside the picture is ignored, where tiles overlap they add up.
        height, width: size of the picture in pixels.
        grid_height, grid_width: size of the grid; may be finer than the picture.

    Raises:
        ValueError: a tile's data does not have the tile's size, or tiles and data differ in number.
    """
    rows, columns = _Bins(height, min(grid_height, height)), _Bins(width, min(grid_width, width))
    sums = _sums(_clipped(hints, height, width), rows, columns)
    area = np.diff(rows.edges)[:, None] * np.diff(columns.edges)
    coverage = np.minimum(sums[..., 3] / area, 1.0).astype(np.float32)
    cells = _spread_cells(np.dstack((_chroma(sums), coverage)), grid_height, grid_width)
    return HintGrid(np.ascontiguousarray(cells[..., :2].transpose(2, 0, 1)), np.ascontiguousarray(cells[..., 2]))
