"""Clocks in the plug-in while Live Colours is open: a module `live_window` around the real one.

Spans are added to live-spans.jsonl beside the plug-in's folder, each when it ends.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import live_layer
import live_session
import painted
from live_window_real import show
from timeline import Recorder
from watching import COARSE

__all__ = ["show"]

SPANS = Path(__file__).resolve().parents[2] / "live-spans.jsonl"


class _Writer(Recorder):
    def add(self, name: str, begin: float, end: float) -> None:
        with SPANS.open("a") as file:
            file.write(json.dumps([name, begin, end]) + "\n")


_recorder = _Writer()


def _clocked(owner: type, method: str, name: str) -> None:
    setattr(owner, method, _recorder.timed(name, getattr(owner, method)))


def _look(real: Callable) -> Callable:
    """Only looks that see something."""

    def look(self: painted.Painted, side: int = COARSE) -> object:
        begin = live_session.time.monotonic()
        found = real(self, side)
        if found is not None:
            _recorder.add("see", begin, live_session.time.monotonic())
        return found

    return look


painted.Painted.look = _look(painted.Painted.look)
_clocked(live_session.LiveColours, "_send", "ask")
_clocked(live_layer.LiveLayer, "write", "write")
_clocked(live_layer.LiveLayer, "show", "show")
