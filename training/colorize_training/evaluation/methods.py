"""Ways to colour a picture that are compared: weights through the engine, and baselines without a network."""

import hashlib
import statistics
import time
from abc import ABC, abstractmethod
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from colorize_client import Options
from colorize_client.options import CAUTIOUS
from colorize_engine import weights
from colorize_engine.colorizer import Colorizer, Embedding, Prediction
from colorize_engine.colour import gamut
from colorize_engine.hints import rasterize
from colorize_engine.network_input import NetworkInput
from colorize_engine.networks.served import CHROMA_STRIDE, HINT_PLANES, AutomaticNetwork, ServedNetwork
from colorize_engine.networks.spaces import CIELAB, ChromaSpace
from torch import Tensor

from colorize_training.evaluation.levin import spread_hints
from colorize_training.evaluation.metrics import to_lab
from colorize_training.evaluation.protocols import Painted
from colorize_training.pictures import coloured, gray_of
from colorize_training.recipes import recipe_class

TIMED = 5  # repetitions
TIMED_SIDE = 256


class Method(ABC):
    """One way to colour."""

    space: ChromaSpace = CIELAB  # in which its own error is measured
    takes_hints = True

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def colorize(self, rgb: np.ndarray, hints: Painted) -> np.ndarray:
        """8-bit sRGB (H, W, 3) of the picture's lightness and these hints."""


class Gray(Method):
    """The photograph as it is."""

    takes_hints = False

    def colorize(self, rgb: np.ndarray, hints: Painted) -> np.ndarray:
        return with_chroma(rgb, np.zeros((*rgb.shape[:2], 2), np.float32))


class MeanChroma(Method):
    """Every pixel has the picture's true mean chroma: an oracle that knows the global tint and nothing else."""

    takes_hints = False

    def colorize(self, rgb: np.ndarray, hints: Painted) -> np.ndarray:
        mean = to_lab(rgb)[..., 1:].mean((0, 1))
        return with_chroma(rgb, np.broadcast_to(mean, (*rgb.shape[:2], 2)))


class Levin(Method):
    """Levin et al. 2004."""

    def colorize(self, rgb: np.ndarray, hints: Painted) -> np.ndarray:
        lab, known = to_lab(rgb), np.zeros(rgb.shape[:2], bool)
        ab = np.zeros((*known.shape, 2))
        tiles = hints.tiles()
        for (x, y, w, h), data in zip(tiles.tiles, tiles.data, strict=True):
            pixels, place = np.frombuffer(data, np.uint8).reshape(h, w, 4), np.s_[y : y + h, x : x + w]
            painted = pixels[..., 3] > 0
            known[place] |= painted
            ab[place][painted] = to_lab(pixels[..., :3])[painted, 1:]
        return with_chroma(rgb, spread_hints(lab[..., 0], ab, known))


class Engine:
    """A colorizer that keeps what it saw of the last photograph, as the service does."""

    def __init__(self, colorizer: Colorizer) -> None:
        self.colorizer = colorizer
        self._kept: tuple[bytes, Embedding] | None = None

    def embedding(self, gray: np.ndarray) -> Embedding:
        key = hashlib.blake2b(gray.tobytes(), digest_size=16).digest()
        if self._kept is None or self._kept[0] != key:
            self._kept = key, self.colorizer.set_image(gray)
        return self._kept[1]


class Served(Method):
    """Weights through the engine, with the same options for every picture."""

    def __init__(self, engine: Engine, name: str, options: Options) -> None:
        super().__init__(f"{name} T={options.temperature:g}{' alike' if options.alike else ''}")
        self.engine, self.colorizer, self.options = engine, engine.colorizer, options
        self.space = recipe_class(self.colorizer.record.recipe).space

    def colorize(self, rgb: np.ndarray, hints: Painted) -> np.ndarray:
        return self.paint(gray_of(rgb), hints)

    def paint(self, gray: np.ndarray, hints: Painted) -> np.ndarray:
        """The same of a gray plane (H, W) uint8 or uint16."""
        embedding = self.engine.embedding(gray)
        return coloured(self.colorizer, embedding, self.options, hints.tiles())


