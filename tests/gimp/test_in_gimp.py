"""The plug-in inside real GIMP 3.0 and 3.2: what checks.py found there, and what its pixels say."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from skimage.color import rgb2lab
from workshop import Outcomes

pytestmark = pytest.mark.timeout(3600)  # the first test of a suite makes its GIMP

CHECKS = [
    node.name
    for module in ("checks.py", "live_checks.py")
    for node in ast.parse((Path(__file__).parent / module).read_text()).body
    if isinstance(node, ast.FunctionDef) and node.name.startswith("check_")
]
LEVEL = 100 / 255  # of L: one step of 8 bits
SAUCER = (slice(290, 310), slice(95, 140))  # rows and columns of the cup of coffee, beside the stroke
BEYOND = {"cup": (slice(40, 90), slice(220, 380)), "table": (slice(60, 200), slice(500, 590))}


@pytest.mark.parametrize("check", CHECKS)
def test_check(outcomes: Outcomes, check: str) -> None:
    outcomes.facts(check)


def test_gimp_says_nothing_odd(outcomes: Outcomes) -> None:
    """No traceback, no complaint about translations or folders."""
    for complaint in ("Traceback", "catalog directory", "Warning: ", "PyGIWarning"):
        assert complaint not in outcomes.log, outcomes.log


def test_result_has_chroma(outcomes: Outcomes, photograph: Callable) -> None:
    """Where the photograph had colours, so has the result."""
    facts = outcomes.facts("check_automatic")
    coloured = chroma(rgb2lab(photograph("chelsea").rgb)) > 15
    result = chroma(rgb2lab(outcomes.workshop.kept(facts, "visible", "rgb")))
    assert np.median(result[coloured]) > 5


def chroma(lab: np.ndarray) -> np.ndarray:
    return np.hypot(lab[..., 1], lab[..., 2])


@pytest.mark.parametrize("check", ["check_automatic", "check_rgb_photograph", "check_deep_gray"])
def test_lightness_is_the_photographs(outcomes: Outcomes, check: str) -> None:
    """As GIMP measures it, under D50, which is what its LCh Color mode keeps; the difference under D65 is printed."""
    facts = outcomes.facts(check)
    difference = np.abs(lightness_difference(outcomes, facts))
    visible, photo = (rgb2lab(outcomes.workshop.kept(facts, kind, "rgb"))[..., 0] for kind in ("visible", "photo"))
    daylight = np.abs(visible - photo)
    print(f"{outcomes.suite} {check}: L differs by {difference.max():.3f} at most,", end=" ")
    print(f"under D65 by {np.median(daylight):.3f} in the middle and {daylight.max():.3f} at most")
    assert difference.max() <= LEVEL


def test_lightness_in_every_precision(outcomes: Outcomes) -> None:
    for name, facts in outcomes.facts("check_every_precision").items():
        if name == "u8-linear":  # its own steps in the shadows are several of L
            continue
        difference = np.abs(lightness_difference(outcomes, facts))
        assert difference.max() <= LEVEL, f"{name}: {difference.max():.3f}"


def lightness_difference(outcomes: Outcomes, facts: dict) -> np.ndarray:
    """L of the visible image less L of the photograph, as GIMP itself measures it, (H, W)."""
    return outcomes.workshop.kept(facts, "visible", "l") - outcomes.workshop.kept(facts, "photo", "l")


def asked_for(facts: dict) -> np.ndarray:
    """CIELAB (3,) of the stroke's colour."""
    return rgb2lab(np.array([int(facts["colour"][i : i + 2], 16) for i in (1, 3, 5)]) / 255.0)


def test_stroke_is_obeyed(outcomes: Outcomes) -> None:
    facts = outcomes.facts("check_stroke")
    x, y, width, height = facts["stroke"]
    blue = asked_for(facts)
    under = rgb2lab(outcomes.workshop.kept(facts["after"], "visible", "rgb"))[y : y + height, x : x + width]
    distance = np.median(chroma(under - blue))
    print(f"{outcomes.suite}: under the blue stroke the colour is {distance:.2f} away from it")
    assert distance < 8


def test_stroke_spreads_within_its_object_only(outcomes: Outcomes) -> None:
    facts = outcomes.facts("check_stroke")
    before, after = (rgb2lab(outcomes.workshop.kept(facts[when], "visible", "rgb")) for when in ("before", "after"))
    moved = chroma(after - before)
    saucer, missing = np.median(moved[SAUCER]), np.median(chroma(asked_for(facts) - before)[SAUCER])
    beyond = {name: np.median(moved[place]) for name, place in BEYOND.items()}
    print(f"{outcomes.suite}: a blue stroke moved the saucer by {saucer:.1f} of {missing:.1f}, and", beyond)
    assert saucer > 0.4 * missing
    assert max(beyond.values()) < saucer / 4


def test_what_is_kept_has_the_colours_of_a_run_without_strokes(outcomes: Outcomes) -> None:
    facts = outcomes.facts("check_keep_layer")
    x, y, width, height = facts["kept"]
    plain, hinted, spared = (
        rgb2lab(outcomes.workshop.kept(facts[when], "visible", "rgb"))[y : y + height, x : x + width]
        for when in ("plain", "hinted", "spared")
    )
    moved, left = (np.median(chroma(lab - plain)) for lab in (hinted, spared))
    print(f"{outcomes.suite}: red that means everything moved the cup by {moved:.1f}, where it is kept by {left:.1f}")
    assert moved > 10
    assert left < 4


def test_dabs_of_a_photographs_own_colours_bring_most_of_them_back(outcomes: Outcomes, photograph: Callable) -> None:
    own = outcomes.facts("check_hint_layer_from_a_photograph_in_colour")
    visible, photo = (rgb2lab(outcomes.workshop.kept(own, kind, "rgb")) for kind in ("visible", "photo"))
    missing, left = np.mean(chroma(photo)), np.mean(chroma(visible - photo))
    print(f"{outcomes.suite}: of {missing:.1f} ab, dabs of the photograph's own colours leave {left:.1f} away")
    assert left < missing / 2


def test_memory_at_24_megapixels(outcomes: Outcomes) -> None:
    facts = outcomes.facts("check_24_megapixels_of_16_bit")
    peak, idle = facts["daemon"]["peak_rss"], facts["daemon idle"]["rss"]
    plug_in = outcomes.workshop.service.plug_in_peak
    sizes = {"daemon": peak, "daemon above idle": peak - idle, "plug-in": plug_in}
    print(f"{outcomes.suite}, 24 megapixels of 16 bits, peak memory:", end=" ")
    print(", ".join(f"{name} {size / 2**20:.0f} MB" for name, size in sizes.items()), end="; ")
    print(f"first run {facts['first run, s']:.1f} s, with changed hints {facts['hint run, s']:.1f} s")
    assert peak > 0
    assert plug_in > 0
