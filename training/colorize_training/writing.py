"""Files and folders that commands leave: whole or not at all, of one command at a time, and a sentence where not."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from colorize_client import lock


class NotWritten(OSError):
    """A file cannot be written; the text names it and says what to do."""


class InUse(ValueError):
    """Another command works in a folder; the text names it and says what to do."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Where to write what then becomes `path`: until it is whole the old file stays, and of a failure nothing is left.

    The folder is made where it is missing. Raises NotWritten.
    """
    part = path.with_name(f"{path.stem}.part{path.suffix}")  # the suffix tells libraries what to write
    make_folder(path.parent)
    try:
        with explained(path, part):
            yield part
            os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def explained(*paths: Path) -> Iterator[None]:
    """What the system says against writing these, as NotWritten for the first; of other files it passes through."""
    try:
        yield
    except NotWritten:
        raise
    except OSError as error:
        if error.filename is not None and Path(os.fsdecode(error.filename)) not in paths:
            raise
        raise not_written(paths[0], error.strerror or str(error)) from error


def not_written(path: Path, why: str) -> NotWritten:
    return NotWritten(
        f"{path} cannot be written ({why}); make room there or choose another folder, then run the command again"
    )


def make_folder(path: Path) -> None:
    """With those above it, where they are missing. Raises NotWritten."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_written(path, error.strerror or str(error)) from error


def write_text(path: Path, text: str) -> None:
    """As UTF-8; what cannot be said in it, such as odd bytes of a file's name, is escaped. Raises NotWritten."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8", errors="backslashreplace")


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """The only command that works in `folder`, until it ends, however it does. Raises InUse where there is another."""
    make_folder(folder)
    with locked(folder / "lock", wait=False) as ours:
        if not ours:
            raise InUse(f"another command works in {folder}; wait for its end, or choose another --out")
        yield


@contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[bool]:
    """Holds a lock of the system, which it gives back however a process ends; False, at once, where others have it."""
    with ExitStack() as stack:
        with explained(path):
            ours = stack.enter_context(lock.locked(path, wait))
        yield ours
