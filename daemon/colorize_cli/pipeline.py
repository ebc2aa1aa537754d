"""A list of pictures through the service: the next one is read and the last one written while one is coloured."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Protocol, TypeVar

import numpy as np
from colorize_client import ColorizeError, HintTiles, Options, Picture
from colorize_client.errors import (
    BadOptions,
    BadWeights,
    NoDevice,
    NoWeights,
    ProtocolError,
    ServiceError,
    UnknownModel,
)
from colorize_engine.colour.rows import merge

from colorize_cli.finished import is_finished
from colorize_cli.hintfile import Strokes, read_strokes
from colorize_cli.photograph import Photograph, Result
from colorize_cli.plan import Job
from colorize_cli.problems import PictureError
from colorize_cli.reading import read_photograph
from colorize_cli.retry import RetryingClient
from colorize_cli.writing import check_fits, check_target, write_result

# What no other picture would escape either.
HOPELESS = (ServiceError, ProtocolError, UnknownModel, NoWeights, BadWeights, NoDevice, BadOptions)
_DTYPES = {np.dtype(np.uint8): "u8", np.dtype(np.uint16): "u16"}
_NO_HINTS = "the hints picture is transparent everywhere, so no hints were used"
_NOTHING_KEPT = "the picture of what to keep is transparent everywhere, so nothing was kept"
_AB16 = np.dtype("<i2")

Item = TypeVar("Item")
Value = TypeVar("Value")


@dataclass(frozen=True)
class Settings:
    """What was asked for all pictures."""

    options: Options
    hints: Path | None
    kept: Path | None
    overwrite: bool


@dataclass(frozen=True)
class Done:
    """One picture that was coloured and written; `summary` is the service's result, see PROTOCOL.md."""

    job: Job
    width: int
    height: int
    depth: int
    seconds: float
    summary: dict[str, Any]
    notes: tuple[str, ...]


class Listener(Protocol):
    """Is told, in the main thread, how the work goes."""

    def progress(self, job: Job, stage: str, fraction: float) -> None: ...

    def done(self, done: Done) -> None: ...

    def skipped(self, job: Job) -> None: ...

    def failed(self, source: Path, reason: str, code: str, detail: str = "") -> None: ...


@dataclass(frozen=True)
class _Task:
    """A picture ready for the service."""

    photograph: Photograph
    picture: Picture
    hints: HintTiles | None
    kept: HintTiles | None
    notes: tuple[str, ...]


def colorize_all(jobs: list[Job], settings: Settings, service: RetryingClient, listener: Listener) -> None:
    """Colour every picture, telling `listener` of each; a picture that fails does not stop the others.

    Raises ColorizeError where the service fails in a way that would meet every other picture too; pictures that were
    not reached are then not reported. PictureError, before any is coloured, where a picture of strokes is at fault.
    """
    hints, kept = (None if path is None else read_strokes(path) for path in (settings.hints, settings.kept))
    with _Writer(listener, settings.overwrite) as writer:
        for job, reading in _one_ahead(lambda job: _prepare(job, hints, kept, settings.overwrite), jobs):
            started = monotonic()
            try:
                task = reading.result()
                if task is None:
                    listener.skipped(job)
                    continue
                with _within_memory(job.source):
                    result, summary = _colour(job, task, settings.options, service, listener)
            except PictureError as problem:
                listener.failed(job.source, problem.reason, "picture")
            except ColorizeError as error:
                listener.failed(job.source, str(error), error.code, error.detail)
                if isinstance(error, HOPELESS):
                    raise
            else:
                writer.write(job, result, task.notes, started, summary)


def _prepare(job: Job, hint_strokes: Strokes | None, kept_strokes: Strokes | None, overwrite: bool) -> _Task | None:
    """All that can be done without the service: refuse what cannot be written, decode, hash, cut the strokes.

    None where the result is there already.
    """
    with _within_memory(job.source):
        return None if not overwrite and is_finished(job) else _read(job, hint_strokes, kept_strokes, overwrite)


