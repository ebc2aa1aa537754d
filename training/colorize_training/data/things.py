"""Things in photographs, as people drew them: label maps beside pictures, and the masks that are taken from them.

A label map is a PNG of one channel with the name and the size of the photograph beside which it lies: `beach.png` of
`beach.jpg`. Its values number what it shows, and 0 is what has no label. A label may be several things, such as both
shoes, so its connected pieces are what is learned from.
"""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image
from scipy import ndimage

from colorize_training.data.decoding import UNREADABLE, Unusable

LABEL_MODES = {"1", "L", "P", "I", "I;16"}  # of Pillow: one channel of whole numbers
SUFFIX = ".png"
SMALLEST, LARGEST = 0.004, 0.6  # share of the photograph's area that a thing has
PIECES = 4  # of one label, the largest
MASK_STRIDE = 2  # photograph's pixels for one of a mask's

LabelMap = Callable[[], Image.Image]


def is_label_map(file: Path | IO[bytes]) -> bool:
    """Whether this file could be one, as its header says."""
    try:
        with open_label_map(file) as image:
            return image.mode in LABEL_MODES
    except UNREADABLE:
        return False


def open_label_map(file: Path | IO[bytes]) -> Image.Image:
    """Not yet decoded. Raises one of UNREADABLE."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Pillow: odd metadata, and sizes, which `masks_of` compares
        return Image.open(file)


def masks_of(label_map: Image.Image, photograph: tuple[int, int], width: int, height: int) -> np.ndarray:
    """Masks (M, height // 2, width // 2), largest first, of a photograph (width, height) reduced to width x height.

    Raises Unusable where the label map is of another size than the photograph was.
    """
    if label_map.size != photograph:
        (w, h), (own_w, own_h) = photograph, label_map.size
        raise Unusable(f"a label map of {own_w}x{own_h} pixels, but its photograph has {w}x{h}")
    size = (width // MASK_STRIDE, height // MASK_STRIDE)
    labels = np.asarray(label_map).astype(np.int32)  # of a palette's picture, the numbers
    return pieces(np.asarray(Image.fromarray(labels).resize(size, Image.Resampling.NEAREST)))


def pieces(labels: np.ndarray) -> np.ndarray:
    """Connected pieces (M, h, w) bool of a label map (h, w), largest first: those neither too small nor too large."""
    found: list[np.ndarray] = []
    for value in np.unique(labels[labels != 0]):
        parts, _ = ndimage.label(labels == value)
        sizes = np.bincount(parts.ravel())[1:]
        for number in np.argsort(-sizes, kind="stable")[:PIECES]:
            if SMALLEST <= sizes[number] / labels.size <= LARGEST:
                found.append(parts == number + 1)
    found.sort(key=lambda mask: -int(mask.sum()))
    return np.stack(found) if found else np.zeros((0, *labels.shape), bool)
