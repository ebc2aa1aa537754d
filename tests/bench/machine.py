"""On what, and under which load, the numbers were taken."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch

QUIET_LOAD = 0.5
PACKAGES = ("torch", "numpy", "pyzmq", "msgpack", "pyvips")


def facts() -> dict[str, object]:
    """The machine, its load now, and versions."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _line("/proc/cpuinfo", "model name"),
        "cores": len(os.sched_getaffinity(0)),
        "ram_gib": round(int(_line("/proc/meminfo", "MemTotal").split()[0]) / 2**20, 1),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
        "torch_threads": torch.get_num_threads(),
        "commit": _commit(),
        "load": os.getloadavg(),
    }


@contextmanager
def busy(processors: int) -> Iterator[None]:
    """So many other programs that always want a processor, as a browser or a filter in GIMP would."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processors)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def _line(file: str, name: str) -> str:
    lines = (line.split(":", 1) for line in Path(file).read_text().splitlines() if ":" in line)
    return next((value.strip() for key, value in lines if key.strip() == name), "unknown")


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
