"""What the service takes of the machine: its memory, and processors that other programs want too."""

from __future__ import annotations

import ctypes
import gc
import mmap
import os
import re
import resource
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LARGE = 8 << 20  # bytes
LOOK_SECONDS = 0.5  # between looks at what other programs do
LOOKS = 3
_MMAP_THRESHOLD = -3  # mallopt(3)


def share_processors() -> None:
    """Lets threads fall asleep soon where they wait for each other; to be called before numpy and torch are imported.

    GNU's OpenMP, which torch's packages for Linux carry, lets them spin for milliseconds. With GIMP or a browser at
    work on one of two processors, they spin away the time that the late one needs: with OpenMP's own count, 300000, a
    changed stroke took 0.9 to 7 s (`tests/bench/run --busy 1`). Too low a count sends them to sleep between any two
    steps of the network: its light part on two threads then takes 66 ms (5000) instead of 40 (8000) or 34 (20000, and
    300000). Beside a busy program that is 87, 127 and 175 ms, but for a second only: then `Processors` leaves it one
    thread, which takes 53 (a loop around `Colorizer.predict` with one new stroke and a pause, two Xeon cores, 27
    November 2026).

    numpy's OpenBLAS has threads of its own, which spin for 25 ms after each small product that needs none of them: a
    sixth of all that the service computed for a folder.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Processors:
    """How many of the processors other programs leave free; all of them where the system does not say.

    Args:
        facts: the system's counters, see proc_stat(5).
    """

    def __init__(self, facts: Path = Path("/proc/stat")) -> None:
        self.count, self._facts = cores(), facts
        self._looks: deque[tuple[float, float]] = deque([self._now()], maxlen=LOOKS)

    def look(self) -> None:
        """Looks again, if the last look was long enough ago; to be called at least once a second."""
        if time.monotonic() - self._looks[-1][0] >= LOOK_SECONDS:
            self._looks.append(self._now())

    def free(self) -> int:
        """1 or more: all but those that others used, without pause, between each of the last looks.

        Without pause, since a client is busy just before it asks, and waits then.
        """
        self.look()
        looks = list(self._looks)
        if len(looks) < LOOKS:
            return self.count
        used = min((b[1] - a[1]) / (b[0] - a[0]) for a, b in zip(looks[:-1], looks[1:], strict=True))
        return min(self.count, max(1, round(self.count - used)))

    def _now(self) -> tuple[float, float]:
        """This moment, and the seconds of processor time that others have had so far.

        What a program of low priority has, it will give; what another system on the same machine takes, is not there.
        """
        try:
            text = self._facts.read_text(encoding="ascii")
        except OSError:  # not Linux
            return time.monotonic(), 0.0
        allowed = os.sched_getaffinity(0)
        ticks = sum(sum(map(int, counts)) for number, *counts in _TICKS.findall(text) if int(number) in allowed)
        return time.monotonic(), ticks / os.sysconf("SC_CLK_TCK") - time.process_time()


# Of each processor: in user mode, in the system, in both kinds of interrupts, and taken by other systems.
_TICKS = re.compile(r"^cpu(\d+) (\d+) \d+ (\d+) \d+ \d+ (\d+) (\d+) (\d+)", re.MULTILINE)


@contextmanager
def importing() -> Iterator[None]:
    """For imports that make hundreds of thousands of objects, all of which stay: nobody looks through them for garbage.

    PyTorch is there in 1.6 s instead of 2.0, and a later look through what the service itself made takes no tenth of a
    second more.
    """
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()


def return_large_pieces() -> None:
    """Lets glibc give pieces of memory from LARGE on back to the system as soon as they are free.

    By itself it learns to keep pieces of up to 32 MB for the next ones, and tensors of all sizes then leave holes: a
    service at rest had 65 to 85 MB more. The processors' time for a changed stroke on 24 megapixels stayed the same
    within what runs differ; from 4 MiB on, twice as many pages are asked for and cleared for a small picture, which is
    a twentieth of its time, and 8 MB less are held at rest.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None and "MALLOC_MMAP_THRESHOLD_" not in os.environ:
        set_option(_MMAP_THRESHOLD, LARGE)


def trim() -> None:
    """Gives freed memory back to the system; glibc keeps it for itself, elsewhere nothing is done."""
    trim_heap = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim_heap is not None:
        trim_heap(0)


def unmap_pages() -> None:
    """Lets go of what was read of libraries and other files: it stays in the system's cache as long as there is room.

    Only mappings that cannot be written and hold nothing but the file's own bytes, so every page comes back as it was.
    For a service at rest this is 240 MB of PyTorch's libraries. Without Linux nothing is done.
    """
    if not sys.platform.startswith("linux"):
        return
    advise = ctypes.CDLL(None).madvise
    advise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    for start, end in _file_pages(Path("/proc/self/smaps").read_text(encoding="utf-8", errors="replace")):
        advise(start, end - start, mmap.MADV_DONTNEED)


def _file_pages(smaps: str) -> Iterator[tuple[int, int]]:
    """Start and end of each mapping of a file without a page of the process's own, nor any that could become one."""
    for part in _MAPPING.finditer(smaps):
        start, end, rights, inode, name, sizes = part.groups()
        of_a_file = inode != "0" and not name.startswith("/dev/")
        if of_a_file and "w" not in rights and re.search(r"^Anonymous: +0 kB$", sizes, re.MULTILINE):
            yield int(start, 16), int(end, 16)


_MAPPING = re.compile(
    r"^([0-9a-f]+)-([0-9a-f]+) (\S{4}) [0-9a-f]+ [0-9a-f]+:[0-9a-f]+ (\d+) *(.*)\n((?:[A-Z]\w+:.*\n)+)", re.MULTILINE
)


def memory() -> dict[str, int]:
    """Bytes in memory now (`rss`) and at most so far (`peak_rss`)."""
    try:
        text = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:  # not Linux: only the peak is to be had
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        return {"rss": peak, "peak_rss": peak}
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in text.splitlines() if line.endswith(" kB")}
    return {"rss": 1024 * kilobytes["VmRSS"], "peak_rss": 1024 * kilobytes["VmHWM"]}
