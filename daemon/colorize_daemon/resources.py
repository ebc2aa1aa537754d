"""What the service takes of the machine: its memory, and processors that other programs want too."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path


def share_processors() -> None:
    """Lets torch's threads fall asleep soon where they wait for each other; to be called before torch is imported.

    GNU's OpenMP, which torch's packages for Linux carry, lets them spin for milliseconds. With GIMP or a browser at
    work on one of two processors, they spin away the time that the late one needs: a changed stroke took 0.9 to 7 s
    where it takes 0.4 with this count (`tests/bench/run --busy 1`). Alone, this count costs nothing; 0 costs a half.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "5000")


def memory() -> dict[str, int]:
    """Bytes in memory now (`rss`) and at most so far (`peak_rss`)."""
    try:
        text = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:  # not Linux: only the peak is to be had
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        return {"rss": peak, "peak_rss": peak}
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in text.splitlines() if line.endswith(" kB")}
    return {"rss": 1024 * kilobytes["VmRSS"], "peak_rss": 1024 * kilobytes["VmHWM"]}
