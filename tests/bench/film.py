"""Films Live Colours in GIMP's window: an animated WebP of what a user sees, at the pace at which it happened.

    .venv/bin/python tests/bench/film.py [FILE]

FILE is by default the film that README.md shows. film_inside.py says what is done before the camera, to scikit-image's
photograph of an astronaut (NASA, in the public domain). The pointer, which is no part of a screen's pixels, and the
names of keys that are pressed are drawn into the pictures; each is shown for as long as it was seen.
"""

from __future__ import annotations

import json
import sys
import tempfile
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "gimp")]
from film_inside import PHOTOGRAPH, SIZE  # noqa: E402
from host import HostError  # noqa: E402
from photographs import load_photograph  # noqa: E402
from sessions import BenchmarkError, TimedService, prepared, run_in_window  # noqa: E402
from workshop import Workshop  # noqa: E402

FILM = ROOT / "gimp_plugin" / "pictures" / "live.webp"
QUALITY = 80
STUTTER = 0.2  # seconds without a picture that no film should have
KEY_SECONDS, KEY_HEIGHT = 0.9, 18  # how long a key's name is shown, and how high its letters are
KEY_PLACE = (282, 450)  # of its middle
SMALLER_TEXT = {"GDK_DPI_SCALE": "0.8"}
SETTINGS = """
(toolbox-wilber no)
(override-theme-icon-size yes)
(custom-icon-size small)
(default-view (show-rulers no) (show-scrollbars no))
"""
DOCKS = """
(session-info "toplevel"
    (factory-entry "gimp-single-image-window")
    (position 0 0)
    (open-on-exit)
    (aux-info (left-docks-width "64") (right-docks-width "340") (maximized "no"))
    (gimp-toolbox (side left))
    (gimp-dock (side right) (book (dockable "gimp-layer-list"))))
(show-tabs no)
"""

Frame = tuple[float, Image.Image]  # seconds since the film's begin, and what is seen from there


def record(workshop: Workshop) -> dict[str, Any]:
    """What film_inside.py noted; its pictures are in the workshop's folder.

    Raises:
        BenchmarkError: GIMP or the plug-in failed.
    """
    with (workshop.profile / "gimprc").open("a") as settings:
        settings.write(SETTINGS)
    (workshop.profile / "sessionrc").write_text(DOCKS)
    name = Path(PHOTOGRAPH).stem
    workshop.photo(name, load_photograph(name).gray)
    with TimedService(workshop.service.state, 0):
        run_in_window(workshop, "film_inside.py", SMALLER_TEXT)
    return json.loads((workshop.folder / "film.json").read_text())


def frames(folder: Path, noted: dict[str, Any]) -> list[Frame]:
    """The pictures with pointer and keys."""
    taken, length = (folder / "film.raw").read_bytes(), 4 * SIZE[0] * SIZE[1]
    found = []
    for picture in noted["pictures"]:
        begin = length * picture["number"]
        image = Image.frombytes("RGB", SIZE, taken[begin : begin + length], "raw", "BGRX")
        _draw_pointer(image, picture["pointer"])
        for at, text in noted["keys"]:
            if at <= picture["at"] < at + KEY_SECONDS:
                _draw_key(image, text)
        found.append((picture["at"], image))
    return found


def _draw_pointer(image: Image.Image, pointer: dict[str, Any]) -> None:
    size, pixels = (pointer["width"], pointer["height"]), np.array(pointer["argb"], "<u4").tobytes()
    shape = Image.frombytes("RGBa", size, pixels, "raw", "BGRa").convert("RGBA")
    image.paste(shape, (pointer["x"], pointer["y"]), shape)


def _draw_key(image: Image.Image, text: str) -> None:
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(KEY_HEIGHT)
    left, top, right, bottom = draw.textbbox(KEY_PLACE, text, font, "mm")
    draw.rounded_rectangle((left - 12, top - 8, right + 12, bottom + 8), 6, "#202020", "#e0e0e0")
    draw.text(KEY_PLACE, text, "#ffffff", font, "mm")


def save(seen: list[Frame], end: float, file: Path) -> None:
    """Frames that follow each other and are alike become one, shown as long as they together."""
    alike = [next(group) for _, group in groupby(seen, key=lambda frame: frame[1].tobytes())]
    moments = [round(1000 * at) for at, _ in alike] + [round(1000 * end)]
    durations = [after - at for at, after in zip(moments, moments[1:], strict=False)]
    first, *others = (image for _, image in alike)
    options = {"quality": QUALITY, "method": 6, "duration": durations, "loop": 0}
    first.save(file, save_all=True, append_images=others, **options)


def check(seen: list[Frame], end: float) -> None:
    """BenchmarkError where the machine had no time for the camera."""
    moments = [at for at, _ in seen] + [end]
    longest = max(after - at for at, after in zip(moments, moments[1:], strict=False))
    print(f"{len(seen)} pictures in {end:.1f} s, the longest time between two is {longest:.2f} s")
    if longest > STUTTER:
        raise BenchmarkError("the film stutters: film again while nothing else runs")


def main(file: str = str(FILM)) -> int:
    try:
        with tempfile.TemporaryDirectory(prefix="gc-film-", dir="/tmp") as name:  # a socket's path must be short
            noted = record(prepared("trixie", Path(name)))
            seen = frames(Path(name), noted)
        check(seen, noted["end"])
    except (BenchmarkError, HostError) as error:
        print(f"tests/bench/film.py: {error}", file=sys.stderr)
        return 1
    save(seen, noted["end"], Path(file))
    print(f"{file}: {Path(file).stat().st_size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