def _read(job: Job, hint_strokes: Strokes | None, kept_strokes: Strokes | None, overwrite: bool) -> _Task:
    check_target(job.source, job.target, overwrite)
    photograph = read_photograph(job.source)
    check_fits(photograph, job.format)
    plane = memoryview(photograph.gray.astype(photograph.gray.dtype.newbyteorder("<"), copy=False)).cast("B")
    picture = Picture(photograph.width, photograph.height, _DTYPES[photograph.gray.dtype], plane)
    _ = picture.key  # computed here, beside the service's work on the picture before
    hints, kept = (_painted(strokes, photograph) for strokes in (hint_strokes, kept_strokes))
    empty = [note for tiles, note in ((hints, _NO_HINTS), (kept, _NOTHING_KEPT)) if tiles and not tiles.tiles]
    return _Task(photograph, picture, hints, kept, (*photograph.notes, *empty))


@contextmanager
def _within_memory(path: Path) -> Iterator[None]:
    """A picture that is too large for this computer's memory; smaller ones are not."""
    try:
        yield
    except MemoryError as error:
        reason = "there is not enough memory for this picture; close other programs or scale it down"
        raise PictureError(path, reason) from error


def _painted(strokes: Strokes | None, photograph: Photograph) -> HintTiles | None:
    """What is painted over a photograph; that it does not fit is said of the photograph, with the strokes' name."""
    if strokes is None:
        return None
    try:
        return strokes.over(photograph.width, photograph.height)
    except PictureError as problem:
        raise PictureError(photograph.path, str(problem)) from problem


def _colour(
    job: Job, task: _Task, options: Options, service: RetryingClient, listener: Listener
) -> tuple[Result, dict[str, Any]]:
    result, gray = Result(task.photograph, job.format), task.photograph.gray

    def take(y: int, rows: int, data: bytes) -> None:
        ab = np.frombuffer(data, _AB16).reshape(rows, task.photograph.width, 2)
        result.upright[y : y + rows] = merge(gray[y : y + rows], ab, result.pixels.dtype)

    def progress(stage: str, fraction: float) -> None:
        listener.progress(job, stage, fraction)

    return result, service.colorize(task.picture, task.hints, task.kept, options, take, progress)


def _one_ahead(work: Callable[[Item], Value], items: Iterable[Item]) -> Iterator[tuple[Item, Future[Value]]]:
    """Each item with the future of its work, which runs in a thread that is one item ahead of the caller."""
    with ThreadPoolExecutor(1, thread_name_prefix="reader") as pool:
        ready: tuple[Item, Future[Value]] | None = None
        for item in items:
            following = (item, pool.submit(work, item))
            if ready is not None:
                yield ready
            ready = following
        if ready is not None:
            yield ready


def _write(result: Result, job: Job, overwrite: bool) -> bool:
    """Write a result; False where another run has written it meanwhile."""
    try:
        with _within_memory(job.target):
            write_result(result, job.target, overwrite)
    except PictureError as problem:
        if isinstance(problem.__cause__, FileExistsError) and is_finished(job):
            return False
        raise
    return True


class _Writer:
    """Writes one result while the next is made; leaving the block waits for the last, also after an interruption."""

    def __init__(self, listener: Listener, overwrite: bool) -> None:
        self._listener = listener
        self._overwrite = overwrite
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="writer")
        self._pending: tuple[Future[bool], Done, float] | None = None

    def write(self, job: Job, result: Result, notes: tuple[str, ...], started: float, summary: dict[str, Any]) -> None:
        """Start writing; the outcome of the one before is reported first, so that two at most are in memory."""
        try:
            self._settle()
        finally:  # also where that could not be told: what was coloured is written
            self._begin(job, result, notes, started, summary)

    def _begin(self, job: Job, result: Result, notes: tuple[str, ...], started: float, summary: dict[str, Any]) -> None:
        photograph = result.photograph
        notes += (*result.notes(), *summary.get("notes", ()))
        done = Done(job, photograph.width, photograph.height, result.depth, 0.0, summary, notes)
        writing = self._pool.submit(_write, result, job, self._overwrite)
        self._pending = (writing, done, started)

    def _settle(self) -> None:
        """Wait for the result being written, and report it."""
        if self._pending is None:
            return
        writing, done, started = self._pending
        self._pending = None
        try:
            written = writing.result()
        except PictureError as problem:
            self._listener.failed(done.job.source, f"the result {problem}", "picture")
            return
        if written:
            self._listener.done(replace(done, seconds=monotonic() - started))
        else:
            self._listener.skipped(done.job)

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._settle()
        finally:
            self._pool.shutdown()
