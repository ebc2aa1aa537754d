"""What strokes are tried on: a photograph, a thing in it, and where a stroke on it lies.

Where a label map lies beside the photograph (`data.things`), a thing is a connected piece of a region that a person
drew; else connected pixels of about one true colour. Everything follows from the photograph's file name, so every
method meets the same strokes.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath

import numpy as np
from scipy import ndimage

from colorize_training.data.decoding import Unusable
from colorize_training.data.picture_source import Picture
from colorize_training.evaluation.drawn import SHORT, load, made_of
from colorize_training.evaluation.metrics import to_lab
from colorize_training.evaluation.strokes.painting import Painting, Place, Stroke, depth, level_stroke, paint

SMALLEST, LARGEST = 0.02, 0.3  # share of the picture that a thing has
ONE_COLOUR = 14.0  # ab distance to the colour of a place within which its neighbours are of one colour
DEEP, LONG = 8.0, 15  # pixels: half the width of a thing at its deepest place, and the length of a stroke there
TRIES = 60  # places that are looked at
BORDER, NEAR = 0.02, 0.1  # of the short side, around a thing: what is left out, and what is near


@dataclass(frozen=True)
class Thing:
    """A mask (H, W) bool, and where the stroke on it lies."""

    mask: np.ndarray
    place: Place


@dataclass(frozen=True)
class Case:
    """A photograph (H, W, 3) uint8 and one or two things in it."""

    name: str
    rgb: np.ndarray
    first: Thing
    second: Thing | None

    @property
    def seed(self) -> int:
        return seed_of(self.name)

    @property
    def digest(self) -> str:
        """Of the picture and its things."""
        digest = hashlib.blake2b(self.rgb.tobytes(), digest_size=16)
        for thing in (self.first, self.second):
            digest.update(thing.mask.tobytes() if thing else b"none")
        return digest.hexdigest()

    @cached_property
    def distance(self) -> np.ndarray:
        """Pixels (H, W) to the first thing."""
        return ndimage.distance_transform_edt(~self.first.mask)

    @property
    def rest(self) -> np.ndarray:
        """All but the first thing and its border, (H, W) bool."""
        return self.distance > BORDER * SHORT

    @property
    def near(self) -> np.ndarray:
        return self.rest & (self.distance <= NEAR * SHORT)

    @property
    def far(self) -> np.ndarray:
        return self.distance > NEAR * SHORT

    def painted(self, *strokes: Stroke) -> Painting:
        """The hint layer with these strokes."""
        height, width = self.rgb.shape[:2]
        return paint(height, width, strokes)


def seed_of(name: str) -> int:
    """Of a photograph, by its file's name without the folder."""
    return sum(map(ord, PurePath(name).name))


def find_cases(sources: Sequence[str | Path], count: int, downloads: Path) -> list[Case]:
    """Up to `count` cases of `sources` (see data.data_option), of every n-th of their pictures.

    Pictures that cannot be used are named on the terminal. Raises ValueError where none can, FileNotFoundError.
    """
    return made_of(sources, count, downloads, case_of, "strokes")


def case_of(picture: Picture) -> Case:
    """The case of a picture. Raises Unusable where no thing is found in it, or one of UNREADABLE."""
    rgb, labels = load(picture)
    rng, ab = np.random.default_rng(seed_of(picture.name)), to_lab(rgb)[..., 1:]
    first = find_thing(ab, rng, np.zeros(rgb.shape[:2], bool), labels)
    if first is None:
        raise Unusable(
            f"no thing for a stroke: a connected region of {SMALLEST:.0%} to {LARGEST:.0%} of the picture that is "
            f"{2 * DEEP:g} pixels wide (of a picture whose short side is {SHORT})"
        )
    return Case(picture.name, rgb, first, find_thing(ab, rng, first.mask, labels))


def find_thing(
    ab: np.ndarray, rng: np.random.Generator, taken: np.ndarray, labels: np.ndarray | None = None
) -> Thing | None:
    """A thing beside what is `taken` (H, W) in a picture of this chroma (H, W, 2), both sides even; None: none found.

    labels: (H, W), numbers of regions that a person drew, 0 where there is none; None for things of one colour.
    """
    small = ab[::2, ::2]
    for _ in range(TRIES):
        y, x = rng.integers(2, small.shape[0] - 2), rng.integers(2, small.shape[1] - 2)
        mask = _of_one_colour(small, y, x) if labels is None else _of_one_label(labels, 2 * y, 2 * x)
        if mask is None or not SMALLEST < mask.mean() < LARGEST or (mask & taken).any() or depth(mask).max() < DEEP:
            continue
        place = level_stroke(mask)
        if place[1].stop - place[1].start >= LONG:
            return Thing(mask, place)
    return None


def _of_one_colour(small: np.ndarray, y: int, x: int) -> np.ndarray:
    """(2 h, 2 w) of chroma (h, w, 2): what hangs together with a place and has about its colour."""
    parts, _ = ndimage.label(np.linalg.norm(small - small[y, x], axis=-1) < ONE_COLOUR)
    return (parts == parts[y, x]).repeat(2, 0).repeat(2, 1)


def _of_one_label(labels: np.ndarray, y: int, x: int) -> np.ndarray | None:
    if not labels[y, x]:
        return None
    parts, _ = ndimage.label(labels == labels[y, x])
    return parts == parts[y, x]
