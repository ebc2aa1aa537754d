"""Waits that follow progress, not the clock: beside other work everything takes longer, and it goes on.

A wait is given up when the processes of the tests have neither used a processor nor moved data for a while; a very long
time ends it in any case. Standard library only: window.py and checks.py have this module inside GIMP's hosts.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TypeVar

QUIET = 60.0  # seconds without progress after which a wait is given up
CAP = 1800.0  # seconds after which it is given up although something goes on
SAMPLE_SECONDS = 1.0
LEAST_SHARE = 0.02  # of one processor: waiting in a loop and a blinking cursor use less
LEAST_BYTES = 1 << 20
MARK = "GIMP_COLORIZE_TESTS"  # in the environment of what the tests start: the number of their process
OUTSIDE = "GIMP_COLORIZE_OUTSIDE"  # names a file with the processor seconds of a process that is not seen from here
TICKS = os.sysconf("SC_CLK_TCK")

Found = TypeVar("Found")
Sample = dict[int, tuple[float, int]]  # process: processor seconds, bytes read from disks and written anywhere


class NoProgress(AssertionError):
    """What was waited for, and why the wait was given up."""


class Patience:
    """Whether to go on waiting.

    Args:
        quiet: seconds without progress after which there is no point.
        cap: seconds after which there is none in any case.
        ignored: programs whose work is none: those that only show or ask.
    """

    def __init__(self, quiet: float = QUIET, cap: float = CAP, ignored: Collection[str] = ()) -> None:
        self._quiet, self._cap, self._ignored = quiet, cap, ignored
        self._begin = self._since = self._sampled = time.monotonic()
        self._seconds, self._bytes = 0.0, 0  # since the last progress
        self._last = sample(ignored)

    def end(self) -> str:
        """Why to give up; "" while there is reason to wait."""
        now = time.monotonic()
        if now - self._begin > self._cap:
            return f"not within {self._cap:g} s, though something goes on"
        if now - self._sampled >= SAMPLE_SECONDS:
            self._look(now)
        if now - self._since > self._quiet:
            return f"nothing has gone on for {self._quiet:g} s"
        return ""

    def _look(self, now: float) -> None:
        current = sample(self._ignored)
        for process, (seconds, moved) in current.items():
            before = self._last.get(process, (0.0, 0))
            self._seconds += max(0.0, seconds - before[0])
            self._bytes += max(0, moved - before[1])
        self._last, self._sampled = current, now
        if self._seconds > LEAST_SHARE * self._quiet or self._bytes > LEAST_BYTES:
            self._since, self._seconds, self._bytes = now, 0.0, 0


def wait_until(
    found: Callable[[], Found],
    what: str,
    *,
    quiet: float = QUIET,
    cap: float = CAP,
    ignored: Collection[str] = (),
    pause: float = 0.02,
) -> Found:
    """The first true value of found(); NoProgress, an AssertionError, when there is no point in waiting for it."""
    patience = Patience(quiet, cap, ignored)
    while not (value := found()):
        reason = patience.end()
        if reason:
            raise NoProgress(f"{what}: {reason}")
        time.sleep(pause)
    return value


def sample(ignored: Collection[str] = ()) -> Sample:
    """The work so far of each of the tests' processes; of this one, what its other threads did."""
    me = os.getpid()
    found = {me: (time.process_time() - time.thread_time(), 0)}
    for process in processes(ignored):
        found[process.number] = (process.seconds, _bytes_moved(process.number))
    return found | _outside()


class Process:
    """A process as /proc shows it."""

    def __init__(self, number: int) -> None:
        line = Path(f"/proc/{number}/stat").read_text(errors="replace")
        self.number = number
        self.name = line[line.index("(") + 1 : line.rindex(")")]
        fields = line[line.rindex(")") + 2 :].split()
        self.parent = int(fields[1])
        self.seconds = sum(map(int, fields[11:15])) / TICKS  # children that have ended included


def processes(ignored: Collection[str] = ()) -> Iterator[Process]:
    """This process's descendants, and those that left it and carry its mark."""
    every = {process.number: process for process in _every_process()}
    me = os.getpid()
    mark = f"{MARK}={os.environ.get(MARK, me)}".encode()
    for process in every.values():
        if process.number == me or process.name in ignored:
            continue
        if _descends(process, me, every) or mark in _environment(process.number):
            yield process


def _every_process() -> Iterator[Process]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                yield Process(int(folder.name))
            except OSError:  # it has just ended
                continue


def _descends(process: Process, ancestor: int, every: dict[int, Process]) -> bool:
    while process.parent in every:
        if process.parent == ancestor:
            return True
        process = every[process.parent]
    return False


def _environment(number: int) -> list[bytes]:
    try:
        return Path(f"/proc/{number}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _bytes_moved(number: int) -> int:
    """Read from disks, and written anywhere."""
    try:
        lines = Path(f"/proc/{number}/io").read_text().splitlines()
    except OSError:
        return 0
    counts = dict(line.split(": ") for line in lines)
    return int(counts["read_bytes"]) + int(counts["wchar"])


def _outside() -> Sample:
    try:
        return {0: (float(Path(os.environ[OUTSIDE]).read_text()), 0)}
    except (KeyError, OSError, ValueError):
        return {}
