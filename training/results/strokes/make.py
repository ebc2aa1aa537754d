"""Makes the sheets of this folder: what the default weights make of one stroke, or of a few, painted by hand.

    python training/results/strokes/make.py [NAME...]

Each sheet shows the photograph as the network colours it, the gray photograph with its strokes, and what comes of them.
The photographs are those that scikit-image and matplotlib carry: of NASA, of SpaceX and of the US Navy in the public
domain, the others under CC0. Strokes were placed once, by where a restorer would paint, and kept whatever came of them.
"""

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from colorize_client import Options
from colorize_engine import weights
from colorize_training.evaluation.methods import served
from colorize_training.evaluation.strokes.painting import Painting
from colorize_training.evaluation.strokes.sheets import beside, save, shown
from PIL import Image, ImageDraw

HEIGHT = 360  # pixels of a sheet
FOLDERS = {"skimage": "data", "matplotlib": "mpl-data/sample_data"}


class Line(NamedTuple):
    """A painted line: its colour, its points (x, y) and its width, in thousandths of the photograph's width."""

    colour: str
    points: list[tuple[int, int]]
    width: int = 12


class Sheet(NamedTuple):
    """A photograph, as package/file, and what is painted on it."""

    photograph: str
    lines: list[Line]


SHEETS = {
    "suit": Sheet("skimage/astronaut.png", [Line("#2e7d4f", [(270, 560), (330, 600), (400, 640)])]),
    "wall": Sheet("skimage/astronaut.png", [Line("#7fa8c9", [(600, 130), (680, 260), (640, 400)])]),
    "flag": Sheet(
        "skimage/astronaut.png",
        [
            Line("#26356e", [(45, 140), (60, 180), (88, 195)]),
            Line("#a8232e", [(84, 285), (115, 335), (145, 388)]),
            Line("#a8232e", [(30, 500), (50, 555), (70, 605)]),
        ],
    ),
    "saucer": Sheet("skimage/coffee.png", [Line("#2f5fa0", [(190, 360), (240, 470), (330, 560)])]),
    "cup": Sheet("skimage/coffee.png", [Line("#3f7d58", [(340, 290), (400, 350), (460, 370)])]),
    "table": Sheet("skimage/coffee.png", [Line("#6b4a2f", [(860, 170), (930, 260), (960, 420)])]),
    "fur": Sheet("skimage/chelsea.png", [Line("#8a8378", [(420, 330), (470, 420), (440, 520)])]),
    "eyes": Sheet(
        "skimage/chelsea.png",
        [Line("#3f86b5", [(340, 260), (350, 280)], 16), Line("#3f86b5", [(672, 312), (680, 322)], 16)],
    ),
    "sky": Sheet("skimage/rocket.jpg", [Line("#b5653f", [(560, 80), (600, 200), (620, 330)])]),
    "coat": Sheet("skimage/camera.png", [Line("#4a3a6b", [(150, 480), (190, 600), (230, 700)])]),
    "grass": Sheet("skimage/camera.png", [Line("#9c8449", [(660, 560), (760, 600), (880, 590)])]),
    "uniform": Sheet("matplotlib/grace_hopper.jpg", [Line("#1f2f5c", [(200, 1070), (300, 1090), (400, 1100)])]),
}


def photograph(name: str) -> np.ndarray:
    """RGB (H, W, 3) uint8."""
    package, _, file = name.partition("/")
    found = find_spec(package)
    if found is None or found.origin is None:
        raise SystemExit(f"{package} is not installed, and carries the photograph {file}")
    return np.asarray(Image.open(Path(found.origin).parent / FOLDERS[package] / file).convert("RGB"))


def painted(height: int, width: int, lines: list[Line]) -> Painting:
    """The hint layer with these lines, round at their ends as a brush leaves them."""
    layer = Image.new("RGBA", (width, height))
    draw, scale = ImageDraw.Draw(layer), width / 1000
    for line in lines:
        points, radius = [(x * scale, y * scale) for x, y in line.points], line.width * scale / 2
        draw.line(points, line.colour, round(2 * radius), "curve")
        for x, y in (points[0], points[-1]):
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), line.colour)
    return Painting(np.asarray(layer))


def main() -> None:
    default = next(record for record in weights.available() if record.default)
    (method,) = served(default.path, 0, (Options().temperature,), side=0)
    for name in sys.argv[1:] or SHEETS:
        rgb = photograph(SHEETS[name].photograph)
        height, width = rgb.shape[:2]
        strokes = painted(height, width, SHEETS[name].lines)
        panels = [method.colorize(rgb, painted(height, width, [])), shown(rgb, strokes), method.colorize(rgb, strokes)]
        size = (round(width * HEIGHT / height), HEIGHT)
        small = [np.asarray(Image.fromarray(panel).resize(size, Image.Resampling.LANCZOS)) for panel in panels]
        save(beside(small), Path(__file__).parent / f"{name}.webp")
        print(name, flush=True)


if __name__ == "__main__":
    main()
