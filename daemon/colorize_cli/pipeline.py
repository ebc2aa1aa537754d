"""A list of pictures through the service: while some are coloured, others are read and written."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any, Protocol

import numpy as np
from colorize_client import ColorizeError, HintTiles, Options, Picture
from colorize_client.errors import (
    BadOptions,
    BadWeights,
    Cancelled,
    NoDevice,
    NoWeights,
    ProtocolError,
    ServiceError,
    UnknownModel,
)

from colorize_cli.finished import is_finished
from colorize_cli.hintfile import Strokes, read_strokes
from colorize_cli.lanes import Lanes, Outcome
from colorize_cli.photograph import Photograph, Result
from colorize_cli.plan import Job
from colorize_cli.problems import PictureError
from colorize_cli.reading import read_photograph
from colorize_cli.retry import RetryingClient, Turns
from colorize_cli.writing import check_fits, check_target, write_result

# What no other picture would escape either.
HOPELESS = (ServiceError, ProtocolError, UnknownModel, NoWeights, BadWeights, NoDevice, BadOptions)
_DTYPES = {np.dtype(np.uint8): "u8", np.dtype(np.uint16): "u16"}
_NO_HINTS = "the hints picture is transparent everywhere, so no hints were used"
_NOTHING_KEPT = "the picture of what to keep is transparent everywhere, so nothing was kept"
_LAYOUTS = {np.dtype(np.uint8): "rgb8", np.dtype(np.uint16): "rgb16"}
# Pictures on their way: two in the service, which works on two small ones at once, and one that is read or written.
AT_ONCE = 3
_READING = Lock()  # one at a time: what decoders complain of, libvips keeps for all threads together


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
    """Is told, in the main thread, how the work goes; of the ends of pictures in their order."""

    def starting(self) -> None: ...

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


def colorize_all(jobs: list[Job], settings: Settings, listener: Listener) -> None:
    """Colour every picture, telling `listener` of each; a picture that fails does not stop the others.

    Raises ColorizeError where the service fails in a way that would meet every other picture too; pictures that were
    not reached are then not reported. PictureError, before any is coloured, where a picture of strokes is at fault.
    """
    hints, kept = (None if path is None else read_strokes(path) for path in (settings.hints, settings.kept))
    turns = Turns()

    @contextmanager
    def lane() -> Iterator[Callable[[Job], Done | None]]:
        with RetryingClient(turns, lambda: lanes.tell(listener.starting)) as service:
            yield _Lane(lanes, service, settings, hints, kept, listener).result

    lanes: Lanes[Job, Done | None] = Lanes(jobs, lane, AT_ONCE)
    try:
        for outcome in lanes.outcomes():
            _tell(outcome, listener)
    finally:
        for outcome in lanes.stop():
            if outcome.value is not None:  # it was coloured and written, and the next run will find it
                listener.done(outcome.value)


def _tell(outcome: Outcome[Job, Done | None], listener: Listener) -> None:
    """Say what came of a picture; what no other picture would escape is raised."""
    job, error = outcome.item, outcome.error
    if isinstance(error, PictureError):
        listener.failed(job.source, error.reason, "picture")
    elif isinstance(error, ColorizeError):
        listener.failed(job.source, str(error), error.code, error.detail)
        if isinstance(error, HOPELESS):
            raise error
    elif error is not None:
        raise error
    elif outcome.value is None:
        listener.skipped(job)
    else:
        listener.done(outcome.value)


@dataclass(frozen=True)
class _Lane:
    """Takes pictures all the way, one after the other, in a thread."""

    lanes: Lanes[Job, Done | None]
    service: RetryingClient
    settings: Settings
    hints: Strokes | None
    kept: Strokes | None
    listener: Listener

    def result(self, job: Job) -> Done | None:
        """What was coloured and written; None where the result is there already. PictureError, ColorizeError."""
        task = _prepare(job, self.hints, self.kept, self.settings.overwrite)
        if task is None:
            return None
        started = monotonic()
        with _within_memory(job.source):
            result, summary = self._colour(job, task)
        with self.lanes.whole():
            written = _write(result, job, self.settings.overwrite)
        size, notes = task.photograph, (*task.notes, *result.notes(), *summary.get("notes", ()))
        done = Done(job, size.width, size.height, result.depth, monotonic() - started, summary, notes)
        return done if written else None

    def _colour(self, job: Job, task: _Task) -> tuple[Result, dict[str, Any]]:
        result = Result(task.photograph, job.format)
        pixels = result.pixels.dtype

        def take(y: int, rows: int, data: bytes) -> None:
            self._check()
            band = np.frombuffer(data, pixels.newbyteorder("<")).reshape(rows, task.photograph.width, 3)
            result.upright[y : y + rows] = band

        def progress(stage: str, fraction: float) -> None:
            self._check()
            self.lanes.tell(lambda: self.listener.progress(job, stage, fraction))

        options, layout = self.settings.options, _LAYOUTS[pixels]
        return result, self.service.colorize(task.picture, task.hints, task.kept, options, layout, take, progress)

    def _check(self) -> None:
        if self.lanes.stopping:
            raise Cancelled


def _prepare(job: Job, hint_strokes: Strokes | None, kept_strokes: Strokes | None, overwrite: bool) -> _Task | None:
    """All that can be done without the service: refuse what cannot be written, decode, hash, cut the strokes.

    None where the result is there already.
    """
    with _READING, _within_memory(job.source):
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


def _write(result: Result, job: Job, overwrite: bool) -> bool:
    """Write a result; False where another run has written it meanwhile."""
    try:
        with _within_memory(job.target):
            write_result(result, job.target, overwrite)
    except PictureError as problem:
        with _READING:
            if isinstance(problem.__cause__, FileExistsError) and is_finished(job):
                return False
        raise PictureError(job.source, f"the result {problem}") from problem
    return True
