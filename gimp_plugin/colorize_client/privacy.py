"""Is it ours alone? Whoever can write in the service's folder, or listens at its socket, could pose as the service."""

from __future__ import annotations

import os
import socket
import stat
import struct
from pathlib import Path

from colorize_client.errors import UnsafePlace


def check_private(folder: Path) -> None:
    """UnsafePlace unless the folder is a real one, owned by this user, closed to all others, and cannot be swapped."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise UnsafePlace(f"{folder} is not a folder (a symbolic link is not accepted); remove it")
    if found.st_uid != os.getuid():
        raise UnsafePlace(f"{folder} belongs to user {found.st_uid}, not to user {os.getuid()}; remove it")
    if found.st_mode & 0o077:
        said = f"{stat.S_IMODE(found.st_mode):04o}"
        raise UnsafePlace(f"{folder} has mode {said}; if it is the service's alone, correct it: chmod 700 {folder}")
    for parent in folder.parents:
        mode = parent.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise UnsafePlace(f"{parent} can be written by everybody, so {folder} could be swapped; chmod o-w {parent}")


def check_peer(connected: socket.socket, endpoint: str) -> None:
    """UnsafePlace where the other end of a connected Unix socket belongs to neither this user nor root."""
    if not hasattr(socket, "SO_PEERCRED"):
        return
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack("3i", connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    if uid not in (os.getuid(), 0):
        raise UnsafePlace(f"{endpoint} is served by user {uid}, not by user {os.getuid()}")
