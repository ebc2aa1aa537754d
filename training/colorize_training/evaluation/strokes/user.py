"""A simulated user, who adds strokes until a thing has its colour and all else its own.

As the number of clicks in interactive segmentation (Xu et al. 2016): the next stroke lies where the largest fault is.
"""

import numpy as np
import torch
from colorize_engine.colour.gamut import fit_gamut
from scipy import ndimage

from colorize_training.evaluation.methods import Method
from colorize_training.evaluation.metrics import to_lab
from colorize_training.evaluation.strokes.cases import Case
from colorize_training.evaluation.strokes.painting import Stroke, level_stroke

MOST = 10  # strokes, then the user gives up
CLOSE, ENOUGH = 10.0, 0.85  # a thing is done where this share of it is within so many ab of what was asked for
STAYED = 5.0  # ab that the rest may have moved by, on its mean; a place that moved by more is one to mend


def strokes_needed(
    method: Method, case: Case, stroke: Stroke, plain: np.ndarray, after: np.ndarray
) -> tuple[int, bool]:
    """How many strokes the first thing needs, at most MOST, and whether it is done then.

    plain, after: 8-bit sRGB (H, W, 3) without strokes and with `stroke`, which is the first of them.
    """
    strokes = [stroke]
    while (following := next_stroke(case, stroke, plain, after)) and len(strokes) < MOST:
        strokes.append(following)
        after = method.colorize(case.rgb, case.painted(*strokes))
    return len(strokes), following is None


def next_stroke(case: Case, stroke: Stroke, plain: np.ndarray, after: np.ndarray) -> Stroke | None:
    """The stroke that a user would add, or None where nothing is left to do.

    It lies in the largest connected fault: what of the thing has not got the colour of `stroke`, or what of the rest
    was changed; that gets a stroke of its old colour.
    """
    before, now = to_lab(plain), to_lab(after)
    missed = case.first.mask & (
        np.linalg.norm(now[..., 1:] - within_gamut(now[..., 0], stroke.colour), axis=-1) > CLOSE
    )
    change = np.linalg.norm(now[..., 1:] - before[..., 1:], axis=-1)
    filled = missed.sum() <= (1 - ENOUGH) * case.first.mask.sum()
    stayed = not case.rest.any() or change[case.rest].mean() <= STAYED
    miss = np.zeros_like(missed) if filled else largest_piece(missed)
    leak = np.zeros_like(missed) if stayed else largest_piece(case.rest & (change > STAYED))
    if filled and stayed:
        return None
    if miss.sum() >= leak.sum():
        return Stroke(level_stroke(miss), stroke.colour)
    place = level_stroke(leak)
    return Stroke(place, plain[place].mean((0, 1)).round().astype(np.uint8))


def within_gamut(lightness: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """ab (H, W, 2): a colour's (3,) uint8 sRGB, as far as sRGB has it at each L (H, W)."""
    ab = torch.from_numpy(to_lab(colour[None, None])[0, 0, 1:].copy())
    planes = ab[:, None, None].expand(-1, *lightness.shape).contiguous()
    return fit_gamut(torch.from_numpy(lightness.copy()), planes).permute(1, 2, 0).numpy()


def largest_piece(mask: np.ndarray) -> np.ndarray:
    """The largest connected piece of a mask (H, W) that is not empty."""
    parts, _ = ndimage.label(mask)
    return parts == np.bincount(parts.ravel())[1:].argmax() + 1
