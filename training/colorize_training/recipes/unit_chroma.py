"""What the recipes that learn chroma as 0..1 have in common: their samples."""

from typing import NamedTuple

import numpy as np
from colorize_engine.colour.conversions import srgb_to_lab
from colorize_engine.networks.spaces import ChromaSpace
from torch import Tensor

from colorize_training.data import planes, squash


class Batch(NamedTuple):
    """lightness (B, 1, H, W) in 0..100 of CIELAB; chroma (B, 2, H, W), the truth in the recipe's space as 0..1."""

    lightness: Tensor
    chroma: Tensor


def squashed_sample(photograph: np.ndarray, size: int, space: ChromaSpace) -> Batch:
    """One photograph (H, W, 3) uint8 squashed to a square, without a batch axis."""
    rgb = planes(squash(photograph, size))[None]
    return Batch(srgb_to_lab(rgb)[0, :1], space.from_srgb(rgb)[1][0])
