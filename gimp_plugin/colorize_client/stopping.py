"""Stops the colour service: it is asked, and ended by force where it does not answer."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from colorize_client import lock, paths
from colorize_client.client import connect
from colorize_client.errors import ServiceNotRunning, ServiceSilent
from colorize_client.paths import StateFolder

TERM_SECONDS = 5.0  # between SIGTERM and SIGKILL
POLL_SECONDS = 0.05


def stop_service(*, client: str = "") -> bool:
    """Stop this user's service and wait until it is gone; returns whether one ran.

    Args:
        client: name and version of the caller, for the service's log.

    Raises:
        ServiceSilent: it does not answer, and its process was not found or did not end.
        ServiceError, ProtocolError: it could not be asked.
    """
    try:
        with connect(client=client, launch=False) as service:
            service.stop()
    except ServiceNotRunning:
        return False
    except ServiceSilent:
        if not end_by_force():
            raise
    return True


def end_by_force() -> bool:
    """Ends a service that does not answer: SIGTERM, then SIGKILL. Returns whether there was one.

    The process is the one whose number stands in the lock file and that has this file open; any other (a stale number,
    another namespace) is left alone.
    """
    ended = False
    for state in paths.candidates():
        pid = _holder(state)
        if pid is None:
            continue
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):  # it ended in this moment
                os.kill(pid, number)
            if _released(state, time.monotonic() + TERM_SECONDS):
                ended = True
                break
    return ended


def _holder(state: StateFolder) -> int | None:
    if not state.service_lock.exists() or _released(state, 0.0):
        return None
    text = state.service_lock.read_text(encoding="ascii", errors="replace").strip()
    return int(text) if text.isdigit() and _has_open(int(text), state.service_lock) else None


def _has_open(pid: int, file: Path) -> bool:
    with contextlib.suppress(OSError):  # it ended meanwhile, or is not ours to look at
        return any(_is_same(entry, file) for entry in Path(f"/proc/{pid}/fd").iterdir())
    return False


def _is_same(entry: Path, file: Path) -> bool:
    try:
        return entry.samefile(file)
    except OSError:  # a pipe or a socket
        return False


def _released(state: StateFolder, deadline: float) -> bool:
    while True:
        with lock.locked(state.service_lock) as free:
            if free:
                return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_SECONDS)
