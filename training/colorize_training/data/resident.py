"""Photographs in the memory of the device that trains, and views of many of them at once."""

import warnings
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from colorize_training.chances import Chances
from colorize_training.data.photographs import PackedPhotographs
from colorize_training.data.things import MASK_STRIDE


class Views(NamedTuple):
    """Parts of photographs that become squares: x, y, width, height (B,) in their pixels; mirrored (B,) bool."""

    x: Tensor
    y: Tensor
    width: Tensor
    height: Tensor
    mirrored: Tensor

    @classmethod
    def draw(cls, heights: Tensor, widths: Tensor, chances: Chances) -> "Views":
        """The whole of the photograph for a quarter, a small part of it for an eighth, else most of its short side.

        Its aspect is up to 1.28; it is mirrored half of the time.
        """
        small = chances.happens(0.15)
        share = torch.where(small, chances.uniform(low=0.35, high=0.6), chances.uniform(low=0.6, high=1.0))
        short, stretch = share * torch.minimum(heights, widths), chances.uniform(low=-0.125, high=0.125).exp()
        whole = chances.happens(0.25)
        w = torch.where(whole, widths, torch.minimum(widths, short * stretch))
        h = torch.where(whole, heights, torch.minimum(heights, short / stretch))
        return cls((widths - w) * chances.uniform(), (heights - h) * chances.uniform(), w, h, chances.happens(0.5))

    @classmethod
    def whole(cls, heights: Tensor, widths: Tensor) -> "Views":
        nothing = torch.zeros_like(heights)
        return cls(nothing, nothing, widths, heights, torch.zeros_like(heights, dtype=torch.bool))

    def places(self, count: int) -> tuple[Tensor, Tensor]:
        """The middles of `count` steps from side to side, y and x (B, count), in pixels of the photographs."""
        steps = (torch.arange(count, device=self.x.device) + 0.5) / count
        across = torch.where(self.mirrored[:, None], 1 - steps, steps)
        return self.y[:, None] + self.height[:, None] * steps, self.x[:, None] + self.width[:, None] * across


class ResidentPhotographs:
    """Packed photographs whose arrays lie on a device; on the processor they are those of the pack, in its file."""

    def __init__(self, packed: PackedPhotographs, device: torch.device) -> None:
        self.packed, self.device = packed, device

    def __len__(self) -> int:
        return len(self.packed)

    @cached_property
    def heights(self) -> Tensor:
        return self._index[:, 1].float()

    @cached_property
    def widths(self) -> Tensor:
        return self._index[:, 2].float()

    @cached_property
    def with_things(self) -> Tensor:
        """The numbers of the photographs in which things are drawn."""
        return self._there(self.packed.with_things())

    def pixels(self, numbers: Tensor, views: Views, size: int) -> Tensor:
        """RGB (B, 3, size, size) in 0..1 of the views of these photographs; a triangle filter that widens with them."""
        starts, heights, widths = self._index[numbers, 0], self.heights[numbers], self.widths[numbers]
        high, wide = int(heights.max()), int(widths.max())
        rows, columns = _steps(high, heights), _steps(wide, widths)
        cells = starts[:, None, None] + 3 * (rows[:, :, None] * widths.long()[:, None, None] + columns[:, None])
        ys, xs = views.places(size)
        down = _filter(ys, views.height / size, heights, high)  # (B, size, high)
        across = _filter(xs, views.width / size, widths, wide).transpose(1, 2)
        planes = [down @ self._pixels[cells + channel].float() @ across for channel in range(3)]
        return torch.stack(planes, 1) / 255

    def drawn(self, numbers: Tensor, views: Views, size: int, choices: Tensor) -> Tensor:
        """Drawn things (B, K, size, size) bool: those of each photograph at the shares `choices` (B, K) of their list.

        Nothing where none is drawn.
        """
        if self._masks is None:
            return torch.zeros(*choices.shape, size, size, dtype=torch.bool, device=self.device)
        bits, index = self._masks
        offset, count, height, width = index[numbers].unbind(1)
        cells = _cells(views, size, height, width)
        offset, count, area = (part[:, None, None, None] for part in (offset, count, height * width))
        at = (choices[..., None, None] * count).long() * area + cells  # bits
        byte = bits[torch.where(count > 0, offset + (at >> 3), 0)]
        return (count > 0) & (byte >> (7 - (at & 7)).to(torch.uint8) & 1).bool()

    def regions(self, numbers: Tensor, views: Views, size: int) -> Tensor:
        """The maps of the found regions (see `data.regions`) in the views, (B, maps, size, size) uint8."""
        values, index = self._regions
        offset, count, height, width = index[numbers].unbind(1)
        offset, area = (part[:, None, None, None] for part in (offset, height * width))
        maps = torch.arange(int(count[0]), device=self.device)[:, None, None]
        return values[offset + maps * area + _cells(views, size, height, width)]

    @cached_property
    def _pixels(self) -> Tensor:
        return self._there(self.packed.pixels)

    @cached_property
    def _index(self) -> Tensor:
        return self._there(self.packed.index)

    @cached_property
    def _masks(self) -> tuple[Tensor, Tensor] | None:
        masks = self.packed.masks
        return (self._there(masks.bits), self._there(masks.index)) if masks else None

    @cached_property
    def _regions(self) -> tuple[Tensor, Tensor]:
        regions = self.packed.regions
        if regions is None:
            raise ValueError("these photographs were packed without regions")
        return self._there(regions.values), self._there(regions.index)

    def _there(self, array: np.ndarray) -> Tensor:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")  # nor is it written
            return torch.from_numpy(array).to(self.device)


def _steps(most: int, sides: Tensor) -> Tensor:
    """0 to `most`, and no further than each of the sides (B,) goes; (B, most)."""
    return torch.minimum(torch.arange(most, device=sides.device), sides[:, None].long() - 1)


def _filter(places: Tensor, step: Tensor, sides: Tensor, most: int) -> Tensor:
    """Weights (B, count, most) of `most` pixels for each place (B, count): Pillow's bilinear filter."""
    reach = step.clamp(min=1)[:, None, None]
    pixels = torch.arange(most, device=places.device)
    weights = (1 - (pixels + 0.5 - places[..., None]).abs() / reach).clamp(min=0) * (pixels < sides[:, None, None])
    return weights / weights.sum(2, keepdim=True)


def _cells(views: Views, size: int, height: Tensor, width: Tensor) -> Tensor:
    """Where in masks (height, width) the places of the views lie, as flat numbers (B, 1, size, size)."""
    ys, xs = ((place / MASK_STRIDE).long() for place in views.places(size))
    rows, columns = torch.minimum(ys, height[:, None] - 1), torch.minimum(xs, width[:, None] - 1)
    return (rows[:, :, None] * width[:, None, None] + columns[:, None])[:, None]
