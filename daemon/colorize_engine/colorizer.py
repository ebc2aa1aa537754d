"""The engine: `set_image` once, `predict` as often as hints change, `render` to full size.

This is the one border between arrays and tensors; networks know nothing of requests, requests nothing of networks.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from colorize_client import HintTiles, Options
from colorize_client.options import CAUTIOUS
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from colorize_engine import weights
from colorize_engine.colour.conversions import gray_to_lightness
from colorize_engine.guided_lift import GuidedLift, render_bands
from colorize_engine.hints import HintGrid, rasterize
from colorize_engine.network_input import NetworkInput, reduce_gray
from colorize_engine.networks.served import CHROMA_STRIDE, ServedNetwork
from colorize_engine.residual_spread import spread_residual
from colorize_engine.weights import WeightsRecord

FULL_TRUST = 0.05  # coverage of a chroma cell from which its hint is obeyed to the full; a thin stroke covers little
# ab distance from what the network expected at which a hint says nothing of other regions. On validation pictures
# hints of true colours gain 0.3 dB at 1 and 5 by what they say of the rest; strokes of odd colours lose their leak.
SURPRISE = 35.0
GRAY = 2.0  # C* below which a hint means "keep this gray", and nothing of the rest
# Power of the reach within which a hint that is no global one counts. Against 1, 1.5 takes a fifth off what an odd
# stroke changes far away, and 0.05 dB off hints of true colours.
REACH_POWER = 1.5
EXPECTED = Options(temperature=CAUTIOUS)  # at which the network's output is what it expects

DEFAULTS = Options()

Check = Callable[[], None]
Module = TypeVar("Module", bound=nn.Module)


class NoDevice(ValueError):
    """The machine has no such device; the text names those that it has."""


def _no_check() -> None:
    """For callers that never stop a step."""


@dataclass(frozen=True)
class Embedding:
    """A photograph as the engine keeps it: all that `predict` and `render` need.

    Attributes:
        gray: the plane (H, W) uint8 or uint16 that `set_image` was given.
        features: the network's embedding, on the device.
        unhinted: the network's output where there are no hints, on the device.
        lightness: L (h, w) float32, 0..100, on the chroma grid, on the device.
        size: of the network's picture of the photograph.
    """

    gray: np.ndarray
    features: tuple[Tensor, ...]
    unhinted: tuple[Tensor, ...]
    lightness: Tensor
    size: NetworkInput

    @property
    def height(self) -> int:
        return self.gray.shape[0]

    @property
    def width(self) -> int:
        return self.gray.shape[1]

    @property
    def nbytes(self) -> int:
        return self.gray.nbytes + sum(t.nbytes for t in (*self.features, *self.unhinted, self.lightness))


@dataclass(frozen=True)
class Prediction:
    """What `predict` found.

    Attributes:
        ab: chroma (2, h, w) float32 in CIELAB units on the chroma grid, on the device; may be outside the sRGB gamut.
        hint_cells: the number of the grid's cells that hints cover.
    """

    ab: Tensor
    hint_cells: int


class Colorizer:
    """A network on a device, ready for photographs."""

    def __init__(self, network: ServedNetwork, record: WeightsRecord, device: torch.device) -> None:
        self.record, self.device = record, device
        self.network = fuse_batch_norms(network).to(device).to(memory_format=torch.channels_last)

    @classmethod
    def load(cls, record: WeightsRecord, device: str = "auto") -> "Colorizer":
        """Check and load weights.

        Args:
            record: from `weights.available` or `weights.read_record`.
            device: auto, cuda, mps or cpu, see `choose_device`.

        Raises:
            weights.BadWeights: the file is damaged, or of a recipe that this version does not know.
            NoDevice: the machine has no such device.
        """
        return cls(weights.load(record), record, choose_device(device))

    @torch.inference_mode()
    def set_image(self, gray: np.ndarray, check: Check = _no_check) -> Embedding:
        """Encode a photograph; the heavy step, once for each photograph.

        Args:
            gray: (H, W) uint8 or uint16, sRGB-encoded luminance; kept in the embedding, so it must not change.
            check: called between the steps; what it raises ends the work and passes through.

        Raises:
            ValueError, TypeError: the plane is of another type.
        """
        height, width = gray.shape
        size = NetworkInput.fit(height, width, self.record.side, self.network.stride)
        reduced = reduce_gray(gray, size.height, size.width)
        levels = (reduced[0, 0] * 65535).round().to(torch.int32).numpy().astype(np.uint16)
        lightness = gray_to_lightness(levels)[None, None]  # (1, 1, height, width)
        check()
        features = self.network.encode(size.pad(lightness).to(self.device))
        check()
        unhinted = self.network.decode(features, self._hint_planes(size))
        grid = nn.functional.avg_pool2d(lightness, CHROMA_STRIDE)[0, 0]
        return Embedding(gray, features, unhinted, grid.to(self.device), size)

    @torch.inference_mode()
    def predict(
        self,
        embedding: Embedding,
        hints: HintTiles | None = None,
        options: Options = DEFAULTS,
        check: Check = _no_check,
    ) -> Prediction:
        """Chroma for hints and options; the light step, repeated for each change.

        Args:
            embedding: of this colorizer's `set_image`.
            hints: painted rectangles in the photograph's pixels; what lies outside is ignored. None for none.
            options: `saturation` scales the chroma that the network chose, not that of the hints; at `temperature` 1 it
                is cautious, lower is more vivid; `model` is not read.
            check: as for `set_image`.

        Raises:
            ValueError: a tile's data does not have the tile's size.
        """
        grid = _hint_grid(embedding, hints)
        check()
        unhinted = self._chroma(embedding, embedding.unhinted, options)
        if grid is None:
            return Prediction(unhinted, 0)
        asked, coverage = (torch.from_numpy(plane).to(self.device) for plane in (grid.ab, grid.coverage))

        def decode(coverage: Tensor) -> Tensor:
            output = self.network.decode(embedding.features, self._hint_planes(embedding.size, (asked, coverage)))
            return self._chroma(embedding, output, options)

        hinted, elsewhere = decode(coverage), unhinted
        check()
        generality = _generality(asked, self._chroma(embedding, embedding.unhinted, EXPECTED), coverage)
        general = torch.where(generality > 0, coverage, 0)  # coverage of the hints that say something of all regions
        if general.any():
            answer = hinted if torch.equal(general, coverage) else decode(general)
            elsewhere = torch.lerp(unhinted, answer, generality[generality > 0].mean())
            check()
        return Prediction(_combine(asked, coverage, hinted, elsewhere, embedding.lightness), grid.cells)

    @torch.inference_mode()
    def render(
        self, embedding: Embedding, prediction: Prediction, layout: str = "rgb8", check: Check = _no_check
    ) -> Iterator[tuple[int, np.ndarray]]:
        """The photograph with this chroma at full size, in bands of rows from top to bottom.

        Args:
            embedding: of the photograph.
            prediction: of `predict` for this embedding; pulled into the sRGB gamut at constant lightness and hue.
            layout: "rgb8" (rows, W, 3) uint8 or "rgb16" uint16, sRGB-encoded with the photograph's own L; or "ab16"
                (rows, W, 2) int16, 256 steps per unit of ab.
            check: called before each band; what it raises ends the work and passes through.

        Yields:
            (y, band): the first row and the rows' pixels, each band an array of its own.

        Raises:
            KeyError: an unknown layout.
        """
        lift = GuidedLift(embedding.lightness.cpu(), prediction.ab.cpu(), embedding.height, embedding.width)
        for y, band in render_bands(lift, embedding.gray, layout):
            check()
            yield y, band

    def _chroma(self, embedding: Embedding, output: tuple[Tensor, ...], options: Options) -> Tensor:
        """ab (2, h, w) on the chroma grid, without the padding."""
        height, width = embedding.lightness.shape
        return self.network.chroma(output, options.temperature)[0, :, :height, :width].float() * options.saturation

    def _hint_planes(self, size: NetworkInput, hints: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Hint planes (1, 3, h, w) of the padded picture, on the device; `hints`: ab (2, h, w) and coverage (h, w)."""
        height, width = (side // CHROMA_STRIDE for side in size.padded)
        planes = torch.zeros(1, 3, height, width, device=self.device)
        if hints is not None:
            ab, coverage = hints
            h, w = coverage.shape
            planes[0, :2, :h, :w], planes[0, 2, :h, :w] = ab * (coverage > 0), coverage
        return planes


def _generality(asked: Tensor, expected: Tensor, coverage: Tensor) -> Tensor:
    """How much the hint in a cell says of all regions and not of its own alone, 0..1, (h, w).

    A user who paints the grass in a green that the network held likely tells it about the light, and about other
    grass; one who paints a saucer red means the saucer, and one who paints a wall gray means the wall.
    """
    surprise = (asked - expected).norm(dim=0) / SURPRISE
    return (1 - surprise.square()).clamp(min=0) * ((coverage > 0) & (asked.norm(dim=0) > GRAY))


def _combine(asked: Tensor, coverage: Tensor, hinted: Tensor, elsewhere: Tensor, lightness: Tensor) -> Tensor:
    """ab (2, h, w): `hinted` as far as the strokes reach, `elsewhere` beyond, and what was asked for under them.

    The network applies a stroke to the whole picture; the user may have meant one region. So its answer to all hints
    counts in full where a stroke lies, and fades across the edges of lightness as the residual does (see
    `residual_spread`): both come from one solution.
    """
    trust = (coverage / FULL_TRUST).clamp(max=1)
    known = torch.cat([asked - hinted, torch.ones_like(trust)[None]])
    spread = spread_residual(known, trust, lightness)
    residual, reach = spread[:2], spread[2].clamp(0, 1) ** REACH_POWER
    return torch.lerp(elsewhere, hinted, reach) + residual


def _hint_grid(embedding: Embedding, hints: HintTiles | None) -> HintGrid | None:
    """What was painted, on the chroma grid; None where nothing was."""
    if hints is None:
        return None
    grid = rasterize(hints, embedding.height, embedding.width, *embedding.lightness.shape)
    return grid if grid.cells else None


def choose_device(name: str) -> torch.device:
    """The device for `name`; auto takes CUDA, then MPS, then the CPU. Raises NoDevice where it is not there."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, usable in there.items() if usable))
    if not there.get(name.split(":")[0]):
        raise NoDevice(
            f"this machine has no device {name!r}; choose one of {', '.join(k for k, v in there.items() if v)}"
        )
    return torch.device(name)


def release_memory() -> None:
    """Give the memory of a card back to it: PyTorch keeps what freed tensors had, for itself. Without CUDA, nothing."""
    torch.cuda.empty_cache()


def fuse_batch_norms(module: Module) -> Module:
    """Fold every batch norm that follows a convolution in a Sequential into it; the function stays the same."""
    for name, child in list(module.named_children()):
        setattr(module, name, fuse_batch_norms(child))
    if isinstance(module, nn.Sequential):
        parts: list[Any] = list(module)
        for i in range(len(parts) - 1):
            if isinstance(parts[i], nn.Conv2d) and isinstance(parts[i + 1], nn.BatchNorm2d):
                parts[i], parts[i + 1] = fuse_conv_bn_eval(parts[i], parts[i + 1]), nn.Identity()
        for i, part in enumerate(parts):
            module[i] = part
    return module
