"""Live Colours under a clock, in GIMP's window: how soon colours follow the brush, and what the open window costs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import scans
from sessions import BenchmarkError, TimedService, run_in_window
from timeline import Span
from workshop import Workshop

HERE = Path(__file__).parent
NUMBER = 0  # of the photograph: an astronaut before a flag
SHOWN = 740  # pixels of the screen that a photograph which fills the window is wide
START, STEP = (314, 324), (2, 1)  # on the screen: where a stroke means a twentieth of the picture; from dab to dab
STROKE, BRUSH = 200, 50  # pixels of the photograph: length of a stroke, width of the brush
SMALLEST = 27  # pixels of the screen that a stroke is long, at least
REPEATS, DABS, DAB_SECONDS = 7, 20, 0.25
IDLE_SECONDS = 10.0
PLAIN = "(show-brush-outline no)\n(show-paint-tool-cursor no)\n"
STEPS = ("see", "ask", "predict", "lift", "write", "show")


@dataclass(frozen=True)
class Live:
    """One photograph in GIMP. Seconds are medians over the strokes.

    Attributes:
        megapixels: of the photograph.
        first: from a stroke's first dab to the first change of colours on the canvas.
        complete: from its last dab to the last change.
        dabs: from the first ten and the last ten of twenty dabs to a change; of those that have none, the dab's time.
        last: from the last of them to the last change.
        idle: shares of a processor that the plug-in, GIMP and the service take while nothing is painted, above what
            GIMP takes by itself.
        steps: of the way from a stroke's first dab to its first change.
    """

    megapixels: float
    first: float
    complete: float
    dabs: tuple[float, float]
    last: float
    idle: float
    steps: dict[str, float]


def follow(workshop: Workshop, service: TimedService, megapixels: float) -> Live:
    """Paints in GIMP's window while Live Colours is open.

    Raises:
        BenchmarkError: GIMP or the plug-in failed, or no colour ever changed.
    """
    _prepare(workshop)
    gray = scans.scan(megapixels, number=NUMBER)
    scale = gray.shape[1] / SHOWN
    case = {
        "photo": str(workshop.photo("live", gray)),
        "brush": max(3.0, BRUSH if megapixels > 4 else BRUSH / 6),
        "start": START,
        "length": max(SMALLEST, round(STROKE / scale)),
        "steps": 10,
        "pause": 0.02,
        "repeats": REPEATS,
        "idle": IDLE_SECONDS,
        "dabs": DABS,
        "step": STEP,
        "dab pause": DAB_SECONDS,
    }
    (workshop.folder / "case.json").write_text(json.dumps(case))
    run_in_window(workshop, "live_inside.py")
    return _live(megapixels, json.loads((workshop.folder / "live.json").read_text()), _spans(workshop, service))


def _prepare(workshop: Workshop) -> None:
    """Clocks around the plug-in's session; once for a workshop."""
    real = workshop.plug_in / "live_window_real.py"
    if not real.exists():
        shutil.move(workshop.plug_in / "live_window.py", real)
        shutil.copy(HERE / "live_clocks.py", workshop.plug_in / "live_window.py")
        shutil.copy(HERE / "timeline.py", workshop.plug_in)
        with (workshop.profile / "gimprc").open("a") as settings:
            settings.write(PLAIN)


def _spans(workshop: Workshop, service: TimedService) -> list[Span]:
    file = workshop.profile / "live-spans.jsonl"
    own = [tuple(json.loads(line)) for line in file.read_text().splitlines()]
    return own + [tuple(span) for event in service.events(0.0, float("inf")) for span in event["spans"]]


def _live(megapixels: float, noted: dict[str, Any], spans: Sequence[Span]) -> Live:
    strokes = [stroke for stroke in noted["strokes"] if stroke["changed"]]
    if not strokes:
        raise BenchmarkError("no colour on the canvas changed")
    waits, half = noted["dabs"]["waits"], len(noted["dabs"]["waits"]) // 2
    waits = [DAB_SECONDS if wait is None else wait for wait in waits]
    both, without = noted["idle"], noted["idle without"]
    served = sum(end - begin for name, begin, end in spans if both["begin"] < begin < both["end"] and name in STEPS)
    idle = both["plug-in"] + both["gimp"] - without["gimp"] + served / (both["end"] - both["begin"])
    return Live(
        megapixels=megapixels,
        first=median(stroke["first"] for stroke in strokes),
        complete=median(stroke["complete"] for stroke in strokes),
        dabs=(median(waits[:half]), median(waits[half:])),
        last=noted["dabs"]["complete"],
        idle=idle,
        steps={name: median(_within(spans, name, stroke) for stroke in strokes) for name in STEPS},
    )


def _within(spans: Sequence[Span], name: str, stroke: dict[str, float]) -> float:
    """Seconds of a step between a stroke's first dab and its first change."""
    begin, end = stroke["begin"], stroke["begin"] + stroke["first"]
    return sum(min(last, end) - first for step, first, last in spans if step == name and begin <= first < end)
