"""Runs inside a host: GIMP in a real window on a virtual screen, driven by keys and mouse as a user would.

python3 window.py PLUG_IN_FOLDER PHOTO SCREENSHOTS [layers]

Colours through menu and dialog, undoes and redoes, paints hints, updates the colours, opens the service's dialog. A
With "layers", the photograph has retouching and strokes on ordinary layers, which the plug-in asks about. A
screenshot is taken after each step and the window's title written down; whoever called this looks at them. Each step
waits until the one before it is done, however long that takes. Ends with status 0 when every step could be done.
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

from progress import NoProgress, sample, wait_until

SCREEN, WINDOW = (1280, 800), (1270, 770)  # pixels; a window without what its manager draws around it
SHOWING = ("Xvfb", "openbox", "xdotool", "import")  # programs that work also when GIMP does nothing
REST_SECONDS, LOOKS = 0.3, 6  # how long, and how often in it, nothing wants the processor while GIMP rests
REST_SHARE = 0.1  # of a processor that GIMP at rest may use
PLUG_IN = "plug-ins/colorize/colorize.py"
CONNECTION = "connection.json"  # in the service's folder once it listens
F5, F9 = "71", "75"  # codes: by its name, xdotool may press a key with others
RED = "#c83c1e"
ASIDE = (640, 8)  # on the title bar, where the pointer hides nothing and brings up no tooltip
FIRST_STROKE, SECOND_STROKE = (420, 300), (700, 540)  # on the canvas of a photograph that fills the window
SELECTED = (640, 470, 1000, 620)  # corners around the second stroke
LONG_NAME = "Copy of Untitled strokes that somebody painted on an ordinary layer " * 3
SET_UP = f"Gimp.context_set_foreground(Gegl.Color.new('{RED}')); Gimp.context_set_brush_size(20.0)"

LAYERS = f"""
image = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, Gio.File.new_for_path({{photo!r}}))
for name, colour, x in (("retouching", "#808080", 100), ({LONG_NAME!r}, "{RED}", 300)):
    layer = Gimp.Layer.new(image, name, image.get_width(), image.get_height(), 1, 100.0, Gimp.LayerMode.NORMAL)
    image.insert_layer(layer, None, 0)
    Gimp.context_set_foreground(Gegl.Color.new(colour))
    image.select_ellipse(Gimp.ChannelOps.REPLACE, x, 150, 60, 20)
    layer.edit_fill(Gimp.FillType.FOREGROUND)
Gimp.Selection.none(image)
Gimp.Display.new(image)
"""


def xdotool(*words: object) -> str:
    done = subprocess.run(["xdotool", *map(str, words)], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def until(what: str, found: Callable[[], object]) -> object:
    """Waits for the first true value of found(), as long as GIMP, the plug-in or the service work."""
    return wait_until(found, what, ignored=SHOWING, pause=0.1)


def window(title: str) -> str:
    """The number of the visible window of this title (a regular expression)."""

    def last() -> str:
        return (xdotool("search", "--onlyvisible", "--name", title).splitlines() or [""])[-1]

    return str(until(f"the window “{title}”", last))


def closed(title: str) -> None:
    until(f"the end of “{title}”", lambda: not xdotool("search", "--onlyvisible", "--name", title))


def idle() -> None:
    """Waits until no run of the plug-in is left."""
    until("the end of the plug-in", lambda: rests() and not plug_ins())


def answered() -> None:
    """Waits until the service has answered a dialog: while one is waited for, the service works."""
    connection = Path(os.environ["GIMP_COLORIZE_STATE"]) / CONNECTION
    until("the service's answer", lambda: connection.exists() and rests() and rests())


def plug_ins() -> list[Path]:
    """The folders in /proc of all runs of the plug-in."""
    return [process for process in processes() if PLUG_IN in command(process)]


def rested() -> None:
    """Waits until GIMP has taken in what it was sent."""
    until("the end of GIMP's work", rests)


def rests() -> bool:
    """Whether for a moment nothing here wants a processor, and neither GIMP nor the service gets one.

    A program that has something to do is seen although a busy machine does not let it run.
    """
    before = sample(SHOWING)
    for _ in range(LOOKS):
        time.sleep(REST_SECONDS / LOOKS)
        if any(map(is_runnable, processes())):
            return False
    after = sample(SHOWING)
    return sum(after[process][0] - before.get(process, (0.0, 0))[0] for process in after) < REST_SHARE * REST_SECONDS


def is_runnable(process: Path) -> bool:
    """Whether a thread of it runs, waits for a processor (R), or for a disk (D)."""
    return any(text(thread / "stat").rpartition(")")[2][1:2] in ("R", "D") for thread in process.glob("task/*"))


def processes() -> list[Path]:
    """The folders in /proc of all processes but this."""
    return [process for process in Path("/proc").glob("[0-9]*") if process.name != str(os.getpid())]


def screen_at_rest() -> None:
    """Waits until GIMP rests and the screen has not changed meanwhile."""

    def is_still() -> bool:
        before = shown()
        return rests() and shown() == before

    until("a screen that does not change", is_still)


def shown() -> bytes:
    """The pixels of the screen."""
    return subprocess.run(["import", "-window", "root", "rgb:-"], capture_output=True, check=True).stdout


def clipboard() -> str:
    """The text on the clipboard, as long as the program that put it there runs."""
    code = """import gi
