"""The engine: `set_image` once, `predict` as often as hints change, `render` to full size.

This is the one border between arrays and tensors; networks know nothing of requests, requests nothing of networks.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from colorize_client import HintTiles
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from colorize_engine import weights
from colorize_engine.colour.conversions import gray_to_lightness
from colorize_engine.guided_lift import GuidedLift, render_bands
from colorize_engine.hints import HintGrid, rasterize
from colorize_engine.network_input import Frame, reduce_gray
from colorize_engine.networks.served import CHROMA_STRIDE, ServedNetwork
from colorize_engine.residual_spread import spread_residual
from colorize_engine.weights import WeightsRecord

FULL_TRUST = 0.05  # coverage of a chroma cell from which its hint is obeyed to the full; a thin stroke covers little
# ab distance from what the network expected at which a hint says nothing of other things. On validation pictures, hints
# of true colours gain 0.3 dB at 1 and 5 by what they say of the rest; strokes of four odd colours lose their leak.
SURPRISE = 35.0
GREY = 2.0  # C* below which a hint means "keep this grey", and nothing of the rest
# Power of the reach within which a surprising hint counts. Against 1, 1.5 takes a fifth off what an odd stroke changes
# far away, and 0.05 dB off hints of true colours.
REACH_POWER = 1.5
CAUTIOUS = 1.0  # temperature of what the network expects

Check = Callable[[], None]


def _no_check() -> None:
    """For callers that never stop a step."""


@dataclass(frozen=True)
class Embedding:
    """A photograph as the engine keeps it.

    gray: the plane (H, W) uint8 or uint16 that came; features: the network's embedding; plain: the network's
    output where there are no hints; lightness: L (h, w) on the chroma grid; frame: how the photograph lies in the
    network's picture.
    """

    gray: np.ndarray
    features: tuple[Tensor, ...]
    plain: tuple[Tensor, ...]
    lightness: Tensor
    frame: Frame

    @property
    def height(self) -> int:
        return self.gray.shape[0]

    @property
    def width(self) -> int:
        return self.gray.shape[1]

    @property
    def nbytes(self) -> int:
        return self.gray.nbytes + sum(t.nbytes for t in (*self.features, *self.plain, self.lightness))


@dataclass(frozen=True)
class Prediction:
    """ab (2, h, w) on the chroma grid, and the number of its cells that hints cover."""

    ab: Tensor
    hint_cells: int


class Colorizer:
    """A network on a device, ready for photographs."""

    def __init__(self, network: ServedNetwork, record: WeightsRecord, device: torch.device) -> None:
        self.record, self.device = record, device
        self.network = fuse_batch_norms(network).to(device, memory_format=torch.channels_last)

    @classmethod
    def load(cls, record: WeightsRecord, device: str = "auto") -> "Colorizer":
        """Check and load the weights of `record`.

        device: auto, cuda, mps or cpu. Raises weights.BadWeights, ValueError.
        """
        return cls(weights.load(record), record, choose_device(device))

    @torch.inference_mode()
    def set_image(self, gray: np.ndarray, check: Check = _no_check) -> Embedding:
        """Encode a photograph, gray (H, W) uint8 or uint16 of sRGB-encoded luminance; the heavy step."""
        frame = Frame.fit(*gray.shape, self.record.side, self.network.stride)
        reduced = reduce_gray(gray, frame.height, frame.width)
        levels = (reduced[0, 0] * 65535).round().to(torch.int32).numpy().astype(np.uint16)
        lightness = gray_to_lightness(levels)[None, None]  # (1, 1, height, width)
        check()
        features = self.network.encode(frame.pad(lightness).to(self.device))
        check()
        plain = self.network.decode(features, self._hint_planes(frame))
        grid = nn.functional.avg_pool2d(lightness, CHROMA_STRIDE)[0, 0]
        return Embedding(gray, features, plain, grid.to(self.device), frame)

    @torch.inference_mode()
    def predict(
        self,
        embedding: Embedding,
        hints: HintTiles | None = None,
        saturation: float = 1.0,
        temperature: float = 0.4,
        check: Check = _no_check,
    ) -> Prediction:
        """Chroma for hints and options; the light step.

        saturation scales what the network chose, not the colours that were asked for. temperature: 1 is cautious,
        lower is more vivid.
        """
        grid = _hint_grid(embedding, hints)
        check()
        plain = self._chroma(embedding, embedding.plain, saturation, temperature)
        if grid is None:
            return Prediction(plain, 0)
        asked, coverage = (torch.from_numpy(plane).to(self.device) for plane in (grid.ab, grid.coverage))

        def answer(coverage: Tensor) -> Tensor:
            output = self.network.decode(embedding.features, self._hint_planes(embedding.frame, asked, coverage))
            return self._chroma(embedding, output, saturation, temperature)

        hinted, beyond = answer(coverage), plain
        check()
        news = _news(asked, self._chroma(embedding, embedding.plain, 1.0, CAUTIOUS), coverage)
        told = torch.where(news > 0, coverage, 0)
        if told.any():
            heard = hinted if torch.equal(told, coverage) else answer(told)
            beyond = torch.lerp(plain, heard, news[news > 0].mean())
            check()
        return Prediction(_obey(asked, coverage, beyond, hinted, embedding.lightness), grid.cells)

    @torch.inference_mode()
    def render(
        self, embedding: Embedding, prediction: Prediction, layout: str = "rgb8", check: Check = _no_check
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Row bands (y, array) from top to bottom of the photograph with this chroma at full size.

        layout: rgb8 (rows, W, 3) uint8 or rgb16 uint16, sRGB-encoded with the photograph's own L; ab16 (rows, W, 2)
        int16, 256 steps per unit of ab.
        """
        lift = GuidedLift(embedding.lightness.cpu(), prediction.ab.cpu(), embedding.height, embedding.width)
        for y, band in render_bands(lift, embedding.gray, layout):
            check()
            yield y, band

    def _chroma(self, embedding: Embedding, output: Any, saturation: float, temperature: float) -> Tensor:
        """ab (2, h, w) on the chroma grid, without the frame's padding."""
        height, width = embedding.lightness.shape
        return self.network.chroma(output, temperature)[0, :, :height, :width].float() * saturation

    def _hint_planes(self, frame: Frame, ab: Tensor | None = None, coverage: Tensor | None = None) -> Tensor:
        """Hint planes (1, 3, h, w) of the padded picture, on the device."""
        height, width = (side // CHROMA_STRIDE for side in frame.padded)
        planes = torch.zeros(1, 3, height, width, device=self.device)
        if coverage is not None:
            h, w = coverage.shape
            planes[0, :2, :h, :w], planes[0, 2, :h, :w] = ab * (coverage > 0), coverage
        return planes


def _news(asked: Tensor, expected: Tensor, coverage: Tensor) -> Tensor:
    """How much the hint in a cell says of the rest of the picture, 0..1.

    A person who paints the grass in a green that the network held likely tells it about the light, and about other
    grass; one who paints a saucer red means the saucer, and one who paints a wall grey means the wall.
    """
    surprise = (asked - expected).norm(dim=0) / SURPRISE
    return (1 - surprise.square()).clamp(min=0) * ((coverage > 0) & (asked.norm(dim=0) > GREY))


def _obey(asked: Tensor, coverage: Tensor, beyond: Tensor, hinted: Tensor, lightness: Tensor) -> Tensor:
    """ab (2, h, w): `hinted` as far as the strokes reach, `beyond` elsewhere, and what was asked for under them.

    The network takes a stroke for news about the whole picture; the person may have meant one thing. So its answer to
    all hints counts in full where a stroke lies, and fades across the edges of lightness as the residual does (see
    `spread`): both come from one solution.
    """
    trust = (coverage / FULL_TRUST).clamp(max=1)
    known = torch.cat([asked - hinted, torch.ones_like(trust)[None]])
    spread = spread_residual(known, trust, lightness)
    return torch.lerp(beyond, hinted, spread[2].clamp(0, 1) ** REACH_POWER) + spread[:2]


def _hint_grid(embedding: Embedding, hints: HintTiles | None) -> HintGrid | None:
    """What was painted, on the chroma grid; None where nothing was."""
    if hints is None:
        return None
    grid = rasterize(hints, embedding.height, embedding.width, *embedding.lightness.shape)
    return grid if grid.cells else None


def choose_device(name: str) -> torch.device:
    """The device for `name`; auto takes CUDA, then MPS, then the CPU. Raises ValueError where it is not there."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, usable in there.items() if usable))
    if not there.get(name.split(":")[0]):
        raise ValueError(
            f"this machine has no device {name!r}; choose one of {', '.join(k for k, v in there.items() if v)}"
        )
    return torch.device(name)


def fuse_batch_norms(module: nn.Module) -> nn.Module:
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
