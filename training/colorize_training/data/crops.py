"""What is cut from a photograph, and its planes as tensors."""

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


def squash(photograph: np.ndarray, size: int) -> np.ndarray:
    """RGB (size, size, 3) uint8, whatever the aspect was."""
    return np.array(Image.fromarray(photograph).resize((size, size), Image.Resampling.BILINEAR))


def planes(photograph: np.ndarray) -> Tensor:
    """RGB (H, W, 3) uint8 -> encoded sRGB planes (3, H, W) in 0..1."""
    return torch.from_numpy(np.ascontiguousarray(photograph.transpose(2, 0, 1))).float() / 255
