"""What is cut from a photograph, and its planes as tensors."""

from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def draw_crop(photograph: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """A random square (size, size, 3) of the photograph: aspect jittered by up to 1.25, mirrored half of the time.

    The square covers between two thirds and the whole of the short side; smaller photographs are enlarged.
    """
    height, width = photograph.shape[:2]
    side = min(height, width) * rng.uniform(0.67, 1.0)
    stretch = np.exp(rng.uniform(-0.22, 0.22))
    h, w = min(height, side * min(1.0, stretch)), min(width, side / max(1.0, stretch))
    y, x = rng.uniform(0, height - h), rng.uniform(0, width - w)
    box = (x, y, x + w, y + h)
    crop = np.asarray(Image.fromarray(photograph).resize((size, size), Image.Resampling.BILINEAR, box=box))
    return crop[:, ::-1] if rng.random() < 0.5 else crop


class View(NamedTuple):
    """A part of a photograph, in its pixels, that becomes a square."""

    x: float
    y: float
    width: float
    height: float
    mirrored: bool

    @classmethod
    def draw(cls, height: int, width: int, rng: np.random.Generator) -> "View":
        """The whole of the photograph for a quarter, a small part of it for an eighth, else most of its short side.

        Its aspect is up to 1.28; it is mirrored half of the time.
        """
        share = rng.uniform(0.35, 0.6) if rng.random() < 0.15 else rng.uniform(0.6, 1.0)
        stretch = np.exp(rng.uniform(-0.125, 0.125))
        w, h = (min(side, share * min(height, width) * s) for side, s in ((width, stretch), (height, 1 / stretch)))
        if rng.random() < 0.25:
            w, h = width, height
        return cls(rng.uniform(0, width - w), rng.uniform(0, height - h), w, h, rng.random() < 0.5)

    @classmethod
    def whole(cls, height: int, width: int) -> "View":
        return cls(0, 0, width, height, False)

    def cut(self, photograph: np.ndarray, size: int) -> np.ndarray:
        """RGB (size, size, 3) uint8."""
        box = (self.x, self.y, self.x + self.width, self.y + self.height)
        crop = np.asarray(Image.fromarray(photograph).resize((size, size), Image.Resampling.BILINEAR, box=box))
        return crop[:, ::-1] if self.mirrored else crop

    def cut_masks(self, masks: np.ndarray, size: int, stride: int) -> np.ndarray:
        """Masks (M, h, w) bool, of `stride` pixels of the photograph a cell -> (M, size, size) bool."""
        steps = (np.arange(size) + 0.5) / size
        ys = np.minimum((self.y + self.height * steps) / stride, masks.shape[1] - 1).astype(int)
        xs = np.minimum((self.x + self.width * steps) / stride, masks.shape[2] - 1).astype(int)
        return masks[:, ys[:, None], xs[::-1] if self.mirrored else xs]


def squash(photograph: np.ndarray, size: int) -> np.ndarray:
    """RGB (size, size, 3) uint8, whatever the aspect was."""
    return np.array(Image.fromarray(photograph).resize((size, size), Image.Resampling.BILINEAR))


def planes(photograph: np.ndarray) -> Tensor:
    """RGB (H, W, 3) uint8 -> encoded sRGB planes (3, H, W) in 0..1."""
    return torch.from_numpy(np.ascontiguousarray(photograph.transpose(2, 0, 1))).float() / 255
