"""Finds the service of this user that is listening now."""

from __future__ import annotations

import os
import socket
import stat

from colorize_client import connection_file, lock, paths
from colorize_client.errors import UnsafePlace
from colorize_client.paths import StateFolder
from colorize_client.privacy import check_peer, check_private

PROBE_SECONDS = 2.0


def find_service() -> str | None:
    """The endpoint of a service that is listening now, None where there is none.

    Raises UnsafePlace where the only folder to look in is not private.
    """
    unsafe: UnsafePlace | None = None
    for state in paths.candidates():
        try:
            if not is_usable(state):
                continue
        except UnsafePlace as error:
            unsafe = error
            continue
        for endpoint in _endpoints(state):
            if probe(endpoint):
                return endpoint
    if unsafe is not None:
        raise unsafe
    return None


def is_usable(state: StateFolder) -> bool:
    """Whether the folder is there; UnsafePlace where it is, and what is in it cannot be trusted."""
    try:
        check_private(state.path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise UnsafePlace(f"{state.path}: {error.strerror}") from error
    return True


def holder(state: StateFolder) -> int | None:
    """The number of the process that serves this folder, as that process itself knows it; None where none does."""
    return lock.holder(state.service_lock)


def _endpoints(state: StateFolder) -> list[str]:
    """Where the service of this folder listens: at the folder's own socket, or where it announced.

    A connection file that another process wrote (one of a folder that was copied, or of a service that was killed)
    may lead to a service that is not this folder's, so it counts only where its writer holds the folder's lock.
    """
    connection = connection_file.read(state)
    if connection is None or connection.endpoint == state.endpoint or connection.pid != holder(state):
        return [state.endpoint]
    return [connection.endpoint, state.endpoint]


def probe(endpoint: str) -> bool:
    """Whether a process of this user listens at an ipc endpoint; libzmq's own connect would wait in silence.

    A link to a socket is none: it is another folder's.
    """
    path = endpoint.removeprefix("ipc://")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe_socket:
        probe_socket.settimeout(PROBE_SECONDS)
        try:
            if not stat.S_ISSOCK(os.lstat(path).st_mode):
                return False
            probe_socket.connect(path)
        except (OSError, ValueError):  # a path with a zero byte is none
            return False
        check_peer(probe_socket, endpoint)
    return True
