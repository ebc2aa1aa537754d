"""Losses of the default recipe: cross-entropy over ab bins with class rebalancing, Huber regression, and reach."""

import torch
from torch import Tensor
from torch.nn import functional as F

NEIGHBOURS, SIGMA = 5, 5.0  # soft encoding: Zhang et al. 2016, section 2.1
TABLE_REACH = 128  # ab rounded to whole units within -128..127 indexes the soft-encoding table


class BinTargets:
    """Soft encoding of ab in its nearest bins, by a table over whole ab units."""

    def __init__(self, centres: Tensor) -> None:
        units = torch.arange(-TABLE_REACH, TABLE_REACH, dtype=torch.float32)
        points = torch.cartesian_prod(units, units)
        distance, self.bins = torch.cdist(points, centres.float()).topk(NEIGHBOURS, largest=False)  # (65536, 5)
        self.shares = torch.softmax(-(distance**2) / (2 * SIGMA**2), dim=1)

    def __call__(self, ab: Tensor) -> tuple[Tensor, Tensor]:
        """ab (B, 2, H, W) -> bins and their shares, (B, 5, H, W) each; the nearest bin first."""
        a, b = (ab.round().long() + TABLE_REACH).clamp(0, 2 * TABLE_REACH - 1).unbind(1)
        code = a * 2 * TABLE_REACH + b
        self.bins, self.shares = self.bins.to(code.device), self.shares.to(code.device)
        return self.bins[code].permute(0, 3, 1, 2), self.shares[code].permute(0, 3, 1, 2)


def class_weights(frequency: Tensor, uniform_share: float) -> Tensor:
    """Zhang et al. 2016, equation 4: inverse of the frequency (K,) mixed with the uniform one; its expectation is 1."""
    frequency = frequency / frequency.sum()
    weights = 1 / ((1 - uniform_share) * frequency + uniform_share / len(frequency))
    return weights / (frequency * weights).sum()


def bin_cross_entropy(logits: Tensor, bins: Tensor, shares: Tensor, weights: Tensor) -> Tensor:
    """Rebalanced cross-entropy: logits (B, K, H, W); bins, shares (B, 5, H, W); weights (K,) of the nearest bin.

    Less the target's own entropy, which no prediction can save: a perfect one has loss 0 (Kullback-Leibler divergence).
    """
    log_probability = torch.log_softmax(logits.float(), dim=1).gather(1, bins)
    excess = torch.xlogy(shares, shares) - shares * log_probability
    return (excess.sum(1) * weights.to(bins.device)[bins[:, 0]]).mean()


def huber(ab: Tensor, truth: Tensor, delta: float = 10.0) -> Tensor:
    """Mean Huber loss of ab in CIELAB units, linear beyond `delta`."""
    return F.huber_loss(ab.float(), truth, delta=delta)


def reach_loss(logits: Tensor, reach: Tensor, known: Tensor) -> Tensor:
    """How far the logits (B, h, w) are from the reach (B, h, w) bool, where that is known (B,); the mean of the batch.

    Cross-entropy over all cells, the same with the thing and the rest in balance, and one minus Dice's coefficient
    (Milletari et al. 2016). A picture whose reach is not known counts 0: halves of a batch average to the whole.
    """
    truth = reach.flatten(1).to(logits)
    logits = logits.flatten(1)
    each = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    inside = (each * truth).sum(1) / truth.sum(1).clamp_min(1)
    outside = (each * (1 - truth)).sum(1) / (1 - truth).sum(1).clamp_min(1)
    share = torch.sigmoid(logits)
    dice = (2 * (share * truth).sum(1) + 1) / (share.sum(1) + truth.sum(1) + 1)
    return ((0.7 * each.mean(1) + 0.15 * (inside + outside) + 0.4 * (1 - dice)) * known).mean()


@torch.no_grad()
def reach_iou(logits: Tensor, reach: Tensor) -> Tensor:
    """Mean intersection over union of what is more likely reached than not and the truth; 1 where both are empty."""
    own = logits > 0
    both, any_ = (mask.flatten(1).sum(1).float() for mask in (own & reach, own | reach))
    return torch.where(any_ > 0, both / any_.clamp_min(1), 1.0).mean()
