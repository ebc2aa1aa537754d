"""The colour service with a small engine of its own, as a program: real sockets, no network.

Its chroma is a smooth function of lightness inside the sRGB gamut, so a test knows what to expect. `fragile-*` models
end the process once or always, in the middle of the bands.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from colorize_client import HintTiles, Options
from colorize_client.errors import BadPicture
from colorize_daemon import main as service
from colorize_daemon.model_store import ModelStore
from colorize_engine.colour.constants import AB16_SCALE
from colorize_engine.colour.rows import linear_table

BAND_ROWS = 32
WARMTH = 8.0  # a and b at middle lightness
PICKY_WIDTH = 33  # the picture that the default model refuses
SLOW_SECONDS = 30.0
STATE = Path(os.environ["GIMP_COLORIZE_STATE"])


def lightness(gray: np.ndarray) -> np.ndarray:
    y = linear_table(int(np.iinfo(gray.dtype).max) + 1)[gray]
    return np.where(y > (6 / 29) ** 3, 116.0 * np.cbrt(y) - 16.0, y * 903.3)


@dataclass(frozen=True)
class Record:
    name: str
    title: str = "Test colours"
    recipe: str = "test"
    path: Path = Path("/nowhere/test.safetensors")
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
    hint_cells: int


class Engine:
    device = "cpu"

    def __init__(self, name: str) -> None:
        self.name = name

    def set_image(self, gray: np.ndarray, check: Callable[[], None]) -> Embedding:
        if gray.shape[1] == PICKY_WIDTH:
            raise BadPicture("the test wants this one refused")
        return Embedding(gray.copy())

    def predict(
        self,
        embedding: Embedding,
        hints: HintTiles | None,
        options: Options,
        check: Callable[[], None],
    ) -> Prediction:
        painted = sum(int((np.frombuffer(tile, np.uint8)[3::4] > 0).sum()) for tile in hints.data) if hints else 0
        return Prediction(options.saturation, painted)

    def render(
        self, embedding: Embedding, prediction: Prediction, layout: str, check: Callable[[], None]
    ) -> Iterator[tuple[int, np.ndarray]]:
        for y in range(0, embedding.height, BAND_ROWS):
            check()
            light = lightness(embedding.gray[y : y + BAND_ROWS])
            chroma = prediction.saturation * WARMTH * light * (100.0 - light) / 2500.0
            yield y, np.round(AB16_SCALE * np.stack([chroma, chroma], axis=-1)).astype("<i2")
            self._misbehave(check)

    def _misbehave(self, check: Callable[[], None]) -> None:
        if self.name == "slow":
            until = time.monotonic() + SLOW_SECONDS
            while time.monotonic() < until:
                check()
                time.sleep(0.05)
        mark = STATE / "fell"
        if self.name == "fragile-always" or (self.name == "fragile-once" and not mark.exists()):
            mark.touch()
            os._exit(9)


def make_store(options: argparse.Namespace) -> ModelStore:
    names = ("test", "slow", "fragile-once", "fragile-always")
    records = [Record(name, sha256=f"{number:064x}", default=name == "test") for number, name in enumerate(names)]
    return ModelStore(lambda: records, lambda record: Engine(record.name))


if __name__ == "__main__":
    sys.exit(service.main(make_store=make_store))
