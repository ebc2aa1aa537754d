"""Runs of the product under a clock: inside GIMP, through the client alone, and of the command line."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyvips
import scans
from colorize_client import Client, HintTiles, Picture, connect, connection_file, end_by_force, launcher, paths
from host import Host
from timed_daemon import memory
from workshop import Service, Workshop

HERE = Path(__file__).parent
WARM_PIXELS = 0.05  # megapixels of the picture that loads the model
TILE = 256
RESET_PEAK = "5"  # to /proc/PID/clear_refs, see proc(5)
COMPILED = {"PYTHONDONTWRITEBYTECODE": ""}  # an installed plug-in is compiled once
QUALITY = 90  # of the folder's JPEG files


class BenchmarkError(Exception):
    """Why there is nothing to report."""


def prepared(suite: str, folder: Path) -> Workshop:
    """A suite's GIMP with the plug-in installed, and a folder for the state of a service.

    Raises:
        HostError.
    """
    state = folder / "state"
    state.mkdir(mode=0o700)
    host = Host(suite)
    host.ensure()
    workshop = Workshop(host, folder, Service(state, folder / "requests", folder / "service.log"))
    workshop.install()
    return workshop


def run_in_window(workshop: Workshop, script: str, environment: Mapping[str, str] | None = None) -> None:
    """Runs a script of this folder inside, which opens GIMP's window: python3 SCRIPT PLUG_IN_FOLDER FOLDER.

    Raises:
        BenchmarkError: GIMP or the plug-in failed; the text quotes what they printed.
    """
    for file in (script, "screen.py"):
        shutil.copy(HERE / file, workshop.folder)
    log = Path(script).with_suffix(".log").name
    words = ["python3", str(workshop.folder / script), str(workshop.plug_in), str(workshop.folder)]
    check(workshop, workshop.run(words, log, {**COMPILED, **(environment or {})}), log)


def check(workshop: Workshop, status: int, log: str) -> None:
    """BenchmarkError with the end of the log where GIMP did not end well."""
    if status:
        printed = (workshop.folder / log).read_text(errors="replace").splitlines()[-30:]
        raise BenchmarkError("\n".join([f"GIMP ended with status {status}:", *printed]))


class TimedService:
    """A service with clocks in it, started as clients start one, its model loaded; idle when the block begins.

    Attributes:
        idle: its memory then, in bytes.
        peak_was_reset: whether this machine lets the peak be counted from there; else it is since the start.
    """

    def __init__(self, state: Path, number: int) -> None:
        self._events = state.parent / f"events-{number}.jsonl"
        os.environ[paths.STATE_VARIABLE] = str(state)
        words = [sys.executable, str(HERE / "timed_daemon.py"), str(self._events)]
        os.environ[launcher.COMMAND_VARIABLE] = shlex.join(words)
        self.idle, self.peak_was_reset, self._process = 0, False, Path("/proc/self")

    def __enter__(self) -> TimedService:
        try:
            with connect(client="benchmark") as client:
                colour(client, scans.scan(WARM_PIXELS), hint=0)
        except BaseException:
            end_by_force()
            raise
        state = paths.candidates()[0]
        self._process = process = Path("/proc") / str(connection_file.read(state).pid)
        self.idle = memory(process)["rss"]
        self.peak_was_reset = _reset_peak(process)
        return self

    def __exit__(self, *_error: object) -> None:
        with connect(client="benchmark", launch=False) as client:
            client.stop()

    def memory_now(self) -> dict[str, int]:
        """Bytes: `rss` is what is in memory, `pss` the same with shared pages counted in parts."""
        lines = (self._process / "smaps_rollup").read_text().splitlines()
        sizes = {line.split(":")[0].lower(): 1024 * int(line.split()[1]) for line in lines if line.endswith(" kB")}
        return {name: sizes[name] for name in ("rss", "pss", "anonymous")}

    def events(self, begin: float, end: float) -> list[dict[str, Any]]:
        """What the service noted between two moments of the monotonic clock."""
        noted = [json.loads(line) for line in self._events.read_text().splitlines()]
        return [event for event in noted if begin <= event["moment"] <= end]

    def above_idle(self, begin: float, end: float) -> int:
        """Bytes of its peak above `idle`, as it stood at the end of the last request between two moments."""
        return max(event["memory"]["peak"] for event in self.events(begin, end)) - self.idle


def _reset_peak(process: Path) -> bool:
    try:
        (process / "clear_refs").write_text(RESET_PEAK)
    except OSError:
        return False
    return True


def colour(client: Client, gray: np.ndarray, hint: int | None) -> dict[str, Any]:
    """Has a plane coloured, with one painted tile of colour number `hint`; the bands are dropped."""
    height, width = gray.shape
    picture = Picture(width, height, "u8" if gray.dtype == np.uint8 else "u16", memoryview(gray).cast("B"))
    layout = "rgb8" if gray.dtype == np.uint8 else "rgb16"
    tiles = None if hint is None else _tile(height, width, hint)
    return client.colorize(picture, tiles, layout=layout, on_band=lambda y, rows, data: None)


def _tile(height: int, width: int, number: int) -> HintTiles:
    h, w = min(TILE, height), min(TILE, width)
    pixels = np.zeros((h, w, 4), np.uint8)
    pixels[h // 3 : h // 2, w // 4 : w // 2] = (40 * number % 256, 80, 160, 255)
    return HintTiles([(0, 0, w, h)], [pixels.tobytes()])


@dataclass(frozen=True)
class Pair:
    """A first run and a hint re-run through the client; seconds of each, and when both began and ended."""

    first: float
    again: float
    begin: float
    end: float


def client_pair(gray: np.ndarray, number: int) -> Pair:
    """A picture that the service has not seen (the caller's care), then the same with a hint."""
    moments = [time.monotonic()]
    for hint in (None, number):
        with connect(client="benchmark", launch=False) as client:
            summary = colour(client, gray, hint)
        moments.append(time.monotonic())
        expect(summary, first=hint is None)
    begin, between, end = moments
    return Pair(between - begin, end - between, begin, end)


def expect(summary: dict[str, Any], *, first: bool) -> None:
    """BenchmarkError where a run was not what its row says: a first one uploads and encodes, a re-run has hints."""
    found = (summary["uploaded"], summary["encoded"], summary["hint_cells"] > 0)
    if found != (first, first, not first):
        raise BenchmarkError(f"a {'first run' if first else 'hint re-run'} was (uploaded, encoded, hints) = {found}")


def gimp_runs(workshop: Workshop, gray: np.ndarray, warm_ups: int, repeats: int) -> dict[str, Any]:
    """What inside.py noted of a photograph in one GIMP.

    Raises:
        BenchmarkError: GIMP or the plug-in failed; the text quotes what they printed.
    """
    folder = workshop.folder
    case = {"photo": str(workshop.photo("scan", gray)), "plug_in": str(workshop.plug_in)}
    (folder / "case.json").write_text(json.dumps({**case, "warm_ups": warm_ups, "repeats": repeats}))
    (folder / "runs.json").unlink(missing_ok=True)
    for script in ("inside.py", "timeline.py"):
        shutil.copy(HERE / script, folder)
    code = f"import sys; sys.path.insert(0, {str(folder)!r}); import inside; inside.measure({str(folder)!r})"
    words = ["gimp-console", "--no-interface", "--no-data", "--no-fonts", "--quit"]
    words += ["--batch-interpreter=python-fu-eval", "-b", code]
    status = workshop.run(words, "gimp.log", COMPILED)
    check(workshop, status or not (folder / "runs.json").exists(), "gimp.log")
    return json.loads((folder / "runs.json").read_text())


def write_pictures(folder: Path, numbers: Sequence[int], megapixels: float) -> Path:
    """A new folder with a JPEG file of each number, all different."""
    folder.mkdir()
    for number in numbers:
        plane = scans.scan(megapixels, number=number)
        pyvips.Image.new_from_array(plane).write_to_file(str(folder / f"{number:03}.jpg"), Q=QUALITY)
    return folder


def command_seconds(pictures: Path, output: Path) -> float:
    """Of the command gimp-colorize on a folder, from its start to its end; results are removed again.

    Raises:
        BenchmarkError: it failed, or left a picture out.
    """
    command = [sys.executable, "-m", "colorize_cli.main", str(pictures), "-o", str(output)]
    start = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - start
    missing = {file.name for file in pictures.iterdir()} - {file.name for file in output.rglob("*")}
    if done.returncode or missing:
        raise BenchmarkError(f"gimp-colorize ended with status {done.returncode}, without {missing}: {done.stderr}")
    shutil.rmtree(output)
    return seconds