gi.require_version("Gtk", "3.0")
from gi.repository import Gdk, Gtk
print(Gtk.Clipboard.get(Gdk.SELECTION_CLIPBOARD).wait_for_text())"""
    return subprocess.run(["python3", "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def command(process: Path) -> str:
    return text(process / "cmdline")


def text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:  # the process has just ended
        return ""


@contextmanager
def screen(size: tuple[int, int] = SCREEN) -> Iterator[None]:
    """A virtual screen with a window manager."""
    reader, writer = os.pipe()
    options = ["-displayfd", str(writer), "-screen", "0", "{}x{}x24".format(*size), "-nolisten", "tcp", "-ac"]
    server = subprocess.Popen(["Xvfb", *options], pass_fds=[writer], stderr=subprocess.DEVNULL)
    os.close(writer)
    with os.fdopen(reader) as answer:
        os.environ["DISPLAY"] = f":{answer.readline().strip()}"
    managers: list[subprocess.Popen] = []

    def is_managed() -> bool:
        """Without a manager no window can be activated; it ends where the screen is not there yet."""
        if not managers or managers[-1].poll() is not None:
            managers.append(subprocess.Popen(["openbox"], stderr=subprocess.DEVNULL))
        return xdotool("get_num_desktops") not in ("", "0")

    try:
        until("the window manager", is_managed)
        yield
    finally:
        for process in (*managers, server):
            process.terminate()
            process.wait()


@contextmanager
def gimp(photos: list[str], layers: bool) -> Iterator[None]:
    with gimp_with(*([LAYERS.format(photo=photos[0])] if layers else [SET_UP, *photos])):
        yield


@contextmanager
def gimp_with(code: str, *files: str) -> Iterator[None]:
    """GIMP in a window, after this Python code has run in it."""
    words = ["gimp", "--no-splash", "--batch-interpreter", "python-fu-eval", "-b", code, *files]
    process = subprocess.Popen(["dbus-run-session", "--", *words], stdout=sys.stderr)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


class User:
    """Uses GIMP's main window, in the language of the plug-in's texts."""

    def __init__(self, folder: Path, translate: Callable[[str], str], size: tuple[int, int] = WINDOW) -> None:
        self._folder, self.read = folder, translate
        self._window = window(r"GIMP$")
        self._titles: dict[str, str] = {}
        self._shots = 0
        xdotool("windowsize", "--sync", self._window, *size)
        xdotool("windowmove", self._window, 0, 0)
        xdotool("mousemove", *ASIDE)
        screen_at_rest()
        self.key("ctrl+shift+j")  # the photograph fills the window

    def see(self, name: str) -> None:
        screen_at_rest()
        self._titles[name] = xdotool("getwindowname", self._window)
        self._write_down()
        self._shots += 1
        file = f"{self._shots:02d}-{name}.png"
        subprocess.run(["import", "-window", "root", self._folder / file], check=True)

    def key(self, *keys: str) -> None:
        xdotool("windowactivate", "--sync", self._window)
        for each in keys:
            rested()
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
        self.brush_down(start)
        self.brush_up()

    def brush_down(self, start: tuple[int, int]) -> None:
        """A stroke with the paintbrush, whose button stays down."""
        self.key("p")
        x, y = start
        xdotool("mousemove", x, y, "mousedown", 1)
        for step in range(20):
            xdotool("mousemove", x + 5 * step, y + step)
            time.sleep(0.02)

    def brush_up(self) -> None:
        xdotool("mouseup", 1, "mousemove", *ASIDE)

    def select(self, corners: tuple[int, int, int, int]) -> None:
        """A rectangle, without its moving outline: the screen has to come to rest."""
        self.key("r")
        left, top, right, bottom = corners
        xdotool("mousemove", left, top, "mousedown", 1, "mousemove", right - 9, bottom - 9)
        xdotool("mousemove", right, bottom, "mouseup", 1, "mousemove", *ASIDE)
        self.key("Return", "p", "ctrl+t")

    def press(self, title: str, *labels: str) -> None:
        """Presses buttons of a dialog, by the letters that are underlined in them."""
        xdotool("windowactivate", "--sync", window(title))
        for label in map(self.read, labels):
            rested()
            xdotool("key", f"alt+{label[label.index('_') + 1].lower()}")
        rested()

    def note(self, name: str, text: str) -> None:
        """Writes down what was seen elsewhere than on the screen."""
        self._titles[name] = text
        self._write_down()

    def _write_down(self) -> None:
        (self._folder / "titles.json").write_text(json.dumps(self._titles))

    def discard(self, key: str, title: str) -> None:
        """Closes what is not saved."""
        self.key(key)
        xdotool("windowactivate", "--sync", window(title))
        rested()
        xdotool("key", "alt+d")

    def agree(self, title: str, messages: int = 0, wait: bool = True) -> None:
        """Presses the dialog's own button, and those of the messages that follow; waits for the plug-in's end."""
        xdotool("windowactivate", "--sync", window(title))
        rested()
        xdotool("key", "Return")
        closed(title)
        if wait:
            idle()
        for _ in range(messages):
            self.agree("GIMP Message")


def visit(user: User) -> None:
    """A user's first quarter of an hour."""
    user.see("gray")
    user.open_menu()
    user.see("menu")
    user.key("Escape", "Escape", "Escape")
    colour_and_undo(user)
    paint_and_update(user)
    update_a_selection(user)
    look_at_the_service(user)


