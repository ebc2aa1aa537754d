"""What weights are worth, measured through the engine that serves them, beside two rulers that need no network.

iColoriT's protocol (Yun et al. 2023): pictures squashed to 224 px, hints as 2x2 cells of their true mean colour at
uniform places, L kept, PSNR of the 8-bit RGB per picture, then averaged. The places follow from a seed of the
picture's own, and those of a smaller count are the first of a larger one's.
"""

import csv
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from colorize_client import HintTiles
from colorize_daemon import colour, weights
from colorize_daemon.engine import Colorizer
from tqdm import tqdm

from colorize_training.data import PackedPhotographs
from colorize_training.validation import SIDE, colourfulness, squash

CELL = 2
COUNTS = (0, 1, 2, 5, 10, 20, 50, 100, 200)
CAUTIOUS, DEFAULT = 1.0, 0.4  # temperatures that are measured

Method = Callable[[np.ndarray, HintTiles], np.ndarray]


def evaluate(path: Path, photographs: PackedPhotographs, counts: tuple[int, ...], table: Path | None, most: int) -> int:
    """Print, and write to the CSV file `table`, one line per method and hint count, on the first `most` photographs.

    Returns the exit status.
    """
    record = replace(weights.read_record(path), side=SIDE)
    methods = rulers() | served(Colorizer.load(record))
    scores = {(name, count): [] for name in methods for count in counts}
    for number in tqdm(range(min(most, len(photographs))), desc="evaluating", unit="img"):
        rgb = squash(photographs[number])
        for count in counts:
            hints = cell_hints(rgb, count, number)
            for name, method in methods.items():
                if count == 0 or name not in rulers():
                    scores[name, count].append(_score(method(rgb, hints), rgb))
    rows = list(_rows(scores))
    for row in rows:
        print(" ".join(f"{value:>14}" for value in row))
    if table:
        with open(table, "w", newline="") as file:
            csv.writer(file).writerows(rows)
    return 0


def rulers() -> dict[str, Method]:
    """Grey, and every pixel given the picture's true mean chroma."""
    return {"grey": lambda rgb, _: _recolour(rgb, 0.0), "mean-chroma": lambda rgb, _: _recolour(rgb, None)}


def served(colorizer: Colorizer) -> dict[str, Method]:
    """The engine's result at the cautious and the default temperature."""

    def at(temperature: float) -> Method:
        def colourize(rgb: np.ndarray, hints: HintTiles) -> np.ndarray:
            embedding = colorizer.set_image(_gray(rgb))
            prediction = colorizer.predict(embedding, hints, temperature=temperature)
            return np.concatenate([band for _, band in colorizer.render(embedding, prediction)])

        return colourize

    return {"cautious": at(CAUTIOUS), "default": at(DEFAULT)}


def cell_hints(rgb: np.ndarray, count: int, seed: int) -> HintTiles:
    """`count` cells of 2x2 pixels with the mean colour of rgb (H, W, 3) uint8 there."""
    height, width = rgb.shape[0] // CELL, rgb.shape[1] // CELL
    places = np.random.default_rng([7, seed]).permutation(height * width)[:count]
    tiles, data = [], []
    for y, x in zip(*(CELL * p for p in np.divmod(places, width)), strict=True):
        mean = rgb[y : y + CELL, x : x + CELL].mean((0, 1)).round().astype(np.uint8)
        tiles.append((int(x), int(y), CELL, CELL))
        data.append(bytes((*mean, 255)) * CELL**2)
    return HintTiles(tiles, data)


def _lab(rgb: np.ndarray) -> torch.Tensor:
    return colour.srgb_to_lab(torch.from_numpy(rgb.transpose(2, 0, 1).copy()).float() / 255)


def _gray(rgb: np.ndarray) -> np.ndarray:
    lab = _lab(rgb)
    lab[1:] = 0
    return (colour.lab_to_srgb(lab)[0] * 65535).round().to(torch.int32).numpy().astype(np.uint16)


def _recolour(rgb: np.ndarray, chroma: float | None) -> np.ndarray:
    lab = _lab(rgb)
    ab = lab[1:].mean((1, 2), keepdim=True) if chroma is None else torch.tensor(chroma)
    return colour.render_band(lab[0], ab.expand(2, *rgb.shape[:2]).contiguous(), "rgb8")


def _score(image: np.ndarray, truth: np.ndarray) -> tuple[float, float, float]:
    """PSNR in dB, colourfulness, and the truth's colourfulness."""
    error = np.mean((image.astype(float) - truth) ** 2)
    return float(-10 * np.log10(max(error, 1e-6) / 255**2)), colourfulness(image), colourfulness(truth)


def _rows(scores: dict[tuple[str, int], list]) -> Iterator[tuple]:
    yield "method", "hints", "PSNR dB", "std. error", "colourfulness", "of the truth", "pictures"
    for (name, count), values in scores.items():
        if values:
            psnr, own, true = np.array(values).T
            error = psnr.std() / len(psnr) ** 0.5
            yield name, count, *(f"{v:.2f}" for v in (psnr.mean(), error, own.mean(), true.mean())), len(psnr)
