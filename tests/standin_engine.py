"""A small honest engine for tests of the service and the command line: its colours are those that a test can compute.

Chroma is a smooth function of lightness inside the sRGB gamut, RGB has that chroma and the lightness of the photograph.
There hints replace the colour of their own pixels, less those that are kept. Models with other names
misbehave on purpose, one way each.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from colorize_client import HintTiles, Options, paths
from colorize_client.errors import BadPicture, BadWeights
from colorize_daemon.model_store import ModelStore
from colorize_engine.colour.constants import AB16_SCALE
from colorize_engine.colour.rows import linear_table
from reference_colour import merge

WARMTH = 8.0  # a and b at middle lightness
BAND_ROWS = 64
SLOW_STEPS = 600  # of a twentieth of a second each
REFUSED_WIDTH, DEADLY_WIDTH = 33, 35  # of pictures, in columns
CRASHED = "crashed"  # a file in the service's folder once "crash-once" has crashed

Check = Callable[[], None]


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
    changed: int = 0


@dataclass
class Embedding:
    gray: np.ndarray

    @property
    def nbytes(self) -> int:
        return self.gray.nbytes

    def rest(self) -> None:
        """There is nothing to forget."""

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
    kept: HintTiles | None

    @property
    def hint_cells(self) -> int:
        """Painted pixels: this engine has no coarser cells."""
        tiles = self.hints.data if self.hints else ()
        return sum(int((np.frombuffer(tile, np.uint8)[3::4] > 0).sum()) for tile in tiles)


def paint(
    gray: np.ndarray,
    layout: str,
    saturation: float = 1.0,
    hints: HintTiles | None = None,
    top: int = 0,
    kept: HintTiles | None = None,
) -> np.ndarray:
    """The colours (H, W, channels) of rows of gray that begin at row `top` of the picture."""
    light = lightness(gray)
    chroma = saturation * WARMTH * light * (100.0 - light) / 2500.0
    ab = np.round(AB16_SCALE * np.stack([chroma, chroma], axis=-1)).astype("<i2")
    if layout == "ab16":
        return ab
    dtype = np.dtype("<u2" if layout == "rgb16" else "u1")
    plain = merge(gray, ab, dtype)
    picture = plain.copy()
    for place, painted in _tiles(hints, top):
        part, there = _common(picture, painted, *place)
        part[there[..., 3] > 0] = there[there[..., 3] > 0][:, :3].astype(dtype) * (257 if layout == "rgb16" else 1)
    for place, painted in _tiles(kept, top):
        part, there = _common(picture, painted, *place)
        unhinted, _ = _common(plain, painted, *place)
        part[there[..., 3] > 0] = unhinted[there[..., 3] > 0]
    return picture


def lightness(gray: np.ndarray) -> np.ndarray:
    """L (H, W) in 0..100 of an encoded gray plane."""
    y = linear_table(int(np.iinfo(gray.dtype).max) + 1)[gray]
    return np.where(y > (6 / 29) ** 3, 116.0 * np.cbrt(y) - 16.0, y * 903.3)


def _tiles(tiles: HintTiles | None, top: int) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
    """The place (x, y) of each tile in rows that begin at `top`, and its pixels (h, w, 4)."""
    for (x, y, w, h), pixels in zip(tiles.tiles, tiles.data, strict=True) if tiles else ():
        yield (x, y - top), np.frombuffer(pixels, np.uint8).reshape(h, w, 4)


def _common(picture: np.ndarray, tile: np.ndarray, x: int, y: int) -> tuple[np.ndarray, np.ndarray]:
    """What the rows of a picture and a tile at x, y have in common: the part of each."""
    tile = tile[max(0, -y) : max(0, picture.shape[0] - y)]
    return picture[max(0, y) : max(0, y) + tile.shape[0], x : x + tile.shape[1]], tile


class StandIn:
    device = "cpu"

    def __init__(self, name: str) -> None:
        self.name = name

    def set_image(self, gray: np.ndarray, check: Check) -> Embedding:
        if gray.shape[1] == REFUSED_WIDTH:
            raise BadPicture("the test wants this one refused")
        if gray.shape[1] == DEADLY_WIDTH:
            os._exit(9)
        if self.name == "slow":
            _wait(check)
        if self.name == "deaf":
            time.sleep(3600)
        if self.name == "faulty":
            raise RuntimeError("an error in the engine")
        if self.name == "hungry":
            raise MemoryError("no more")
        return Embedding(gray)

    def predict(
        self,
        embedding: Embedding,
        hints: HintTiles | None,
        options: Options,
        check: Check,
        kept: HintTiles | None = None,
        draft: bool = False,
    ) -> Prediction:
        return Prediction(options.saturation, hints, kept)

    def render(
        self, embedding: Embedding, prediction: Prediction, layout: str, check: Check
    ) -> Iterator[tuple[int, np.ndarray]]:
        for y in range(0, embedding.height, BAND_ROWS):
            check()
            if self.name == "slow-bands":
                time.sleep(0.05)
            rows = embedding.gray[y : y + BAND_ROWS]
            yield y, paint(rows, layout, prediction.saturation, prediction.hints, y, prediction.kept)
            self._fail_after_a_band(check)

    def _fail_after_a_band(self, check: Check) -> None:
        if self.name == "slow-after-a-band":
            _wait(check)
        mark = Path(os.environ[paths.STATE_VARIABLE]) / CRASHED
        if self.name == "crash-always" or (self.name == "crash-once" and not mark.exists()):
            mark.touch()
            os._exit(9)


def _wait(check: Check) -> None:
    for _ in range(SLOW_STEPS):
        check()
        time.sleep(0.05)


NAMES = (
    *("standin", "slow", "slow-bands", "slow-after-a-band", "deaf", "faulty", "hungry", "damaged"),
    *("crash-once", "crash-always"),
)


def make_store(options: object = None) -> ModelStore:
    records = [Record(name, sha256=f"{number:064x}", default=name == "standin") for number, name in enumerate(NAMES)]

    def load(record: Record) -> StandIn:
        if record.name == "damaged":
            raise BadWeights("the hash differs")
        return StandIn(record.name)

    return ModelStore(lambda: records, load)
