"""Where text meets the terminal, a file or a pipe: nothing steers it, and nothing fails because nobody reads it."""

import io
import json
import os
import sys
from typing import Any, TextIO

from colorize_client.printable import printable

STARTING = "starting the colour service…"
UNREAD = 141  # as of a program that was ended by its reader's end: 128 + SIGPIPE


class OutputGone(Exception):
    """Standard output takes no more; what was said since is lost, what was made is not."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"standard output cannot be written ({error.strerror}); lead it elsewhere")
        self.unread = isinstance(error, ConnectionError)  # its reader (`| head`) had enough


def prepare() -> None:
    """Let the process's streams take any text; those that it was started without take it and show it nowhere."""
    # A file opened later would otherwise become "standard error", and libvips' warnings would be written into it.
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    sys.stdout, sys.stderr = _tolerant(sys.stdout), _tolerant(sys.stderr)


def _tolerant(stream: TextIO | None) -> TextIO:
    stream = stream or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - it stays open as long as the process
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    return stream


def say(line: str) -> None:
    """Print one line of results; OutputGone where it cannot be."""
    put(f"{printable(line)}\n", sys.stdout)


def say_json(value: Any) -> None:
    r"""Print one line of JSON: ASCII, and exact (bytes of names that are no UTF-8 as \udc80 .. \udcff)."""
    put(json.dumps(value).replace("\x7f", r"\u007f") + "\n", sys.stdout)


def complain(*lines: str) -> None:
    """Print a complaint or a note; where it cannot be, the exit status alone tells."""
    put("".join(f"gimp-colorize: {printable(line)}\n" for line in lines), sys.stderr)


def put(text: str, stream: TextIO) -> None:
    """Write lines that steer nothing to one of the process's streams; OutputGone where it is standard output."""
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        _drop(stream)
        if stream is sys.stdout:
            raise OutputGone(error) from error


def _drop(stream: TextIO) -> None:
    """Lead a stream that takes no more nowhere, with what still waits in it: else it would fail again at the end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
