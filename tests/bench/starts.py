"""How long a service that has to be started takes to the first colours, beside a bare process with the network."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import scans
from colorize_client import connect, launcher, paths
from sessions import HERE, colour

SIZE, REPEATS = 1.0, 3


def first_colours(folder: Path) -> dict[str, float]:
    """Seconds, medians: from `connect` with no service running to the result of the first picture; of the bare process.

    The first pair is not counted: it brings files into the system's cache.
    """
    pairs = [(_service(folder / f"start-{n}"), _bare()) for n in range(REPEATS + 1)][1:]
    service, bare = zip(*pairs, strict=True)
    return {"service": median(service), "bare": median(bare)}


def _service(state: Path) -> float:
    """With a state folder of its own, so that it finds none; the service is the one that users start."""
    state.mkdir(mode=0o700)
    os.environ[paths.STATE_VARIABLE] = str(state)
    os.environ.pop(launcher.COMMAND_VARIABLE, None)
    gray = scans.scan(SIZE)
    begin = time.monotonic()
    with connect(client="benchmark") as client:
        colour(client, gray, hint=None)
        end = time.monotonic()
        client.stop()
    return end - begin


def _bare() -> float:
    words = [sys.executable, str(HERE / "bare_start.py"), *map(str, scans.size_of(SIZE))]
    begin = time.monotonic()
    subprocess.run(words, check=True)
    return time.monotonic() - begin
