"""Chroma from the small grid to full size, along the edges of the photograph's own lightness.

In every window of the chroma grid ab is modelled as A * L + B (guided filter: He, Sun, Tang 2013, equations 5, 6 and
8; at low resolution: He and Sun 2015, "Fast Guided Filter"). B is then chosen so that each cell, at the cell's own
lightness, has exactly the chroma it was given: a colour that was asked for is not blurred away. A and B are
interpolated to full size and meet the full-size lightness there:

    ab(p) = bilinear(A)(p) * L(p) + bilinear(B)(p)

Each pixel depends on its own place only, so that rectangles of any size join without a seam.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from colorize_engine.colour import gamut

# Windows of 3 x 3 cells: on photographs better than 5 x 5 at every size of cell tried (4, 8 and 16 pixels).
RADIUS = 1
SIDE = 2 * RADIUS + 1
# Variance of L below which lightness says nothing about chroma. Between 4 and 30 the error changes by less than 1 %.
EPSILON = 10.0


def _box(planes: Tensor) -> Tensor:
    """Mean over each window of (n, h, w); the border is repeated."""
    padded = nn.functional.pad(planes[None], (RADIUS,) * 4, mode="replicate")[0]
    return _sums(_sums(padded, 1), 2).div_(SIDE**2)


def _sums(planes: Tensor, axis: int) -> Tensor:
    """Of SIDE neighbours along an axis; seven times as fast as PyTorch's pooling."""
    length = planes.shape[axis] - 2 * RADIUS
    sums = planes.narrow(axis, 0, length) + planes.narrow(axis, 1, length)
    for start in range(2, SIDE):
        sums += planes.narrow(axis, start, length)
    return sums


def model(lightness: Tensor, ab: Tensor) -> tuple[Tensor, Tensor]:
    """Slope A and offset B, (n, h, w) each, of ab as a linear function of lightness around each cell.

    Args:
        lightness: L (h, w) of the chroma grid, float32: the photograph's, averaged over each cell.
        ab: chroma (2, h, w), float32, or n planes of any kind; NaN and Inf are taken as gray.
    """
    ab = torch.nan_to_num(ab, nan=0.0, posinf=0.0, neginf=0.0)
    mean, mean_square = _box(torch.stack((lightness, lightness * lightness)))
    covariance = _box(lightness * ab) - mean * _box(ab)
    slope = _box(covariance / ((mean_square - mean * mean).clamp(min=0.0) + EPSILON))
    return slope, ab - slope * lightness


def places(cells: int, pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """For the centre of each pixel, the cell before it and the way to the next one, 0..1."""
    place = ((np.arange(pixels) + 0.5) * (cells / pixels) - 0.5).clip(0.0, cells - 1.0)
    before = np.minimum(place.astype(np.int64), max(cells - 2, 0))
    return before, (place - before).astype(np.float32)


def _widen(planes: Tensor, width: int) -> Tensor:
    """Interpolate (n, h, w) along the rows to (n, h, width)."""
    before, share = places(planes.shape[2], width)
    left = torch.from_numpy(before)
    right = (left + 1).clamp(max=planes.shape[2] - 1)
    return torch.lerp(planes[..., left], planes[..., right], torch.from_numpy(share))


class GuidedLift:
    """Lifts a chroma grid to a photograph's size.

    Args:
        lightness, ab: see `model`.
        height, width: size of the photograph.

    Keeps the model's rows at full width: 16 * n * h * width bytes.
    """

    def __init__(self, lightness: Tensor, ab: Tensor, height: int, width: int) -> None:
        slope, offset = model(lightness, ab)
        self.height, self.width = height, width
        self._rows = _widen(torch.cat((slope, offset)), width)
        last = min(self._rows.shape[1] - 1, 1)
        self._steps = self._rows[:, last:] - self._rows[:, : self._rows.shape[1] - last]
        self._before, share = places(lightness.shape[0], height)
        self._share = torch.from_numpy(share)[:, None]

    def _runs(self, start: int, stop: int) -> Iterator[tuple[slice, int]]:
        """Cut rows start..stop where the cell before them changes, and to the size of a block."""
        most = max(gamut.BLOCK // self.width, 1)
        while start < stop:
            cell = int(self._before[start])
            end = min(int(np.searchsorted(self._before, cell, side="right")), stop, start + most)
            yield slice(start, end), cell
            start = end

    def _plane(self, index: int, cell: int, rows: slice, left: int, out: Tensor) -> Tensor:
        """Interpolate one coefficient for rows that lie after `cell`, from column `left` on, into out (rows, w)."""
        columns = slice(left, left + out.shape[1])
        torch.mul(self._steps[index, cell, columns], self._share[rows], out=out)
        return out.add_(self._rows[index, cell, columns])

    def rows(self, start: int, stop: int, lightness: Tensor, left: int = 0) -> Tensor:
        """Chroma (2, rows, w), or n planes, of rows start..stop of the photograph, of lightness L (rows, w), from
        column `left` on."""
        count = len(self._rows) // 2
        ab = lightness.new_empty((count, *lightness.shape))
        for rows, cell in self._runs(start, stop):
            piece = slice(rows.start - start, rows.stop - start)
            slope = torch.empty_like(lightness[piece])
            for channel in range(count):
                self._plane(channel, cell, rows, left, slope).mul_(lightness[piece])
                self._plane(count + channel, cell, rows, left, ab[channel, piece]).add_(slope)
        return ab
