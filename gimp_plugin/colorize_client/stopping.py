"""Stops the colour service: it is asked, and ended by force where it does not answer."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from colorize_client import discovery, paths
from colorize_client.client import connect
from colorize_client.errors import ProtocolError, ServiceNotRunning, ServiceSilent, UnsafePlace
from colorize_client.paths import StateFolder

TERM_SECONDS = 5.0  # between SIGTERM and SIGKILL
POLL_SECONDS = 0.05


def stop_service(*, client: str = "") -> bool:
    """Stop this user's service, by force where it cannot be talked to, and wait for its end; returns whether one ran.

    Only the process that holds the lock of a state folder is asked: whatever else may answer there (at a socket that
    was put in its place) is not this folder's service.

    Args:
        client: name and version of the caller, for the service's log.

    Raises:
        ServiceSilent, ProtocolError: it gives no answer or none that makes sense, and its process was not found or did
            not end.
        ServiceError: it could not be asked.
    """
    try:
        with connect(client=client, launch=False) as service:
            if service.status().get("pid") not in map(discovery.holder, _usable()):
                return False
            service.stop()
    except ServiceNotRunning:
        return False
    except (ServiceSilent, ProtocolError):  # one of another version, too: its error says to stop it
        if not end_by_force():
            raise
    return True


def end_by_force() -> bool:
    """Ends a service that does not answer: SIGTERM, then SIGKILL. Returns whether there was one.

    The process is the one whose number stands in the lock file and that holds this file's lock; any other (a stale
    number, another namespace) is left alone.
    """
    ended = [_end(state) for state in _usable()]
    return any(ended)


def _usable() -> Iterator[StateFolder]:
    """The folders whose files can be trusted."""
    for state in paths.candidates():
        with contextlib.suppress(UnsafePlace):
            if discovery.is_usable(state):
                yield state


def _end(state: StateFolder) -> bool:
    for number in (signal.SIGTERM, signal.SIGKILL):
        pid = discovery.holder(state)
        if pid is None or not _holds(pid, state.service_lock):
            return False
        with contextlib.suppress(ProcessLookupError):  # it ended in this moment
            os.kill(pid, number)
        if _released(state, pid, time.monotonic() + TERM_SECONDS):
            return True
    return False


def _holds(pid: int, file: Path) -> bool:
    """Whether a process has a file open and locked."""
    with contextlib.suppress(OSError):  # it ended meanwhile, or is not ours to look at
        return any(_is_lock(entry, file) for entry in Path(f"/proc/{pid}/fd").iterdir())
    return False


def _is_lock(entry: Path, file: Path) -> bool:
    try:
        return entry.samefile(file) and "FLOCK" in Path(entry.parents[1], "fdinfo", entry.name).read_text("ascii")
    except OSError:  # a pipe or a socket, or closed meanwhile
        return False


def _released(state: StateFolder, pid: int, deadline: float) -> bool:
    while discovery.holder(state) == pid:
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True
