"""Photographs with the label maps that people drew (see `data.things`), as they are measured on."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from colorize_training.data.data_option import source_of
from colorize_training.data.decoding import Unusable
from colorize_training.data.picture_source import Picture

SHORT = 320  # pixels of the photograph's short side


def every_nth(sources: Sequence[str | Path], count: int, downloads: Path) -> Iterator[Picture]:
    """At most `count` pictures of `sources` (see data.data_option), evenly spread over them."""
    step = max(1, sum(1 for _ in _pictures(sources, downloads)) // count)
    return islice(_pictures(sources, downloads), 0, count * step, step)


def _pictures(sources: Sequence[str | Path], downloads: Path) -> Iterator[Picture]:
    for source in sources:
        yield from source_of(source).pictures(downloads)


def load(picture: Picture) -> tuple[np.ndarray, np.ndarray | None]:
    """RGB (H, W, 3) uint8 with the short side SHORT, both sides even, and its labels (H, W) where it has a label map.

    Raises Unusable, or one of UNREADABLE.
    """
    image = picture.load()
    scale = SHORT / min(image.size)
    width, height = (2 * round(side * scale / 2) for side in image.size)
    reduced = image.resize((width, height), Image.Resampling.LANCZOS)
    labels = None if picture.label_map is None else _labels(picture.label_map(), image.size, reduced.size)
    return np.asarray(reduced), labels


def _labels(label_map: Image.Image, photograph: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """The numbers (H, W) of a label map of a `photograph` (width, height) that was brought to `size`."""
    if label_map.size != photograph:
        (w, h), (own_w, own_h) = photograph, label_map.size
        raise Unusable(f"a label map of {own_w}x{own_h} pixels, but its photograph has {w}x{h}")
    numbers = Image.fromarray(np.asarray(label_map).astype(np.int32))  # of a palette's picture, the numbers
    return np.asarray(numbers.resize(size, Image.Resampling.NEAREST))


def pieces_of(mask: np.ndarray, smallest: float) -> Iterator[np.ndarray]:
    """The connected pieces (H, W) bool of a mask that have at least this share of the picture."""
    parts, count = ndimage.label(mask)
    for number in range(1, count + 1):
        piece = parts == number
        if piece.mean() >= smallest:
            yield piece
