"""The benchmark runs and says everything it is meant to say; how long anything took is no test's business."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "gimp")]

import baselines  # noqa: E402
import benchmark  # noqa: E402
import film  # noqa: E402
import scans  # noqa: E402
import starts  # noqa: E402
from host import Host, NotRoot  # noqa: E402
from PIL import Image  # noqa: E402
from sessions import BenchmarkError  # noqa: E402
from timeline import DOWN, UP, WAITING, divide, own_seconds  # noqa: E402

SUITE = "trixie"
STEPS = ("read the gray plane", "hash", UP, "encode", "predict", "lift", DOWN, "write pixels", "finish with undo step")
PLUG_IN = [("read", 0, 2), (WAITING, 2, 20), ("write", 10, 12), ("write", 13, 14)]
SERVICE = [("encode", 4, 6), ("predict", 6, 9), ("hints", 7, 8), ("lift", 9, 11), ("lift", 15, 18), ("lift", 30, 31)]


def test_every_moment_belongs_to_one_step() -> None:
    divided = divide(("other", 0, 22), PLUG_IN, SERVICE, "predict")
    wanted = {"read": 2, UP: 2, "encode": 2, "predict": 2, "hints": 1, "lift": 4, "write": 3, DOWN: 4, "other": 2}
    assert divided == wanted
    assert sum(divided.values()) == 22


def test_own_time_counts_also_while_the_plug_in_writes() -> None:
    assert own_seconds(("other", 0, 22), SERVICE) == {"encode": 2, "predict": 2, "hints": 1, "lift": 5}


def _frames(*moments: tuple[float, str]) -> list[film.Frame]:
    return [(at, Image.new("RGB", (32, 32), colour)) for at, colour in moments]


def test_a_film_shows_each_picture_as_long_as_it_was_seen(tmp_path: Path) -> None:
    seen = _frames((0.0, "gray"), (0.08, "red"), (0.171, "red"), (0.25, "blue"))
    film.save(seen, 0.4, tmp_path / "film.webp")
    durations = []
    with Image.open(tmp_path / "film.webp") as saved:
        for number in range(saved.n_frames):
            saved.seek(number)
            saved.load()
            durations.append(saved.info["duration"])
    assert durations == [80, 170, 150]


def test_a_film_that_stutters_is_refused() -> None:
    film.check(_frames((0.0, "gray"), (0.1, "red")), 0.2)
    with pytest.raises(BenchmarkError, match="film again while nothing else runs"):
        film.check(_frames((0.0, "gray"), (0.1, "red"), (0.5, "blue")), 0.6)


def test_a_film_has_the_pointer_and_the_keys_in_it(tmp_path: Path) -> None:
    width, height = film.SIZE
    (tmp_path / "film.raw").write_bytes(bytes([200, 100, 50, 0]) * (width * height))
    pointer = {"x": -1, "y": 4, "width": 2, "height": 1, "argb": [0xFF00FF00, 0x80800000]}
    pictures = [{"at": at, "number": 0, "pointer": pointer} for at in (0.0, 0.5)]
    (_, before), (_, after) = film.frames(tmp_path, {"pictures": pictures, "keys": [(0.4, "Ctrl+Z")]})
    assert before.getpixel((0, 3)) == (50, 100, 200)
    assert before.getpixel((0, 4)) == pytest.approx((153, 50, 100), abs=1)
    assert before.getpixel(film.KEY_PLACE) == (50, 100, 200)
    left, top = film.KEY_PLACE
    around = (left - 30, top - 12, left + 30, top + 12)
    assert (255, 255, 255) in [colour for _, colour in after.crop(around).getcolors(around[2] * around[3])]


@pytest.mark.parametrize("deep", [False, True])
def test_scans_have_size_depth_and_grain(deep: bool) -> None:
    plane = scans.scan(0.24, deep=deep)
    assert plane.shape == (400, 600)
    assert plane.dtype.itemsize == 1 + deep
    peak = 65535 if deep else 255
    assert 0.1 < plane.std() / peak < 0.4
    assert (abs(plane[:, 1:].astype(float) - plane[:, :-1]).mean() / peak) > 0.003


def test_memory_at_rest_is_measured_without_gimp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(benchmark, "AT_REST", 0.0)
    monkeypatch.setattr(benchmark, "REST_SIZE", 0.24)
    assert benchmark.main(["--rest", "--json", str(tmp_path / "rest.json")]) == 0
    assert re.search(r"a minute after 0.24 MP: rss \d+ MB, pss \d+ MB, anonymous \d+ MB", capsys.readouterr().out)
    rest = json.loads((tmp_path / "rest.json").read_text())["rest"]
    assert rest["rss"] >= rest["pss"] > 0 < rest["anonymous"] < rest["rss"]


def test_a_start_is_measured_without_gimp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(starts, "SIZE", 0.05)
    monkeypatch.setattr(starts, "REPEATS", 1)
    assert benchmark.main(["--start", "--json", str(tmp_path / "start.json")]) == 0
    assert re.search(r"service not running: [\d.]+ s; a bare process .*: [\d.]+ s", capsys.readouterr().out)
    start = json.loads((tmp_path / "start.json").read_text())["start"]
    assert start["service"] > 0 < start["bare"]


def test_a_folder_is_measured_without_gimp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(baselines, "PASSES", 1)
    assert benchmark.main(["--folder", "--quick", "--json", str(tmp_path / "folder.json")]) == 0
    assert "folder: 3 JPEG files" in capsys.readouterr().out
    rate = json.loads((tmp_path / "folder.json").read_text())["folder"]
    assert rate["command"] > 0 < rate["network"]


@pytest.mark.timeout(3600)  # the first use of a suite makes its GIMP
def test_quick_run_prints_every_row(tmp_path: Path) -> None:
    try:
        Host(SUITE).ensure()
    except NotRoot as error:
        pytest.skip(str(error))
    file = tmp_path / "numbers.json"
    words = [HERE / "run", "--quick", "--megapixels", "1", "--suite", SUITE, "--json", file]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
    for words in ("1 megapixels", "network alone", "plain copy", "bare ipc socket", "load average", "folder: "):
        assert words in done.stdout
    numbers = json.loads(file.read_text())
    _check_case(numbers["cases"][0])
    for row in numbers["speed"]:
        assert re.search(rf"^{re.escape(row['what'])} +[<>]= {row['reach']:g} ", done.stdout, re.MULTILINE), row
        too_large = re.search("24 MP|100 MP|of which|not running|a bare process", row["what"])
        assert (row["measured"] is None) == bool(too_large), row


def _check_case(case: dict) -> None:
    """Every step was seen, and the steps together are the whole."""
    for step in STEPS:
        assert case["steps"]["first"][step] > 0, step
    again = case["steps"]["again"]
    assert again["hints"] > 0
    assert again["read the hint tiles"] > 0
    assert "encode" not in again
    for kind in ("first", "again"):
        assert sum(case["steps"][kind].values()) == pytest.approx(case["total"][kind])
        assert case["procedure"][kind] > 0
