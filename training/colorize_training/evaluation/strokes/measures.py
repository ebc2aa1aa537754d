"""What a stroke did, measured: in its thing, around it, far from it, and in what an earlier stroke had settled."""

from collections.abc import Sequence

import numpy as np
import torch
from colorize_engine.colour.conversions import lab_to_srgb

from colorize_training.evaluation.methods import Method
from colorize_training.evaluation.metrics import to_lab
from colorize_training.evaluation.strokes.cases import Case
from colorize_training.evaluation.strokes.painting import Stroke
from colorize_training.evaluation.strokes.user import strokes_needed

ODD_LIGHTNESS, ODD_CHROMA, FIRST_HUE = 60.0, 45.0, 0.4  # of the colours that are asked for; the hue in radians
DIFFERENT = 35.0  # ab distance to what a method gives without strokes
LEAST_ASKED = 5.0  # change of a pixel, in ab units, that counts as asked for where it has nearly that colour already
TENTH = 0.1


def chroma_of(rgb: np.ndarray) -> np.ndarray:
    """ab (H, W, 2) of 8-bit sRGB."""
    return to_lab(rgb)[..., 1:]


def odd_colours() -> np.ndarray:
    """Four colours (4, 3) uint8 sRGB, a quarter of the hues from each other."""
    hues = FIRST_HUE + np.arange(4) * np.pi / 2
    lab = np.stack([np.full(4, ODD_LIGHTNESS), ODD_CHROMA * np.cos(hues), ODD_CHROMA * np.sin(hues)])
    return (lab_to_srgb(torch.from_numpy(lab)[:, None])[:, 0].T * 255).round().to(torch.uint8).numpy()


def choose_colour(rng: np.random.Generator, found: Sequence[np.ndarray]) -> np.ndarray:
    """An odd colour (3,) uint8 that is far from all chroma (2,) in `found`, or the farthest."""
    colours = odd_colours()[rng.permutation(4)]
    asked = chroma_of(colours[None])[0]
    least = np.linalg.norm(asked[:, None] - np.stack(found), axis=-1).min(1)
    return colours[np.argmax(least > DIFFERENT) if (least > DIFFERENT).any() else np.argmax(least)]


def choose_strokes(case: Case, methods: Sequence[Method]) -> list[Stroke]:
    """One on each of the case's things, the same for all methods: a colour that none of them expects there."""
    plains = [chroma_of(method.colorize(case.rgb, case.painted())) for method in methods]
    rng, strokes = np.random.default_rng([17, case.seed]), list[Stroke]()
    for thing in (case.first, case.second):
        if thing:
            found = [plain[thing.place].mean((0, 1)) for plain in plains]
            others = [chroma_of(stroke.colour[None, None])[0, 0] for stroke in strokes]
            strokes.append(Stroke(thing.place, choose_colour(rng, [*found, *others])))
    return strokes


def measure_strokes(method: Method, case: Case, strokes: Sequence[Stroke]) -> dict[str, float]:
    """Every measure by name; `moved` is NaN where the case has one thing alone."""
    plain = method.colorize(case.rgb, case.painted())
    after = method.colorize(case.rgb, case.painted(strokes[0]))
    row = change_of(case, chroma_of(plain), chroma_of(after), strokes[0])
    row["moved"] = float("nan")
    if len(strokes) > 1:
        later = chroma_of(method.colorize(case.rgb, case.painted(*strokes)))
        row["moved"] = _mean(np.linalg.norm(later - chroma_of(after), axis=-1)[case.first.mask])
    count, done = strokes_needed(method, case, strokes[0], plain, after)
    return row | {"strokes": float(count), "done": float(done)}


def change_of(case: Case, plain: np.ndarray, after: np.ndarray, stroke: Stroke) -> dict[str, float]:
    """What one stroke on the first thing made of chroma (H, W, 2).

    fill: share of the asked change that arrives in the thing; tenth: in the tenth of its pixels that got least;
    near, far: mean change of everything else, as share of the asked change; obedience: median CIE76 between asked and
    got under the stroke, with the picture's own L on both sides.
    """
    asked, mask = chroma_of(stroke.colour[None, None])[0, 0], case.first.mask
    way = asked - plain[stroke.place].mean((0, 1))
    direction, moved = way / np.linalg.norm(way), after - plain
    wanted = np.maximum(((asked - plain) @ direction)[mask], LEAST_ASKED)
    got = (moved @ direction)[mask]
    size = np.linalg.norm(moved, axis=-1) / np.linalg.norm(way)
    return {
        "fill": float(got.sum() / wanted.sum()),
        "tenth": float(np.quantile(got / wanted, TENTH)),
        "near": _mean(size[case.near]),
        "far": _mean(size[case.far]),
        "obedience": float(np.median(np.linalg.norm(after[stroke.place] - asked, axis=-1))),
    }


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")
