"""A small honest engine for tests of the service: paints a colour that the test can compute itself from the gray plane.

Red is raised and blue lowered by `TINT * saturation`; hints replace the colour of their own pixels. Models with other
names misbehave on purpose, one way each.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from colorize_client import HintTiles
from colorize_client.errors import BadWeights
from colorize_daemon.model_store import ModelStore

TINT = 20
BAND_ROWS = 64
SLOW_STEPS = 600  # of a twentieth of a second each


@dataclass(frozen=True)
class Record:
    name: str
    title: str = "Stand-in"
    recipe: str = "standin"
    path: Path = Path("/nowhere/standin.safetensors")
    sha256: str = "0" * 64
    licence: str = "CC0-1.0"
    default: bool = False
    card: str = "# Model card: for tests"


@dataclass
class Embedding:
    gray: np.ndarray

    @property
    def nbytes(self) -> int:
        return self.gray.nbytes

    @property
    def height(self) -> int:
        return self.gray.shape[0]

    @property
    def width(self) -> int:
        return self.gray.shape[1]


@dataclass
class Prediction:
    saturation: float
    hints: HintTiles | None
    hint_cells: int = field(init=False)

    def __post_init__(self) -> None:
        self.hint_cells = len(self.hints.tiles) if self.hints else 0


def paint(
    gray: np.ndarray, layout: str, saturation: float = 1.0, hints: HintTiles | None = None, top: int = 0
) -> np.ndarray:
    """The colours (H, W, channels) of rows of gray that begin at row `top` of the picture."""
    if layout == "ab16":
        return np.full((*gray.shape, 2), 256 * TINT * saturation, "<i2")
    eight = (gray if gray.dtype == np.uint8 else gray // 257).astype(np.int16)
    tint = int(TINT * saturation)
    picture = np.stack([eight + tint, eight, eight - tint], axis=-1).clip(0, 255).astype(np.uint8)
    for (x, y, w, h), pixels in zip(hints.tiles, hints.data, strict=True) if hints else ():
        _obey(picture, x, y - top, np.frombuffer(pixels, np.uint8).reshape(h, w, 4))
    return picture if layout == "rgb8" else picture.astype("<u2") * 257


def _obey(picture: np.ndarray, x: int, y: int, painted: np.ndarray) -> None:
    painted = painted[max(0, -y) : max(0, picture.shape[0] - y)]
    part = picture[max(0, y) : max(0, y) + painted.shape[0], x : x + painted.shape[1]]
    opaque = painted[..., 3] > 0
    part[opaque] = painted[opaque][:, :3]


class StandIn:
    device = "cpu"

    def __init__(self, name: str) -> None:
        self.name = name

    def set_image(self, gray, check):
        if self.name == "slow":
            for _ in range(SLOW_STEPS):
                check()
                time.sleep(0.05)
        if self.name == "deaf":
            time.sleep(3600)
        if self.name == "faulty":
            raise RuntimeError("a fault in the engine")
        if self.name == "hungry":
            raise MemoryError("no more")
        return Embedding(gray)

    def predict(self, embedding, hints, options, check):
        return Prediction(options.saturation, hints)

    def render(self, embedding, prediction, layout, check):
        for y in range(0, embedding.height, BAND_ROWS):
            check()
            if self.name == "slow-bands":
                time.sleep(0.05)
            rows = embedding.gray[y : y + BAND_ROWS]
            yield y, paint(rows, layout, prediction.saturation, prediction.hints, y)


NAMES = ("standin", "slow", "slow-bands", "deaf", "faulty", "hungry", "damaged")


def make_store(options: object = None) -> ModelStore:
    records = [Record(name, sha256=f"{number:064x}", default=name == "standin") for number, name in enumerate(NAMES)]

    def load(record: Record) -> StandIn:
        if record.name == "damaged":
            raise BadWeights("the hash differs")
        return StandIn(record.name)

    return ModelStore(lambda: records, load)
