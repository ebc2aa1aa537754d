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
SURELY_NOT, SURELY = 0.2, 0.8
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
    total, weight, left = torch.zeros_like(plain), torch.zeros_like(plain[0]), torch.ones_like(plain[0])
    against = torch.zeros_like(weight)
    for stroke, answer in zip(strokes, answers, strict=True):
        cells, trust = _covered(stroke, plain.device)
        reach = _reach(answer, cells, trust, larger)
        strength = _strength(answer, reach, cells, trust, larger)
        total += strength * _colour(stroke, answer, saturation)
        weight += strength
        left *= 1 - reach
    for stroke, answer in kept:
        cells, trust = _covered(stroke, plain.device)
        against += _strength(answer, _reach(answer, cells, trust, larger), cells, trust, larger)
    share = (1 - left) * weight / (weight + against).clamp_min(TINY)
    return torch.where(share > 0, torch.lerp(plain, total / weight.clamp_min(TINY), share), plain)


def compose_thing(
    strokes: Sequence[Stroke], answers: Sequence[Answer], saturation: float = 1.0, larger: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Chroma (2, h, w) and reach (h, w) of what these strokes lie on; arguments as for `compose`."""
    device = answers[0].ab.device
    total, weight, left = torch.zeros_like(answers[0].ab, dtype=torch.float32), torch.tensor(0.0), torch.tensor(1.0)
    for stroke, answer in zip(strokes, answers, strict=True):
        cells, trust = _covered(stroke, device)
        reach = _reach(answer, cells, trust, larger)
        strength = _strength(answer, reach, cells, trust, larger) + TINY
        total += strength * _colour(stroke, answer, saturation)
        weight, left = weight.to(device) + strength, left.to(device) * (1 - reach)
    return total / weight, 1 - left


def _covered(stroke: Stroke, device: torch.device) -> tuple[Tensor, Tensor]:
    """The stroke's cells (N,), and how far what is painted there is obeyed (N,), 0..1."""
    coverage = torch.from_numpy(stroke.coverage).to(device)
    return torch.from_numpy(stroke.cells).to(device), (coverage / FULL_TRUST).clamp(max=1)


def _reach(answer: Answer, cells: Tensor, trust: Tensor, larger: float) -> Tensor:
    """(h, w), 0..1: made surer than the network is, and complete under the stroke."""
    odds = _odds(answer, larger)
    reach = ((odds / (1 + odds) - SURELY_NOT) / (SURELY - SURELY_NOT)).clamp(0, 1)
    reach.view(-1)[cells] = torch.maximum(reach.view(-1)[cells], trust)
    return reach


def _odds(answer: Answer, larger: float) -> Tensor:
    """(h, w): that a cell belongs to the stroke's thing, as the network holds it."""
    reach = answer.reach.float()
    return larger * reach / (1 - reach).clamp_min(SOFTEST)


def _strength(answer: Answer, reach: Tensor, cells: Tensor, trust: Tensor, larger: float) -> Tensor:
    """(h, w): how a stroke competes with others for a cell that it reaches: by its odds, and above all under itself."""
    strength = _odds(answer, larger) * (reach > 0)
    strength.view(-1)[cells] += trust / SOFTEST**2
    return strength


def _colour(stroke: Stroke, answer: Answer, saturation: float) -> Tensor:
    """(2, h, w): the network's own variation, moved so that it agrees with the stroke, and what was asked under it."""
    cells, trust = _covered(stroke, answer.ab.device)
    asked, coverage = (torch.from_numpy(part).to(answer.ab.device) for part in (stroke.ab, stroke.coverage))
    colour = answer.ab.float() * saturation
    flat = colour.view(2, -1)
    colour += (((asked - flat[:, cells]) * coverage).sum(1) / coverage.sum())[:, None, None]
    flat[:, cells] = torch.lerp(flat[:, cells], asked, trust)
    return colour
