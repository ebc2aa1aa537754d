"""How a picture of any size meets a network of one size: never squashed, averaged down, padded by reflection."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from colorize_engine.native import functions
from colorize_engine.weights import LONGEST, SHORTEST


@dataclass(frozen=True)
class NetworkInput:
    """The network's picture: content of `height` and `width` (even), padded below and right to multiples of stride."""

    height: int
    width: int
    stride: int

    @classmethod
    def fit(cls, height: int, width: int, side: int, stride: int) -> "NetworkInput":
        """About side * side pixels of the aspect of a height x width picture, within SHORTEST..LONGEST."""
        scale = side / (height * width) ** 0.5
        height, width = (min(LONGEST, max(SHORTEST, round(length * scale / 2) * 2)) for length in (height, width))
        return cls(height, width, stride)

    @property
    def padded(self) -> tuple[int, int]:
        """Height and width with the padding, multiples of the stride."""
        return -(-self.height // self.stride) * self.stride, -(-self.width // self.stride) * self.stride

    def pad(self, planes: Tensor) -> Tensor:
        """Planes (B, C, height, width) padded to `padded` by reflection, by repetition where too small for it."""
        below, right = (whole - own for whole, own in zip(self.padded, (self.height, self.width), strict=True))
        mode = "reflect" if below < self.height and right < self.width else "replicate"
        return F.pad(planes, (0, right, 0, below), mode=mode)


def reduce_gray(gray: np.ndarray, height: int, width: int) -> Tensor:
    """Gray plane (H, W) uint8 or uint16 -> encoded gray (1, 1, height, width) float32 in 0..1.

    Area averages where a side shrinks, bilinear where it grows. Averages are taken of encoded values, which are as
    near to L as makes no difference for a network, and need no plane of floats at full size.
    """
    rows, columns = (_edges(*sides) for sides in zip(gray.shape, (height, width), strict=True))
    areas = np.diff(rows)[:, None] * np.diff(columns) * float(np.iinfo(gray.dtype).max)
    cells = (_sums(gray, rows, columns) / areas).astype(np.float32)
    reduced = torch.from_numpy(cells)[None, None]
    if cells.shape != (height, width):
        reduced = F.interpolate(reduced, (height, width), mode="bilinear", align_corners=False)
    return reduced


def _edges(pixels: int, cells: int) -> np.ndarray:
    """Where nearly equal runs of pixels begin, at most so many, and where the last ends."""
    return np.linspace(0, pixels, min(cells, pixels) + 1).round().astype(int)


def _sums(gray: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Over the cells between these edges, exactly."""
    library = functions.library()
    if library is not None:
        return functions.cell_sums(library, gray, rows, columns)
    kind = np.uint32 if np.diff(rows).max() <= 1 << 16 else np.uint64  # the narrower is a third faster
    strips = np.add.reduceat(gray, rows[:-1], axis=0, dtype=kind)
    return np.add.reduceat(strips, columns[:-1], axis=1, dtype=np.uint64)