class Bare(Method):
    """A network's own cautious answer to all hints at once, without what the engine makes of strokes."""

    def __init__(self, engine: Engine, name: str) -> None:
        super().__init__(name)
        self.engine, self.colorizer = engine, engine.colorizer

    @torch.inference_mode()
    def colorize(self, rgb: np.ndarray, hints: Painted) -> np.ndarray:
        embedding, network = self.engine.embedding(gray_of(rgb)), self.colorizer.network
        output = network.decode(embedding.features, self._planes(embedding, hints))
        height, width = embedding.lightness.shape
        ab = network.chroma(output, CAUTIOUS)[0, :, :height, :width].float()
        prediction = Prediction(ab, 0)
        return np.concatenate([band for _, band in self.colorizer.render(embedding, prediction)])

    def _planes(self, embedding: Embedding, hints: Painted) -> Tensor:
        """Hint planes of the padded picture, on the device."""
        height, width = embedding.lightness.shape
        grid = rasterize(hints.tiles(), embedding.height, embedding.width, height, width)
        planes = torch.zeros(1, HINT_PLANES, *(side // CHROMA_STRIDE for side in embedding.size.padded))
        planes[0, :2, :height, :width] = torch.from_numpy(grid.ab)
        planes[0, 2, :height, :width] = torch.from_numpy(grid.coverage)
        return planes.to(self.colorizer.device)


def takes_hints(network: ServedNetwork) -> bool:
    """Whether the network itself reads hints, so that it has an answer of its own to them."""
    return not isinstance(network, AutomaticNetwork)


def baselines(levin: bool) -> list[Method]:
    """What the results are read against; the first has the name that it has in earlier tables."""
    gray = Gray("grey")  # codespell:ignore grey
    return [gray, MeanChroma("mean chroma"), *([Levin("Levin 2004")] if levin else [])]


def served(
    path: Path, measured: int, temperatures: tuple[float, ...], side: int | None = None, *, alike: bool = False
) -> list[Served]:
    """The weights at each temperature, and once more where hints mean everything `alike`.

    measured: side of the pictures that are measured, which the network's picture has as well; or it has `side`, and 0
    means the weights' own.
    """
    record = weights.read_record(path)
    name = record.name if side is None else f"{record.name} {side or record.side}px"
    record = replace(record, side=measured if side is None else side or record.side)
    engine = Engine(Colorizer.load(record))
    options = [
        Options(temperature=t, alike=meant) for meant in ((False, True) if alike else (False,)) for t in temperatures
    ]
    return [Served(engine, name, each) for each in options]


@torch.inference_mode()
def cost(method: Served, side: int = TIMED_SIDE) -> dict[str, float]:
    """Parameters, bytes of the file, and median milliseconds of encode and decode at side x side pixels."""
    network, device = method.colorizer.network, method.colorizer.device
    height, width = NetworkInput.fit(side, side, side, network.stride).padded
    lightness = torch.rand(1, 1, height, width, device=device) * 100
    hints = torch.zeros(1, HINT_PLANES, height // CHROMA_STRIDE, width // CHROMA_STRIDE, device=device)
    times = []
    for _ in range(TIMED + 1):
        start = _now(device)
        embedding = network.encode(lightness)
        encoded = _now(device)
        network.decode(embedding, hints)
        times.append((encoded - start, _now(device) - encoded))
    encode, decode = (1000 * statistics.median(t[i] for t in times[1:]) for i in (0, 1))
    size, count = method.colorizer.record.path.stat().st_size, sum(p.numel() for p in network.parameters())
    return {"parameters": count, "bytes": size, "encode ms": encode, "decode ms": decode}


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def with_chroma(rgb: np.ndarray, ab: np.ndarray) -> np.ndarray:
    """8-bit sRGB (H, W, 3) with the lightness of `rgb` and this chroma (H, W, 2), as far as sRGB has it."""
    lightness = torch.from_numpy(to_lab(rgb)[..., 0].copy())
    chroma = torch.from_numpy(np.ascontiguousarray(ab.transpose(2, 0, 1), dtype=np.float32))
    return gamut.render_band(lightness, chroma, "rgb8")