def colour_and_undo(user: User) -> None:
    title = user.read("Colorize Photo")
    user.choose("Colorize _Photo (AI)…")
    window(title)
    answered()
    user.see("dialog")
    user.press(title, "Everything _like it", "Cop_y as Command", "Everything _like it")
    user.note("command", clipboard())
    user.agree(title)
    user.see("coloured")
    user.key("ctrl+z")
    user.see("undone")
    user.key("ctrl+y")
    user.see("redone")


def paint_and_update(user: User) -> None:
    user.choose("New _Hint Layer")
    idle()
    user.paint(FIRST_STROKE)
    user.choose("Colorize _with Hints")
    user.agree("GIMP Message")  # it tells of Show Result Only, once
    user.see("hinted")
    user.key(F9)
    idle()
    user.see("result-only")
    user.choose("Show _Result Only")
    idle()
    user.see("strokes-shown")
    user.paint(SECOND_STROKE)
    user.see("painted-again")
    user.key(F5)
    idle()
    user.see("updated")
    user.key("ctrl+z")
    user.see("update-undone")


def update_a_selection(user: User) -> None:
    user.select(SELECTED)
    user.see("selected")
    user.choose("Colorize _with Hints")
    idle()
    user.see("selection-updated")
    user.key("ctrl+z")
    user.see("selection-undone")


def look_at_the_service(user: User) -> None:
    title = user.read("Colour Service")
    user.choose("_Service…")
    window(title)
    answered()
    user.see("service")
    xdotool("windowactivate", "--sync", window(title), "key", "Escape")
    closed(title)


def visit_layers(user: User) -> None:
    """A picture in colour, with retouching, and strokes on an ordinary layer that is selected."""
    title = user.read("Colorize Photo")
    user.see("layers")
    user.choose("Colorize _with Hints")
    window(title)
    user.see("question")
    user.agree(title, messages=1)
    user.see("hinted")
    user.choose("Colorize _Photo (AI)…")
    window(title)
    answered()
    user.see("dialog")
    user.note("dialog's width", xdotool("getwindowgeometry", "--shell", window(title)).split("WIDTH=")[1].split()[0])
    user.agree(title)
    user.see("coloured")


def visit_live(user: User) -> None:
    """Colours that follow the brush, of the second of two photographs."""
    title = user.read("Live Colours")
    user.see("gray")
    open_live(user, title)
    user.see("open")
    user.brush_down(FIRST_STROKE)
    user.see("brush-down")
    user.brush_up()
    user.see("stroke")
    user.key("ctrl+z")
    user.see("undone")
    open_live(user, title)
    until("the end of the second session", lambda: len(plug_ins()) == 1)
    user.key(F5)
    user.agree("GIMP Message", wait=False)
    user.paint(SECOND_STROKE)
    user.see("second")
    user.press(title, "_Done")
    closed(title)
    idle()
    user.see("done")
    user.key("ctrl+z")
    user.see("done-undone")
    user.key("ctrl+y")
    user.see("done-redone")
    cancel_and_close(user, title)


def open_live(user: User, title: str) -> None:
    user.choose("_Live Colours…")
    window(title)
    answered()


def cancel_and_close(user: User, title: str) -> None:
    """Cancel; closing the image, and GIMP, while the window is open."""
    open_live(user, title)
    user.paint(FIRST_STROKE)
    user.see("before-cancel")
    user.press(title, "_Cancel")
    closed(title)
    idle()
    user.see("cancelled")
    open_live(user, title)
    user.discard("ctrl+w", "Close")
    closed(title)
    idle()
    user.see("closed")
    user.note("message after closing", xdotool("search", "--onlyvisible", "--name", "GIMP Message"))
    open_live(user, title)
    user.discard("ctrl+q", "Quit GIMP")
    until("the end of GIMP", lambda: not any("gimp" in command(process).split("\0")[0] for process in processes()))
    user.note("after GIMP", str(len(plug_ins())))


def main(plug_in: str, photo: str, folder: str, scene: str = "") -> int:
    translate = gettext.translation("colorize", Path(plug_in) / "locale", fallback=True).gettext
    photos = [photo, photo] if scene == "live" else [photo]
    with screen(), gimp(photos, scene == "layers"):
        try:
            user = User(Path(folder), translate)
            {"layers": visit_layers, "live": visit_live}.get(scene, visit)(user)
        except NoProgress as failure:
            subprocess.run(["import", "-window", "root", Path(folder) / "failed.png"], check=False)
            print(failure, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
