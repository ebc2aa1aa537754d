"""Finds the service of this user that is listening now."""

from __future__ import annotations

import socket

from colorize_client import connection_file, paths
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
            check_private(state.path)
        except FileNotFoundError:
            continue
        except PermissionError as error:
            unsafe = UnsafePlace(f"{state.path}: {error.strerror}")
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


def _endpoints(state: StateFolder) -> list[str]:
    connection = connection_file.read(state)
    named = [connection.endpoint] if connection else []
    return named + [state.endpoint] if state.endpoint not in named else named


def probe(endpoint: str) -> bool:
    """Whether a process of this user listens at an ipc endpoint; libzmq's own connect would wait in silence."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe_socket:
        probe_socket.settimeout(PROBE_SECONDS)
        try:
            probe_socket.connect(endpoint.removeprefix("ipc://"))
        except OSError:
            return False
        check_peer(probe_socket, endpoint)
    return True
