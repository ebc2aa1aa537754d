"""What age does to a photograph's lightness: grain, blur, fading. The colours asked for stay as they were."""

import torch
from torch import Tensor
from torch.nn import functional as F

from colorize_training.chances import Chances


def degrade(lightness: Tensor, chances: Chances, share: float = 0.5) -> Tensor:
    """L (B, 1, H, W) in 0..100 -> the same, a `share` of the pictures each blurred, faded and grained."""

    def draw(low: float, high: float) -> Tensor:
        return chances.uniform(1, 1, 1, low=low, high=high)

    def chosen(probability: float) -> Tensor:
        return chances.happens(probability, 1, 1, 1)

    blurred = F.avg_pool2d(F.pad(lightness, (1, 1, 1, 1), mode="reflect"), 3, stride=1)
    lightness = torch.where(chosen(share / 2), torch.lerp(lightness, blurred, draw(0.3, 1)), lightness)
    low, high = draw(0, 18), draw(75, 100)  # faded blacks and whites
    faded = low + (high - low) * (lightness / 100).clamp(0, 1).pow(draw(0.75, 1.35))
    lightness = torch.where(chosen(share), faded, lightness)
    grain = chances.normal(*lightness.shape[1:]) * draw(0, 5)
    return torch.where(chosen(share), lightness + grain, lightness).clamp(0, 100)
