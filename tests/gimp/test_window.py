"""The plug-in in a real GIMP window: menu, dialog, undo, hints painted by mouse. The screenshots are kept."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from skimage import io
from skimage.color import rgb2lab
from workshop import Workshop

pytestmark = pytest.mark.timeout(3600)  # the first test of a suite makes its GIMP

LANGUAGES = {"trixie": "en", "forky": "de"}
CANVAS = (slice(180, 660), slice(240, 980))  # rows and columns of the screen that the photograph covers
SCREEN_WIDTH = 1280
GRAY, SAME = 2.0, 0.001  # chroma that a gray screen may have; share of pixels by which equal canvases may differ


# A second visit takes half a minute, and nothing in it depends on GIMP's version.
in_one_suite = pytest.mark.parametrize("host", [*LANGUAGES][:1], indirect=True, scope="session")


@dataclass(frozen=True)
class Visit:
    """What the user saw: the canvas and the window's title after each step."""

    folder: Path
    titles: dict[str, str]

    def canvas(self, step: str) -> np.ndarray:
        """sRGB colours (H, W, 3) 0..255 of the photograph on the screen."""
        (file,) = self.folder.glob(f"??-{step}.png")
        return io.imread(file)[..., :3][CANVAS]

    def chroma(self, step: str) -> np.ndarray:
        lab = rgb2lab(self.canvas(step))
        return np.hypot(lab[..., 1], lab[..., 2])

    def differs(self, step: str, other: str) -> float:
        """The share of the canvas that looks different after these two steps."""
        return float(np.any(self.canvas(step) != self.canvas(other), axis=-1).mean())


@pytest.fixture(scope="session")
def visits(workshops: dict[str, Workshop], output_folder: Path) -> Iterator[dict[str, Future[Visit]]]:
    """A user's first quarter of an hour in each suite's GIMP, at the same time: most of it is waiting."""
    with ThreadPoolExecutor() as pool:
        yield {
            suite: pool.submit(visited, workshop, output_folder, "chelsea.png") for suite, workshop in workshops.items()
        }


@pytest.fixture(scope="session")
def visit(workshop: Workshop, visits: dict[str, Future[Visit]]) -> Visit:
    """A user's first quarter of an hour with the plug-in, in English or German."""
    return visits[workshop.host.suite].result()


@pytest.fixture(scope="session")
def layers_visit(workshop: Workshop, output_folder: Path) -> Visit:
    """A picture in colour with retouching, and strokes on an ordinary layer."""
    return visited(workshop, output_folder, "colour.png", "layers")


@pytest.fixture(scope="session")
def live_visits(workshops: dict[str, Workshop], output_folder: Path) -> Iterator[dict[str, Future[Visit]]]:
    """Live Colours in each suite's GIMP, at the same time."""
    with ThreadPoolExecutor() as pool:
        yield {
            suite: pool.submit(visited, workshop, output_folder, "chelsea.png", "live")
            for suite, workshop in workshops.items()
        }


@pytest.fixture(scope="session")
def live_visit(workshop: Workshop, live_visits: dict[str, Future[Visit]]) -> Visit:
    """Colours that follow the brush."""
    return live_visits[workshop.host.suite].result()


def visited(workshop: Workshop, output_folder: Path, photo: str, *scene: str) -> Visit:
    suite = workshop.host.suite
    shots = workshop.folder / "-".join(["screenshots", *scene])
    shots.mkdir()
    words = ["python3", workshop.folder / "window.py", workshop.plug_in, workshop.folder / photo, shots, *scene]
    language = {"LANGUAGE": LANGUAGES[suite]}
    status = workshop.run([str(word) for word in words], "window.log", language)
    kept = output_folder / "-".join([f"gimp-{suite}-window", *scene])
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(shots, kept)
    assert status == 0, (workshop.folder / "window.log").read_text(errors="replace")
    return Visit(kept, json.loads((kept / "titles.json").read_text()))


def test_colours_come_through_menu_and_dialog(visit: Visit) -> None:
    assert np.median(visit.chroma("gray")) < GRAY
    assert np.median(visit.chroma("coloured")) > GRAY
    assert "Grayscale" in visit.titles["gray"]
    assert "RGB" in visit.titles["coloured"]


def test_one_undo_takes_back_colours_and_conversion(visit: Visit) -> None:
    assert visit.differs("undone", "gray") < SAME
    assert "Grayscale" in visit.titles["undone"]
    assert visit.differs("redone", "coloured") < SAME


def test_a_painted_hint_changes_the_colours(visit: Visit) -> None:
    assert visit.differs("hinted", "coloured") > 0.1


def test_show_result_only_hides_the_strokes_and_shows_them_again(visit: Visit) -> None:
    assert 0.001 < visit.differs("result-only", "hinted") < 0.1
    assert visit.differs("strokes-shown", "hinted") < SAME


def test_the_settings_can_be_copied_as_a_command(visit: Visit) -> None:
    assert visit.titles["command"] == "gimp-colorize --alike"


def test_update_is_one_undo_step(visit: Visit) -> None:
    assert visit.differs("updated", "painted-again") > 0.1
    assert visit.differs("update-undone", "painted-again") < SAME


def test_update_of_a_selection_is_one_undo_step(visit: Visit) -> None:
    assert visit.differs("selected", "painted-again") < SAME
    assert visit.differs("selection-updated", "selected") > 0.02
    assert visit.differs("selection-undone", "selected") < SAME


@in_one_suite
def test_strokes_on_an_ordinary_layer_are_asked_about_and_then_count(layers_visit: Visit) -> None:
    """The question, the message, and a second run that asks nothing; the result lies above the retouching."""
    assert "3 layers" in layers_visit.titles["layers"]
    assert "4 layers" in layers_visit.titles["hinted"]
    assert layers_visit.differs("hinted", "layers") > 0.1
    assert "4 layers" in layers_visit.titles["coloured"]


@in_one_suite
def test_long_names_do_not_widen_the_dialog(layers_visit: Visit) -> None:
    assert int(layers_visit.titles["dialog's width"]) < SCREEN_WIDTH / 2


def test_live_colours_follow_the_brush_while_it_is_down(live_visit: Visit) -> None:
    assert np.median(live_visit.chroma("gray")) < GRAY
    assert np.median(live_visit.chroma("open")) > GRAY
    assert live_visit.differs("brush-down", "open") > 0.05
    assert live_visit.differs("stroke", "brush-down") < 0.2


def test_undo_takes_back_a_stroke_and_its_colours(live_visit: Visit) -> None:
    assert live_visit.differs("undone", "open") < SAME


def test_done_is_one_undo_step_and_cancel_leaves_everything(live_visit: Visit) -> None:
    assert live_visit.differs("done-undone", "done") > 0.1
    assert np.median(live_visit.chroma("done-undone")) < GRAY
    assert live_visit.differs("done-redone", "done") < SAME
    assert live_visit.differs("before-cancel", "done") > 0.05
    assert live_visit.differs("cancelled", "done") < SAME


def test_the_window_ends_with_its_image_and_with_gimp(live_visit: Visit) -> None:
    assert "Grayscale" in live_visit.titles["closed"]
    assert live_visit.titles["message after closing"] == ""
    assert live_visit.titles["after GIMP"] == "0"
