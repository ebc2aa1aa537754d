"""Locks between programs: the flock of a file."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MAX_NUMBER_BYTES = 20


@contextmanager
def locked(path: Path, wait: bool = False) -> Iterator[bool]:
    """Tries the flock of a file, or waits for it; yields whether it was had. It ends with the process at the latest."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def holder(path: Path) -> int | None:
    """The process number that the holder of the flock wrote into the file, in the holder's own namespace of numbers.

    None where nobody holds it, or where its holder wrote no number. Looks only: neither makes the file nor takes the
    lock from one who asks for it in this moment, except for that moment.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:  # there is none, or none that a service of ours would hold
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.read(descriptor, MAX_NUMBER_BYTES).strip()
        return int(text) if text.isdigit() else None
    finally:
        os.close(descriptor)
    return None
