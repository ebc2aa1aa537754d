"""The end of a log, for the user to read or to send."""

from __future__ import annotations

from pathlib import Path


def log_tail(file: Path, lines: int) -> list[str]:
    """The last lines of a text file, at most so many, whatever bytes are in it. Raises OSError."""
    return file.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
