"""Automatic colours within what people drew: does one thing stay of one colour, and how far is skin off, and clothes.

blotch: root mean square distance (ab units) to the region's mean of chroma that is smoothed within the region, in those
connected drawn regions where the truth's is at most EVEN. neutral: mean C* given where the true one is below NEUTRAL.
error: root mean square ab distance to the truth, in all of the picture and over the pixels of each named label.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from scipy import ndimage
from tqdm import tqdm

from colorize_training.data.decoding import Unusable
from colorize_training.data.picture_source import Picture
from colorize_training.data.things import pieces
from colorize_training.evaluation.drawn import load, made_of
from colorize_training.evaluation.methods import Method
from colorize_training.evaluation.metrics import to_lab
from colorize_training.evaluation.strokes.painting import paint
from colorize_training.evaluation.strokes.table import mean_and_error

EVEN = 5.0  # ab units
NEUTRAL = 4.0  # C* of smoothed chroma
SMALLEST = 0.02  # share of the picture that a drawn region has
SMOOTHED = 2.0  # pixels, sigma of a Gaussian: compression colours single pixels

LabelNames = Mapping[str, Mapping[int, str]]  # by a picture's name without its folder and suffix, then by number


@dataclass(frozen=True)
class Drawn:
    """A photograph (H, W, 3) uint8, its true chroma (H, W, 2), and masks (H, W) bool: of its neutral places, of its
    even regions, of what is named in it."""

    rgb: np.ndarray
    ab: np.ndarray
    neutral: np.ndarray
    even: list[np.ndarray]
    named: dict[str, np.ndarray]


def read_names(path: Path) -> LabelNames:
    """A table whose column `name` holds a label map's file name, and `labels` what its numbers are: 1=skin;2=coat.

    Raises ValueError where it is none.
    """
    found = {}
    with open(path, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            try:
                pairs = [pair.split("=", 1) for pair in row["labels"].split(";") if pair]
                found[PurePath(row["name"]).stem] = {int(number): name for number, name in pairs}
            except (KeyError, ValueError) as error:
                raise ValueError(
                    f"{path} is no table of labels, with columns name and labels as 1=skin;2=coat"
                ) from error
    return found


def find_drawn(sources: Sequence[str | Path], count: int, downloads: Path, names: LabelNames) -> list[Drawn]:
    """Those of `count` pictures of `sources`, evenly spread over them, that have a label map.

    Pictures that cannot be used are named on the terminal. Raises ValueError where none has a label map.
    """
    return made_of(sources, count, downloads, lambda picture: _drawn(picture, names), "areas")


def _drawn(picture: Picture, names: LabelNames) -> Drawn:
    """Raises Unusable where nothing is drawn in the picture, or one of UNREADABLE."""
    rgb, labels = load(picture)
    if labels is None:
        raise Unusable("no label map beside it")
    ab, own = to_lab(rgb)[..., 1:], names.get(PurePath(picture.name).stem, {})
    smooth = ndimage.gaussian_filter(ab, (SMOOTHED, SMOOTHED, 0))
    even = [piece for piece in pieces(labels) if piece.mean() >= SMALLEST and unevenness(ab, piece) <= EVEN]
    named = {text: np.isin(labels, [n for n, t in own.items() if t == text]) for text in sorted(set(own.values()))}
    named = {text: mask for text, mask in named.items() if mask.any()}
    return Drawn(rgb, ab, np.linalg.norm(smooth, axis=-1) < NEUTRAL, even, named)


def unevenness(ab: np.ndarray, mask: np.ndarray) -> float:
    """Root mean square distance of chroma (H, W, 2), smoothed within a mask (H, W) bool, to its mean there."""
    covered = ndimage.gaussian_filter(mask.astype(float), SMOOTHED)[mask]
    inside = ndimage.gaussian_filter(ab * mask[..., None], (SMOOTHED, SMOOTHED, 0))[mask] / covered[:, None]
    return float(np.sqrt(np.square(inside - inside.mean(0)).sum(-1).mean()))


def measure_areas(pictures: Sequence[Drawn], methods: Sequence[Method]) -> list[dict[str, Any]]:
    """A row for each method, the truth first: each measure's mean over pictures (regions for `blotch`), its error."""
    scores: dict[str, list[dict[str, list[float]]]] = {name: [] for name in ("truth", *(m.name for m in methods))}
    for drawn in tqdm(pictures, desc="areas", unit="img"):
        height, width = drawn.rgb.shape[:2]
        scores["truth"].append(_score(drawn, drawn.ab))
        for method in methods:
            image = method.colorize(drawn.rgb, paint(height, width, ()))
            scores[method.name].append(_score(drawn, to_lab(image)[..., 1:]))
    return [{"method": name, "pictures": len(pictures)} | _summary(rows) for name, rows in scores.items()]


def _score(drawn: Drawn, ab: np.ndarray) -> dict[str, list[float]]:
    """Every measure of one picture by name: `blotch` for each even region, the others once or not at all."""
    squared = np.square(ab - drawn.ab).sum(-1)
    errors = {f"error {name}": [float(np.sqrt(squared[mask].mean()))] for name, mask in drawn.named.items()}
    return {
        "blotch": [unevenness(ab, mask) for mask in drawn.even],
        "neutral": [float(np.linalg.norm(ab[drawn.neutral], axis=-1).mean())] if drawn.neutral.any() else [],
        "error": [float(np.sqrt(squared.mean()))],
    } | errors


def _summary(rows: Sequence[dict[str, list[float]]]) -> dict[str, float]:
    summary = {}
    for measure in sorted({name for row in rows for name in row}, key=lambda name: (" " in name, name)):
        values = [value for row in rows for value in row.get(measure, ())]
        summary[measure], summary[f"{measure}_error"] = mean_and_error(values)
        summary[f"{measure}_count"] = len(values)
    return summary
