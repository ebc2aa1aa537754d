"""Photographs with the label maps that people drew (see `data.things`), as they are measured on."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image
from tqdm import tqdm

from colorize_training.data.data_option import source_of
from colorize_training.data.decoding import UNREADABLE, Skipped, Unusable, check_colour
from colorize_training.data.picture_source import Picture

Made = TypeVar("Made")

SHORT = 320  # pixels of the photograph's short side


def made_of(
    sources: Sequence[str | Path], count: int, downloads: Path, make: Callable[[Picture], Made], purpose: str
) -> list[Made]:
    """What `make` makes of at most `count` pictures of `sources` (see data.data_option), evenly spread over them.

    Pictures of which it raises one of UNREADABLE are named on the terminal. Raises ValueError where none is left,
    FileNotFoundError.
    """
    skipped, made = Skipped(), []
    step = max(1, sum(1 for _ in _pictures(sources, downloads)) // count)
    chosen = islice(_pictures(sources, downloads), 0, count * step, step)
    for picture in tqdm(chosen, desc=f"reading for {purpose}", unit="img"):
        try:
            made.append(make(picture))
        except UNREADABLE as error:
            skipped.note(picture.name, error)
    if not made:
        raise ValueError(f"no picture for {purpose} in {', '.join(map(str, sources))}\n{skipped}")
    if skipped.reasons:
        print(f"{purpose}: {skipped}", flush=True)
    return made


def _pictures(sources: Sequence[str | Path], downloads: Path) -> Iterator[Picture]:
    for source in sources:
        yield from source_of(source).pictures(downloads)


def load(picture: Picture) -> tuple[np.ndarray, np.ndarray | None]:
    """RGB (H, W, 3) uint8 with the short side SHORT, both sides even, and its labels (H, W) where it has a label map.

    Raises Unusable where it is gray, or the label map of another size; or one of UNREADABLE.
    """
    image = picture.load()
    scale = SHORT / min(image.size)
    width, height = (2 * round(side * scale / 2) for side in image.size)
    reduced = image.resize((width, height), Image.Resampling.LANCZOS)
    rgb = np.asarray(reduced)
    check_colour(rgb)
    labels = None if picture.label_map is None else _labels(picture.label_map(), image.size, reduced.size)
    return rgb, labels


def _labels(label_map: Image.Image, photograph: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """The numbers (H, W) of a label map of a `photograph` (width, height) that was brought to `size`."""
    if label_map.size != photograph:
        (w, h), (own_w, own_h) = photograph, label_map.size
        raise Unusable(f"a label map of {own_w}x{own_h} pixels, but its photograph has {w}x{h}")
    numbers = Image.fromarray(np.asarray(label_map).astype(np.int32))  # of a palette's picture, the numbers
    return np.asarray(numbers.resize(size, Image.Resampling.NEAREST))
