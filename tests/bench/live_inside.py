"""Runs inside a host: a user who paints while Live Colours is open, and an eye on the canvas with a clock.

python3 live_inside.py PLUG_IN_FOLDER FOLDER

FOLDER/case.json says what to do; moments and processor seconds are in FOLDER/live.json. The hint layer is made
transparent and the brush has no outline, so that what changes on the canvas are colours.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import window
from screen import Screen
from window import ASIDE

CANVAS = (250, 190, 540, 460)  # on the screen: x, y, width, height of what is seen of a photograph beside the window
LOOK = 0.003  # seconds between looks at the canvas
STILL = 0.8  # seconds without a change after which it is complete
PATIENCE = 30.0


def stroke(screen: Screen, start: tuple[int, int], length: int, steps: int, pause: float) -> dict[str, float]:
    """A stroke to the right, and when the canvas changed first and last, in seconds from its first and last dab."""
    before = seen = screen.pixels()
    screen.move(*start)
    time.sleep(0.2)
    begin = time.monotonic()
    screen.press(True)
    first, last, done, end = 0.0, begin, 0, begin
    while True:
        now = time.monotonic()
        if done < steps and now - begin > pause * (done + 1):
            done += 1
            screen.move(start[0] + length * done // steps, start[1])
        if done == steps and end == begin:
            screen.press(False)
            end = time.monotonic()
        current = screen.pixels()
        if current != seen:
            seen, last, first = current, time.monotonic(), first or time.monotonic()
        if (end > begin and now - max(last, end) > STILL) or now - begin > PATIENCE:
            break
        time.sleep(LOOK)
    changed = seen != before
    return {"begin": begin, "first": (first or now) - begin, "complete": last - end, "changed": float(changed)}


def dabs(screen: Screen, start: tuple[int, int], step: tuple[int, int], count: int, pause: float) -> dict[str, Any]:
    """Dabs at an even pace, whether or not the colours follow; for each, seconds until the canvas changed."""
    seen = screen.pixels()
    waits: list[float | None] = []
    begin = last = time.monotonic()
    for number in range(count):
        screen.move(start[0] + step[0] * number, start[1] + step[1] * number)
        screen.press(True)
        pressed, waited = time.monotonic(), 0.0
        screen.press(False)
        while time.monotonic() < begin + pause * (number + 1):
            current = screen.pixels()
            if current != seen:
                seen, last = current, time.monotonic()
                waited = waited or last - pressed
            time.sleep(LOOK)
        waits.append(waited or None)
    end = time.monotonic()
    while time.monotonic() - max(last, end) < STILL:
        current = screen.pixels()
        if current != seen:
            seen, last = current, time.monotonic()
        time.sleep(LOOK)
    return {"begin": begin, "waits": waits, "complete": last - pressed}


def processor_seconds() -> dict[str, float]:
    """Of GIMP and of the plug-in."""
    found = {"gimp": 0.0, "plug-in": 0.0}
    for process in window.processes():
        words = window.command(process)
        name = "plug-in" if window.PLUG_IN in words else "gimp" if words.split("\0")[0].endswith("gimp") else ""
        fields = window.text(process / "stat").rpartition(")")[2].split()
        if name and fields:
            found[name] += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return found


def idle(seconds: float) -> dict[str, float]:
    before, begin = processor_seconds(), time.monotonic()
    time.sleep(seconds)
    after, end = processor_seconds(), time.monotonic()
    return {name: (after[name] - before[name]) / (end - begin) for name in after} | {"begin": begin, "end": end}


SET_UP = (
    "Gimp.context_set_foreground(Gegl.Color.new('#2850c8')); Gimp.context_set_brush_size({brush});"
    "image = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, Gio.File.new_for_path({photo!r})); image.convert_rgb();"
    "width, height = image.get_width(), image.get_height();"
    "hints = Gimp.Layer.new(image, 'Colour hints', width, height, 1, 0.0, Gimp.LayerMode.NORMAL);"
    "image.insert_layer(hints, None, 0); Gimp.Display.new(image)"
)


def main(plug_in: str, folder: str) -> int:
    case = json.loads(Path(folder, "case.json").read_text())
    noted: dict[str, Any] = {"strokes": [], "idle without": {}, "idle": {}}
    set_up = SET_UP.format(brush=float(case["brush"]), photo=case["photo"])
    with window.screen(), window.gimp_with(set_up):
        user, eye = window.User(Path(folder), lambda text: text), Screen(CANVAS)
        noted["idle without"] = idle(case["idle"])
        user.choose("_Live Colours…")
        window.window("Live Colours")
        window.answered()
        window.screen_at_rest()
        noted["idle"] = idle(case["idle"])
        user.key("p")
        for _ in range(case["repeats"]):
            noted["strokes"].append(stroke(eye, tuple(case["start"]), case["length"], case["steps"], case["pause"]))
            eye.move(*ASIDE)
            user.key("ctrl+z")
            window.screen_at_rest()
        noted["dabs"] = dabs(eye, tuple(case["start"]), tuple(case["step"]), case["dabs"], case["dab pause"])
    Path(folder, "live.json").write_text(json.dumps(noted))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
