"""Runs inside a host: a user who paints while Live Colours is open, before a camera.

python3 film_inside.py PLUG_IN_FOLDER FOLDER

FOLDER holds the photograph. FOLDER/film.raw gets the pictures, each as Screen.pixels() has it, and FOLDER/film.json
when each was taken, the pointer in it, and which keys were pressed when: seconds since the film's begin. Nothing waits
for the colours: the user moves at a pace of their own. Where things lie on the screen is written down here, and
nothing checks it: look at the film.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import window
from screen import Screen

PHOTOGRAPH = "astronaut.png"
SIZE = (832, 540)  # pixels of the screen, about as wide as a README is shown
WINDOW = (SIZE[0] - 2, SIZE[1] - 24)
ASIDE = 344  # pixels that Live Colours and a column below it are wide
BETWEEN = 0.08  # seconds from picture to picture
TICK = 0.01
PHOTO = (73, 64, 0.417)  # on the screen: left, top, and pixels for a thousandth of the photograph's width
SHOW_COLOURS, SHOW_STROKES = (577, 279), (577, 305)
SET_UP = (
    "Gimp.context_set_foreground(Gegl.Color.new('#4f86c6')); Gimp.context_set_background(Gegl.Color.new('#e0662a'));"
    "Gimp.context_set_brush_size(16.0)"
)
# In thousandths of the photograph's width: points that a stroke is drawn towards, from the first to the last.
SUIT = ((230, 640), (300, 500), (350, 620), (400, 650))
SLEEVE = ((590, 600), (640, 640), (650, 680))
WALL = ((600, 260), (610, 150), (690, 200), (690, 50))

Point = tuple[float, float]


def between(points: Sequence[Point], share: float) -> Point:
    """A point of the Bézier curve."""
    while len(points) > 1:
        pairs = zip(points, points[1:], strict=False)
        points = [(a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share) for a, b in pairs]
    return points[0]


def on_screen(points: Sequence[Point]) -> list[Point]:
    left, top, scale = PHOTO
    return [(left + x * scale, top + y * scale) for x, y in points]


class Film:
    """A user's hand and a camera, which takes a picture whenever one is due while the hand moves or rests."""

    def __init__(self, folder: Path) -> None:
        self._screen, self._folder = Screen((0, 0, *SIZE)), folder
        self._hand: Point = window.ASIDE
        self._noted: dict[str, Any] = {"pictures": [], "keys": []}
        self._taken: list[bytes] = []
        self._begin = self._due = time.monotonic()

    def rest(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._look()
            time.sleep(TICK)

    def glide(self, points: Sequence[Point], seconds: float) -> None:
        """Moves the mouse along a curve, slowly at its ends."""
        begin = time.monotonic()
        while (share := (time.monotonic() - begin) / seconds) < 1:
            self._move(between(points, share * share * (3 - 2 * share)))
            self._look()
            time.sleep(TICK)
        self._move(points[-1])

    def go(self, to: Point, seconds: float) -> None:
        x, y = self._hand
        self.glide([(x, y), ((x + to[0]) / 2 + (to[1] - y) / 6, (y + to[1]) / 2 - (to[0] - x) / 6), to], seconds)

    def paint(self, points: Sequence[Point], seconds: float) -> None:
        curve = on_screen(points)
        self.go(curve[0], 0.6)
        self._screen.press(True)
        self.glide(curve, seconds)
        self._screen.press(False)

    def click(self, place: Point, seconds: float) -> None:
        self.go(place, seconds)
        self._screen.press(True)
        self.rest(0.06)
        self._screen.press(False)

    def strike(self, text: str, *keys: str) -> None:
        self._noted["keys"].append((time.monotonic() - self._begin, text))
        self._screen.strike(*keys)

    def _move(self, to: Point) -> None:
        self._hand = to
        self._screen.move(round(to[0]), round(to[1]))

    def _look(self) -> None:
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + BETWEEN
        picture, pointer = self._screen.pixels(), asdict(self._screen.pointer())
        if not self._taken or picture != self._taken[-1]:
            self._taken.append(picture)
        note = {"at": now - self._begin, "number": len(self._taken) - 1, "pointer": pointer}
        self._noted["pictures"].append(note)

    def save(self) -> None:
        self._noted["end"] = time.monotonic() - self._begin
        with (self._folder / "film.raw").open("wb") as file:
            file.writelines(self._taken)
        (self._folder / "film.json").write_text(json.dumps(self._noted))


def play(film: Film) -> None:
    """A colour on the wrong thing, which Undo takes back; the right ones; without strokes; before and after."""
    film.rest(0.4)
    film.paint(SUIT, 1.0)
    film.rest(0.5)
    film.strike("Ctrl+Z", "Control_L", "z")
    film.rest(0.6)
    film.paint(WALL, 1.0)
    film.rest(0.2)
    film.strike("X", "x")  # the other colour
    film.paint(SUIT, 1.0)
    film.rest(0.2)
    film.paint(SLEEVE, 0.5)
    film.rest(0.4)
    film.click(SHOW_STROKES, 0.7)
    film.rest(0.4)
    film.click(SHOW_COLOURS, 0.3)
    film.rest(0.8)
    film.click(SHOW_COLOURS, 0.1)
    film.rest(1.0)


def main(plug_in: str, folder: str) -> int:
    with window.screen(SIZE), window.gimp_with(SET_UP, str(Path(folder, PHOTOGRAPH))):
        user = window.User(Path(folder), lambda text: text, WINDOW)
        window.open_live(user, "Live Colours")
        window.xdotool("windowmove", window.window("Live Colours"), SIZE[0] - ASIDE, 60)
        user.key("p")
        window.screen_at_rest()
        film = Film(Path(folder))
        play(film)
        film.save()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
