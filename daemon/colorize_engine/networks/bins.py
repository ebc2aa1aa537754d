"""The quantized ab plane of the classification heads (Zhang et al. 2016, section 2.1: grid 10, in-gamut bins)."""

from functools import cache

import torch
from torch import Tensor

from colorize_engine.colour.conversions import srgb_to_lab

GRID = 10.0
FARTHEST = 13  # cells from gray to any sRGB colour


@cache
def bin_centres() -> Tensor:
    """Centres (K, 2) of the ab cells of side 10 that any sRGB colour falls into, in ascending (a, b) order."""
    steps = torch.linspace(0, 1, 52)
    cube = torch.stack(torch.meshgrid(steps, steps, steps, indexing="ij")).reshape(3, 1, -1)
    ab = srgb_to_lab(cube)[1:, 0].T  # (N, 2)
    used = torch.zeros(2 * FARTHEST + 1, 2 * FARTHEST + 1, dtype=torch.bool)
    used[tuple((torch.round(ab / GRID).long() + FARTHEST).T)] = True  # `unique` would sort for a fifth of a second
    return (used.nonzero() - FARTHEST).contiguous() * GRID


def annealed_mean(logits: Tensor, temperature: float, centres: Tensor) -> Tensor:
    """Expectation of the distribution sharpened by `temperature` (Zhang et al. 2016, equation 5).

    logits (B, K, H, W), centres (K, 2) -> ab (B, 2, H, W). temperature 1 is the plain mean, towards 0 the mode.
    """
    # Bins last, as channels-last logits lie in memory: nothing is copied.
    probability = torch.softmax(logits.permute(0, 2, 3, 1).float() / temperature, dim=-1)
    return (probability @ centres.to(probability)).permute(0, 3, 1, 2)
