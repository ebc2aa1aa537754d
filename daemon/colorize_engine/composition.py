"""What the strokes make of a picture: each colours the thing that it lies on, and leaves all else as it was.

Every stroke is answered by itself (see `Colorizer.predict`): how far it reaches, and which chroma the network expects
there. So a stroke that is painted later moves nothing that lies out of its own reach, and what no stroke reaches keeps
the chroma that it had, bit for bit. Where several strokes reach a cell, the surer ones count more.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from colorize_engine.strokes import Stroke

FULL_TRUST = 0.05  # coverage of a chroma cell from which its hint is obeyed to the full; a thin stroke covers little
# Of the reach that a network gives, 0..1, what is below counts as 0 and what is above as 1.
SURELY_NOT, SURELY = 0.3, 0.8
SOFTEST = 1e-3  # of 1 - reach, where strokes compete for a cell: under a stroke itself nothing competes with it
TINY = 1e-12  # against division by zero


class Answer(NamedTuple):
    """What a network says of one stroke, on the device.

    Attributes:
        reach: (h, w) float16, 0..1, how surely a cell belongs to the thing that the stroke lies on.
        ab: (2, h, w) float16, CIELAB chroma of the picture if the stroke's colour is true.
    """

    reach: Tensor
    ab: Tensor


def nothing_around(lightness: Tensor) -> Answer:
    """The answer of which a stroke colours what lies under it alone, on a grid as that of L (h, w)."""
    reach = torch.zeros_like(lightness, dtype=torch.float16)
    return Answer(reach, reach.expand(2, -1, -1).clone())


class _Claim(NamedTuple):
    """What a stroke claims of the grid: its cells (N,), how far what is painted there is obeyed (N,), 0..1; its reach
    (h, w), 0..1; and how it competes with others for a cell (h, w)."""

    cells: Tensor
    trust: Tensor
    reach: Tensor
    strength: Tensor


def compose(
    plain: Tensor,
    strokes: Sequence[Stroke],
    answers: Sequence[Answer],
    kept: Sequence[tuple[Stroke, Answer]] = (),
    saturation: float = 1.0,
    larger: float = 1.0,
) -> Tensor:
    """The picture's chroma with its strokes.

    Args:
        plain: (2, h, w) float32, chroma without strokes, on the device.
        strokes: of a grid of that size.
        answers: one for each stroke.
        kept: strokes whose things keep the chroma that they have without strokes, and their answers.
        saturation: factor on the chroma that the network chose, not on that of the strokes.
        larger: factor on the odds that a cell belongs to a stroke's thing.

    Returns:
        (2, h, w) float32. Where no stroke reaches it is `plain`, bit for bit; under a stroke it is what was asked for.
    """
    if not strokes:
        return plain
    ab, reach, strength = join(strokes, answers, saturation, larger)
    against = torch.zeros_like(strength)
    for stroke, answer in kept:
        against += _claim(stroke, answer, larger).strength
    share = reach * strength / (strength + against)
    return torch.where(share > 0, torch.lerp(plain, ab, share), plain)


def join(
    strokes: Sequence[Stroke], answers: Sequence[Answer], saturation: float, larger: float
) -> tuple[Tensor, Tensor, Tensor]:
    """What one stroke or more lie on: chroma (2, h, w) everywhere, reach (h, w), and how they compete with others
    (h, w), above 0. Arguments as for `compose`."""
    total = torch.zeros_like(answers[0].ab, dtype=torch.float32)
    strength, left = torch.zeros_like(total[0]), torch.ones_like(total[0])
    for stroke, answer in zip(strokes, answers, strict=True):
        claim = _claim(stroke, answer, larger)
        total.addcmul_(claim.strength, _colour(stroke, answer, claim, saturation))
        strength += claim.strength
        left.addcmul_(left, claim.reach, value=-1)
    return total / strength, 1 - left, strength


def _claim(stroke: Stroke, answer: Answer, larger: float) -> _Claim:
    """The reach is made surer than the network is, and complete under the stroke; the strength is the odds that a cell
    belongs to the stroke's thing, as the network holds it, and above all others' under the stroke."""
    device = answer.reach.device
    cells, coverage = (torch.from_numpy(part).to(device) for part in (stroke.cells, stroke.coverage))
    trust = (coverage / FULL_TRUST).clamp(max=1)
    sure = answer.reach.float()
    odds = (larger * sure).div_((1 - sure).clamp_min_(SOFTEST))
    reach = (odds / (1 + odds)).sub_(SURELY_NOT).div_(SURELY - SURELY_NOT).clamp_(0, 1)
    reach.view(-1)[cells] = torch.maximum(reach.view(-1)[cells], trust)
    strength = odds.mul_(reach.ceil()).add_(TINY)  # 0 or 1, twice as fast as comparing
    strength.view(-1)[cells] += trust / SOFTEST**2
    return _Claim(cells, trust, reach, strength)


def _colour(stroke: Stroke, answer: Answer, claim: _Claim, saturation: float) -> Tensor:
    """(2, h, w): the network's own variation, moved so that it agrees with the stroke, and what was asked under it."""
    asked, coverage = (torch.from_numpy(part).to(answer.ab.device) for part in (stroke.ab, stroke.coverage))
    colour = answer.ab.float() * saturation
    flat = colour.view(2, -1)
    colour += (((asked - flat[:, claim.cells]) * coverage).sum(1) / coverage.sum())[:, None, None]
    flat[:, claim.cells] = torch.lerp(flat[:, claim.cells], asked, claim.trust)
    return colour
