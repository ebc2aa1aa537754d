"""Starts the colour service, once, however many programs ask at the same time."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from colorize_client import discovery, lock, paths
from colorize_client.errors import LaunchFailed, ServiceNotInstalled
from colorize_client.logs import log_tail
from colorize_client.paths import StateFolder

COMMAND_VARIABLE = "GIMP_COLORIZE_DAEMON"
COMMAND_FILE = "daemon.json"  # written by install.sh beside the folder of this package
LAUNCH_SECONDS = 60.0
POLL_SECONDS = 0.01
LOG_LINES = 12
FOREIGN_VARIABLES = ("PYTHONHOME", "PYTHONPATH")  # of GIMP's own Python, which is not the service's
EXIT_ALREADY_RUNNING = 3  # of gimp-colorize-daemon, when another one holds the lock


class _Service(subprocess.Popen[bytes]):
    """The service's process, which is meant to outlive this program."""

    def __del__(self) -> None:
        """Popen warns here of a child that still runs; ours should."""


_started: list[_Service] = []  # kept, so that their ends are collected and no zombie stays


def command() -> list[str]:
    """What starts the service: GIMP_COLORIZE_DAEMON, install.sh's daemon.json, or this interpreter's own package."""
    named = os.environ.get(COMMAND_VARIABLE)
    if named:
        return _split(named)
    file = Path(__file__).resolve().parent.parent / COMMAND_FILE
    if file.exists():
        return _command_of(file)
    if importlib.util.find_spec("colorize_daemon") is not None:
        return [sys.executable, "-m", "colorize_daemon.main"]
    raise ServiceNotInstalled(f"neither {COMMAND_VARIABLE} nor {file} names the service's command")


def _split(named: str) -> list[str]:
    try:
        words = shlex.split(named)
    except ValueError as error:
        raise ServiceNotInstalled(f"{COMMAND_VARIABLE} cannot be read: {error}") from error
    if not words:
        raise ServiceNotInstalled(f"{COMMAND_VARIABLE} names no command")
    return words


def _command_of(file: Path) -> list[str]:
    try:
        words = json.loads(file.read_text(encoding="utf-8"))["command"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ServiceNotInstalled(f"{file} cannot be read: {error}") from error
    if not (isinstance(words, list) and words and all(isinstance(word, str) for word in words)):
        raise ServiceNotInstalled(f'{file}: "command" must be a list of words')
    return words


def start_once(seconds: float = LAUNCH_SECONDS) -> str:
    """The endpoint of a service that listens, started by this call unless another program was faster.

    Raises:
        ServiceNotInstalled, LaunchFailed (the detail quotes the log), UnsafePlace, NoPlace.
    """
    state, deadline = paths.prepare(), time.monotonic() + seconds
    while time.monotonic() < deadline:
        with _turn(state) as ours:
            endpoint = discovery.find_service()
            if endpoint is not None:
                return endpoint
            if ours:
                return _start(state, deadline)
        time.sleep(POLL_SECONDS)
    raise LaunchFailed(f"another program is starting the service and did not finish within {seconds:g} s")


@contextlib.contextmanager
def _turn(state: StateFolder) -> Iterator[bool]:
    """Whether it is this program's turn to start the service; NoPlace where the folder takes no lock."""
    with contextlib.ExitStack() as stack:
        with paths.writing(state):
            ours = stack.enter_context(lock.locked(state.launch_lock))
        yield ours


def _start(state: StateFolder, deadline: float) -> str:
    words = command()
    process = _spawn(words, state)
    while time.monotonic() < deadline:
        endpoint = discovery.find_service()
        if endpoint is not None:
            return endpoint
        status = process.poll()
        if status not in (None, EXIT_ALREADY_RUNNING):
            raise LaunchFailed(f"{shlex.join(words)} ended with status {status}\n{_logs(state)}")
        time.sleep(POLL_SECONDS)
    raise LaunchFailed(f"the service does not listen in {state.path} in time\n{_logs(state)}")


def _spawn(words: list[str], state: StateFolder) -> _Service:
    _started[:] = [process for process in _started if process.poll() is None]
    with paths.writing(state):
        descriptor = os.open(state.launch_log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        process = _Service(
            words,
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            close_fds=True,  # GIMP's pipe to the plug-in must not live on in the service
            start_new_session=True,
            cwd="/",
            env={name: value for name, value in os.environ.items() if name not in FOREIGN_VARIABLES},
        )
    except (OSError, ValueError) as error:  # no such program; a zero byte in its name
        raise LaunchFailed(f"{shlex.join(words)}: {getattr(error, 'strerror', error)}") from error
    finally:
        os.close(descriptor)
    _started.append(process)
    return process


def _logs(state: StateFolder) -> str:
    """The last lines of what the service printed and logged, for the user to read."""
    parts = []
    for file in (state.launch_log, state.log):
        with contextlib.suppress(OSError):  # it was not written yet
            if lines := log_tail(file, LOG_LINES):
                parts.append("\n".join([f"{file} ends with:", *lines]))
    return "\n".join(parts)
