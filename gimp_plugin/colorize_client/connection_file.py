"""The connection file: a running service says in it where it listens."""

from __future__ import annotations

import json
import os
import stat
import tempfile
from dataclasses import asdict, dataclass

from colorize_client.errors import UnsafePlace
from colorize_client.paths import StateFolder

MAX_CONNECTION_FILE = 4096  # bytes


@dataclass(frozen=True)
class Connection:
    """What the connection file says about the service that wrote it; `started` is seconds since the epoch."""

    endpoint: str
    pid: int
    protocol: int
    version: str
    started: float


def read(state: StateFolder) -> Connection | None:
    """What the connection file says, None where there is none or it is not a whole one of ours."""
    try:
        descriptor = os.open(state.connection_file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        found = os.fstat(descriptor)
        if found.st_uid != os.getuid():
            raise UnsafePlace(f"{state.connection_file} belongs to another user; remove it")
        content = os.read(descriptor, MAX_CONNECTION_FILE) if stat.S_ISREG(found.st_mode) else b""
    finally:
        os.close(descriptor)
    try:
        connection = Connection(**json.loads(content))
    except (ValueError, TypeError, RecursionError):
        return None
    return connection if str(connection.endpoint).startswith("ipc://") else None


def write(state: StateFolder, connection: Connection) -> None:
    """Puts the connection file in place, whole or not at all, mode 0600."""
    descriptor, name = tempfile.mkstemp(dir=state.path, prefix="connection.")
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            json.dump(asdict(connection), file)
        os.replace(name, state.connection_file)
    except OSError:
        os.unlink(name)
        raise
