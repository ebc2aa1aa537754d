"""How hints are simulated for measuring: which picture, where the hints lie, what they say."""

import typing
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from colorize_client import HintTiles

from colorize_training.data import squash


class Painted(typing.Protocol):
    """Anything that could lie on a hint layer."""

    def tiles(self) -> HintTiles: ...


class Hints(NamedTuple):
    """Squares of `side` pixels at places (N, 2), top and left, each of one colour (N, 3) uint8 sRGB."""

    places: np.ndarray
    side: int
    colours: np.ndarray

    def tiles(self) -> HintTiles:
        """As a user would have painted them."""
        boxes = [(int(x), int(y), self.side, self.side) for y, x in self.places]
        return HintTiles(boxes, [bytes((*colour, 255)) * self.side**2 for colour in self.colours.tolist()])


class Protocol(NamedTuple):
    """size: of the squashed picture; counts: of hints, by default; places(size, seed, count) -> (N, 2)."""

    name: str
    size: int
    side: int
    counts: tuple[int, ...]
    places: Callable[[int, int, int], np.ndarray]

    def picture(self, photograph: np.ndarray) -> np.ndarray:
        """RGB (size, size, 3) uint8."""
        return squash(photograph, self.size)

    def hints(self, rgb: np.ndarray, count: int, seed: int) -> Hints:
        """`count` hints with the mean colour of the picture under them; a smaller count's are the first of these."""
        places = self.places(self.size, seed, count)
        means = [rgb[y : y + self.side, x : x + self.side].mean((0, 1)) for y, x in places]
        return Hints(places, self.side, np.array(means).round().astype(np.uint8).reshape(-1, 3))


def _uniform_cells(size: int, seed: int, count: int) -> np.ndarray:
    """Cells of a grid of 2x2 pixels, none twice."""
    cells = size // 2
    chosen = np.random.default_rng([7, seed]).permutation(cells**2)[:count]
    return 2 * np.stack(np.divmod(chosen, cells), -1)


def _central_patches(size: int, seed: int, count: int) -> np.ndarray:
    """Places around the middle, normally distributed with a quarter of the side."""
    rng = np.random.default_rng([11, seed])
    places = rng.normal(size / 2, size / 4, (count, 2)).round().astype(int)
    return places.clip(0, size - PATCH)


PATCH = 6  # pixels
PROTOCOLS = {
    # Yun et al. 2023
    "icolorit": Protocol("icolorit", 224, 2, (0, 1, 2, 5, 10, 20, 50, 100, 200), _uniform_cells),
    # Zhang et al. 2017, as its published curve was measured: 256 pixels, patches of 6x6
    "patch": Protocol("patch", 256, PATCH, (0, 1, 2, 5, 10, 20, 50, 100), _central_patches),
}
