"""Runs inside a host: GIMP in a real window on a virtual screen, driven by keys and mouse as a person would.

python3 window.py PLUG_IN_FOLDER PHOTO SCREENSHOTS

Colours through menu and dialog, undoes and redoes, paints hints, updates the colours, opens the service's dialog. A
screenshot is taken after each step and the window's title written down; whoever called this looks at them. Ends with
status 0 when every step could be done.
"""

import gettext
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

SCREEN = "1280x800x24"
PATIENCE = 90.0  # seconds until a window must be there, or a command of the plug-in be done
MODELS_LISTED = 3.0  # seconds in which the service has answered a dialog
PLUG_IN = "plug-ins/colorize/colorize.py"
RED = "#c83c1e"
ASIDE = (640, 8)  # on the title bar, where the pointer hides nothing and brings up no tooltip
FIRST_STROKE, SECOND_STROKE = (420, 300), (700, 540)  # on the canvas of a photograph that fills the window
SET_UP = f"Gimp.context_set_foreground(Gegl.Color.new('{RED}')); Gimp.context_set_brush_size(20.0)"


class StepFailed(Exception):
    """What a person would not have seen."""


def xdotool(*words: object) -> str:
    done = subprocess.run(["xdotool", *map(str, words)], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def until(what: str, found: object, patience: float = PATIENCE) -> object:
    """Waits for the first true value of found()."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        value = found()
        if value:
            return value
        time.sleep(0.1)
    raise StepFailed(f"{what} did not come within {patience:g} s")


def window(title: str, patience: float = PATIENCE) -> str:
    """The number of the visible window of this title (a regular expression)."""

    def last() -> str:
        return (xdotool("search", "--onlyvisible", "--name", title).splitlines() or [""])[-1]

    return str(until(f"the window “{title}”", last, patience))


def closed(title: str) -> None:
    until(f"the end of “{title}”", lambda: not xdotool("search", "--onlyvisible", "--name", title))


def idle() -> None:
    """Waits until no run of the plug-in is left."""

    def running() -> bool:
        return any(PLUG_IN in command(process) for process in Path("/proc").glob("[0-9]*"))

    until("the end of the plug-in", lambda: not running())
    time.sleep(1.0)  # the canvas is drawn anew


def command(process: Path) -> str:
    try:
        return (process / "cmdline").read_text(errors="replace")
    except OSError:  # it has just ended
        return ""


@contextmanager
def screen() -> Iterator[None]:
    """A virtual screen with a window manager."""
    reader, writer = os.pipe()
    options = ["-displayfd", str(writer), "-screen", "0", SCREEN, "-nolisten", "tcp", "-ac"]
    server = subprocess.Popen(["Xvfb", *options], pass_fds=[writer], stderr=subprocess.DEVNULL)
    os.close(writer)
    with os.fdopen(reader) as answer:
        os.environ["DISPLAY"] = f":{answer.readline().strip()}"
    manager = subprocess.Popen(["openbox"], stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        for process in (manager, server):
            process.terminate()
            process.wait()


@contextmanager
def gimp(photo: str) -> Iterator[None]:
    words = ["gimp", "--no-splash", "--batch-interpreter", "python-fu-eval", "-b", SET_UP, photo]
    process = subprocess.Popen(["dbus-run-session", "--", *words], stdout=sys.stderr)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


class Person:
    """Uses GIMP's main window, in the language of the plug-in's texts."""

    def __init__(self, folder: Path, translate: Callable[[str], str]) -> None:
        self._folder, self.read = folder, translate
        self._window = window(r"GIMP$")
        self._titles: dict[str, str] = {}
        xdotool("windowsize", "--sync", self._window, 1270, 770)
        xdotool("windowmove", self._window, 0, 0)
        xdotool("mousemove", *ASIDE)
        time.sleep(2.0)
        self.key("ctrl+shift+j")  # the photograph fills the window

    def see(self, name: str) -> None:
        time.sleep(1.0)
        self._titles[name] = xdotool("getwindowname", self._window)
        (self._folder / "titles.json").write_text(json.dumps(self._titles))
        file = f"{len(self._titles):02d}-{name}.png"
        subprocess.run(["import", "-window", "root", self._folder / file], check=True)

    def key(self, *keys: str) -> None:
        xdotool("windowactivate", "--sync", self._window)
        for each in keys:
            time.sleep(0.4)
            xdotool("key", each)

    def open_menu(self) -> None:
        """Filters > Colorize, the last submenu of Filters."""
        self.key("alt+r", "Up", "Right")

    def choose(self, entry: str) -> None:
        """Chooses an entry of Filters > Colorize by the letter that is underlined in it."""
        label = self.read(entry)
        self.open_menu()
        self.key(label[label.index("_") + 1].lower())

    def paint(self, start: tuple[int, int]) -> None:
        """A stroke with the paintbrush."""
        self.key("p")
        x, y = start
        xdotool("mousemove", x, y, "mousedown", 1)
        for step in range(20):
            xdotool("mousemove", x + 5 * step, y + step)
            time.sleep(0.02)
        xdotool("mouseup", 1, "mousemove", *ASIDE)

    def agree(self, title: str) -> None:
        """Presses the dialog's own button."""
        xdotool("windowactivate", "--sync", window(title))
        time.sleep(0.4)
        xdotool("key", "Return")
        closed(title)
        idle()


def visit(person: Person) -> None:
    """One person's first quarter of an hour."""
    person.see("gray")
    person.open_menu()
    person.see("menu")
    person.key("Escape", "Escape", "Escape")
    colour_and_undo(person)
    paint_and_update(person)
    look_at_the_service(person)


def colour_and_undo(person: Person) -> None:
    title = person.read("Colorize Photo")
    person.choose("Colorize _Photo (AI)…")
    window(title)
    time.sleep(MODELS_LISTED)
    person.see("dialog")
    person.agree(title)
    person.see("coloured")
    person.key("ctrl+z")
    person.see("undone")
    person.key("ctrl+y")
    person.see("redone")


def paint_and_update(person: Person) -> None:
    person.choose("New _Hint Layer")
    idle()
    person.paint(FIRST_STROKE)
    person.choose("Colorize _with Hints")
    idle()
    person.see("hinted")
    person.paint(SECOND_STROKE)
    person.see("painted-again")
    person.choose("Colorize _with Hints")
    idle()
    person.see("updated")
    person.key("ctrl+z")
    person.see("update-undone")


def look_at_the_service(person: Person) -> None:
    title = person.read("Colour Service")
    person.choose("_Service…")
    window(title)
    time.sleep(MODELS_LISTED)
    person.see("service")
    xdotool("windowactivate", "--sync", window(title), "key", "Escape")
    closed(title)


def main(plug_in: str, photo: str, folder: str) -> int:
    translate = gettext.translation("colorize", Path(plug_in) / "locale", fallback=True).gettext
    with screen(), gimp(photo):
        try:
            visit(Person(Path(folder), translate))
        except StepFailed as failure:
            subprocess.run(["import", "-window", "root", Path(folder) / "failed.png"], check=False)
            print(failure, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
