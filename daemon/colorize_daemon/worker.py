"""Prepares and colours pictures in the worker's two threads: model, embedding, prediction, row bands."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from colorize_client import codec, messages
from colorize_client.errors import BadWeights, Cancelled, ColorizeError, InternalError, KeyMismatch, OutOfMemory
from colorize_client.messages import Array, Band, ErrorReply, JobCancelled, NeedImage, Reply, Result, Tile, Update
from colorize_client.picture import HintTiles, picture_key
from colorize_client.tiling import Rectangle
from colorize_engine.memory import memory_is_full

from colorize_daemon import devices
from colorize_daemon.broken_imports import broke_an_import
from colorize_daemon.devices import Device
from colorize_daemon.embedding_cache import EmbeddingCache
from colorize_daemon.jobs import Job, JobQueue, OutgoingMessage, OutgoingQueue
from colorize_daemon.model_store import ModelStore, describe
from colorize_daemon.resources import Processors, trim, unmap_pages

if TYPE_CHECKING:  # the engine imports torch, which takes seconds
    from colorize_engine.colorizer import Colorizer, Embedding, Prediction
    from colorize_engine.weights import WeightsRecord

log = logging.getLogger(__name__)

NUMPY_TYPES = {"u8": "u1", "u16": "<u2"}  # of gray planes
MAX_DETAIL_CHARS = 4000
# After so many seconds without work: freed memory goes back to the system; what is quickly found again leaves memory.
TRIM_SECONDS, REST_SECONDS = 5.0, 40.0
BROKEN_SECONDS = 10.0  # that a service that cannot work waits for the request for which it was started
# Small pictures that the CPU works on at once. Two, on half of the processors each, are done in two thirds of the time
# that they take one after the other on all: the threads of a small layer wait for each other.
AT_ONCE = 2
NOTHING_PAINTED = "The hints are transparent everywhere, so none were used."
NOTHING_KEPT = "The strokes that keep things as they are show nowhere, so nothing was kept."

State = Literal["idle", "loading", "working"]


@dataclass
class Counters:
    """What the service did since it started; bytes are those of whole messages.

    `cancelled`: jobs that ended without a result since their client asked so or went away.
    """

    uploads: int = 0
    encodes: int = 0
    predictions: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    errors: int = 0
    cancelled: int = 0


@dataclass
class Timings:
    """Seconds of one job: loading the model, taking the plane in, encoding."""

    load: float = 0.0
    upload: float = 0.0
    encode: float = 0.0

    @contextmanager
    def measure(self, step: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        setattr(self, step, getattr(self, step) + time.perf_counter() - start)


@dataclass
class ColouringTimings(Timings):
    """With predicting for hints, and rendering and handing bands on."""

    predict: float = 0.0
    lift: float = 0.0


class Rest(NamedTuple):
    """Something to do after so many seconds without work."""

    seconds: float
    begin: Callable[[], None]


class _PictureUnknown(Exception):
    """The plane is neither in the request nor in the cache."""


@dataclass
class Worker:
    """The models, the embeddings, and the threads that work with them: the second one only beside the first.

    Args:
        store: the installed models.
        cache: embeddings of pictures.
        queue: where jobs come from.
        outgoing: where replies go.
        device: where the networks run or will run, as far as it is known.
        idle_seconds: without work for so long, models and embeddings are dropped; None for never.
        warm_up: called once at the start of the thread: imports that take seconds; says what device will be used.
        use_threads: told, before each step, on how many threads the engine may compute in this thread.
    """

    store: ModelStore
    cache: EmbeddingCache
    queue: JobQueue
    outgoing: OutgoingQueue
    counters: Counters
    device: Device = Device()
    idle_seconds: float | None = None
    warm_up: Callable[[], Device] = Device
    use_threads: Callable[[int], None] = lambda count: None
    processors: Processors = field(default_factory=Processors)
    ready: threading.Event = field(default_factory=threading.Event)  # the warm-up is over
    broken: ColorizeError | None = None  # an import ended in the middle: no job can be done in this process any more
    spent: threading.Event = field(default_factory=threading.Event)  # broken, and it was said to whoever asked
    thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._work, name="colorize-worker", daemon=True)
        self._second = threading.Thread(target=self._work_beside, name="colorize-worker-2", daemon=True)
        self._counting = threading.Lock()

    @property
    def state(self) -> State:
        """What is being done; of two things, the longer one."""
        stages = [job.stage for job in self.queue.taken()]
        return "loading" if "loading" in stages else "working" if stages else "idle"

    def start(self) -> None:
        """Starts the worker; called again, it does nothing."""
        if not self.thread.is_alive() and not self.queue.closed:
            self.thread.start()

    def ended(self, seconds: float) -> bool:
        """Whether both threads come to their ends within so many seconds."""
        deadline = time.monotonic() + seconds
        for thread in (self.thread, self._second):
            if thread.is_alive():
                thread.join(max(0.0, deadline - time.monotonic()))
        return not (self.thread.is_alive() or self._second.is_alive())

    def _work(self) -> None:
        self._warm_up()
        self._begin_beside()
        rests = self._rests()
        while not self.queue.closed:
            job = self.queue.take(rests[0].seconds if rests else None)
            if job is not None:
                self._do(job)
                del job  # or its plane would stay in memory until the next one comes
                rests = self._rests()
            elif self.queue.taken():  # by the other thread
                rests = self._rests()
            elif not self.queue.closed and rests:
                rests.pop(0).begin()

    def _begin_beside(self) -> None:
        if self.device.kind == "cpu" and self.processors.count > 1 and self.broken is None:
            try:
                self._second.start()
            except RuntimeError as error:  # the system gives no more threads: one picture at a time, then
                log.warning("pictures are done one at a time: %s", error)
            else:
                self.queue.at_once = AT_ONCE

    def _work_beside(self) -> None:
        while not self.queue.closed:
            job = self.queue.take(None, beside=True)
            if job is not None:
                self._do(job)
                del job

    def _warm_up(self) -> None:
        try:
            self.device = self.warm_up()
        except Exception as error:  # noqa: BLE001 - the edge: whatever an import does, the clients get an answer
            self.broken = self._internal_error(error)
        self.ready.set()

    def _rests(self) -> list[Rest]:
        """What is done while no work comes: each begins so many seconds after the one before."""
        if self.broken is not None:
            return [Rest(BROKEN_SECONDS, self.spent.set)]
        known = [(TRIM_SECONDS, trim), (REST_SECONDS, self._rest)]
        if self.idle_seconds is not None:
            known = sorted([*known, (self.idle_seconds, self._unload_idle)], key=lambda rest: rest[0])
        before = [0.0, *(after for after, _ in known)]
        return [Rest(after - begun, begin) for (after, begin), begun in zip(known, before, strict=False)]

    def _rest(self) -> None:
        self.cache.rest()
        trim()
        unmap_pages()

    def _unload_idle(self) -> None:
        if len(self.cache) or self.store.loaded():
            log.info("idle: models and pictures leave memory")
            self._unload()
            trim()

    def _unload(self) -> None:
        self.cache.clear()
        self.store.unload()

    def _do(self, job: Job) -> None:
        reply = self._reply(job)
        if self.broken is not None:
            self.spent.set()
        elif isinstance(reply, ErrorReply) and reply.code == OutOfMemory.code:
            log.warning("memory is full, models and pictures leave it: %s", reply.detail)
            self._unload()  # not where the error was caught: as long as it lives, so does what the engine was making
        self.queue.done(job)  # before the reply: whoever has it and asks for the state is told the truth
        cancelled = isinstance(reply, JobCancelled)
        self.outgoing.put(OutgoingMessage(job.client, codec.encode(reply), job, final=True, cancelled=cancelled))

    def _reply(self, job: Job) -> Reply:
        request_id = job.request.id
        if self.broken is not None:
            return failure(request_id, self.broken)
        try:
            return Result(request_id, self._result(job))
        except _PictureUnknown:
            return NeedImage(request_id, job.request.image.key)
        except Cancelled:
            return JobCancelled(request_id)
        except ColorizeError as error:
            return failure(request_id, error)
        except Exception as error:  # noqa: BLE001 - the edge: whatever the engine does, the client gets an answer
            reason = self._internal_error(error)
            if broke_an_import(error):
                self.broken = reason
            return failure(request_id, reason)

    def _internal_error(self, error: Exception) -> ColorizeError:
        if memory_is_full(error):
            return OutOfMemory(str(error))
        log.exception("a job failed")
        return InternalError(f"{type(error).__name__}: {error}")

    def _result(self, job: Job) -> dict[str, Any]:
        """The body of the job's result."""
        if isinstance(job.request, messages.Colorize):
            return self._colorize(job, job.request)
        timings = Timings()
        with self._prepared(job, timings, job.request.hold) as (_, _, about):
            return {**about, "timings": asdict(timings)}

    @contextmanager
    def _prepared(
        self, job: Job, timings: Timings, hold: bool
    ) -> Iterator[tuple[Colorizer, Embedding, dict[str, Any]]]:
        """The model, the picture's embedding, which stays in the block, and what the client is told about both."""
        image = job.request.image
        record, colorizer = self._model(job, timings)
        with self.cache.using(image.key, record.sha256):
            embedding, encoded = self._embedding(job, record, colorizer, timings)
            if hold:
                self.cache.hold(image.key, record.sha256)
            yield colorizer, embedding, self._about(job, record, encoded)

    def _about(self, job: Job, record: WeightsRecord, encoded: bool) -> dict[str, Any]:
        image = job.request.image
        return {
            "image_key": image.key,
            "model": describe(record),
            "device": self.device.kind,
            "device_name": self.device.name,
            "uploaded": image.array is not None,
            "encoded": encoded,
        }

    def _colorize(self, job: Job, request: messages.Colorize) -> dict[str, Any]:
        timings = ColouringTimings()
        with self._prepared(job, timings, request.update is not None) as (colorizer, embedding, about):
            found = self._coloured(job, request, colorizer, embedding, timings)
            return {**about, **found, "timings": asdict(timings)}

    def _coloured(
        self,
        job: Job,
        request: messages.Colorize,
        colorizer: Colorizer,
        embedding: Embedding,
        timings: ColouringTimings,
    ) -> dict[str, Any]:
        """Predicts, sends the pixels, and returns what the result says of them."""
        update, about = request.update, dict[str, Any]()
        self._advance(job, "hints")
        hints, kept = (HintTiles.from_wire(tiles) if tiles else None for tiles in (request.hints, request.kept))

        def predict(draft: bool) -> Prediction:
            with timings.measure("predict"):
                return colorizer.predict(embedding, hints, request.options, job.check, kept, draft)

        sent: list[Rectangle] = []
        prediction = predict(draft=update is not None and (update.draft or update.near is not None))
        if update and prediction.draft and not update.draft:  # what is drawn at once, until the whole answer is there
            sent = self._send_tiles(job, colorizer, embedding, prediction, replace(update, draft=True), [])[1]
            prediction = predict(draft=False)
        self._count("predictions")
        with timings.measure("lift"):
            self._advance(job, "lift")
            if update:
                state, tiles = self._send_tiles(job, colorizer, embedding, prediction, update, sent)
                about = {"state": state, "tiles": len(sent) + len(tiles), "draft": prediction.draft}
            else:
                bands = colorizer.render(embedding, prediction, request.layout, check=job.check)
                self._send_bands(job, request.layout, embedding.height, bands)
        notes = _notes(hints, prediction, kept)
        return {**about, "hint_cells": int(prediction.hint_cells), "notes": notes}

    def _count(self, what: str) -> None:
        with self._counting:
            setattr(self.counters, what, getattr(self.counters, what) + 1)

    def _model(self, job: Job, timings: Timings) -> tuple[WeightsRecord, Colorizer]:
        """The weights that the job asks for; of several with one name the first that is not damaged."""
        image = job.request.image
        while True:
            record = self.store.find(job.request.model)
            if image.array is None and self.cache.get(image.key, record.sha256) is None:
                raise _PictureUnknown  # before the model is loaded: the plane can travel meanwhile
            try:
                return record, self._load(job, record, timings)
            except BadWeights as error:
                if not self.store.has_other(record):
                    raise
                log.warning("other weights of the name %r serve: %s", record.name, error.detail)

    def _advance(self, job: Job, stage: str, fraction: float = 0.0) -> None:
        job.check()
        job.stage, job.fraction = stage, fraction
        self.use_threads(self._share(stage))
        progress = messages.Progress(job.request.id, stage, fraction)
        self.outgoing.put(OutgoingMessage(job.client, codec.encode(progress), job))

    def _share(self, stage: str) -> int:
        """Threads for a step; those of the lift do not wait for each other, so a processor that is shared helps too."""
        there = self.processors.count if stage == "lift" else self.processors.free()
        return max(1, there // len(self.queue.taken()))

    def _load(self, job: Job, record: WeightsRecord, timings: Timings) -> Colorizer:
        if not self.store.is_loaded(record):
            self._advance(job, "loading")
        with timings.measure("load"):
            colorizer = self.store.get(record)
        self.device = devices.named(str(colorizer.device))
        return colorizer

    def _embedding(
        self, job: Job, record: WeightsRecord, colorizer: Colorizer, timings: Timings
    ) -> tuple[Embedding, bool]:
        image = job.request.image
        known = self.cache.get(image.key, record.sha256)
        if known is not None:
            return known, False
        assert image.array is not None
        with timings.measure("upload"):
            gray = self._take_in(job, image.key, image.array)
        self._advance(job, "encode")
        self.cache.make_room(gray.nbytes)
        with timings.measure("encode"):
            embedding = colorizer.set_image(gray, check=job.check)
        self._count("encodes")
        self.cache.put(image.key, record.sha256, embedding)
        return embedding, True

    def _take_in(self, job: Job, key: str, array: Array) -> np.ndarray:
        self._advance(job, "upload")
        if picture_key(array) != key:
            raise KeyMismatch(f"the plane that came is not the one of key {key}")
        self._count("uploads")
        gray = np.frombuffer(array.data, NUMPY_TYPES[array.dtype]).reshape(array.shape)
        return np.require(gray, requirements="A")  # a small frame may begin at an odd address

    def _send_bands(self, job: Job, layout: str, height: int, bands: Iterator[tuple[int, np.ndarray]]) -> None:
        dtype, _ = messages.LAYOUTS[layout]
        for y, rows in bands:
            self._send_band(job, dtype, y, rows)
            job.fraction = min(1.0, (y + rows.shape[0]) / height)

    def _send_tiles(
        self,
        job: Job,
        colorizer: Colorizer,
        embedding: Embedding,
        prediction: Prediction,
        update: Update,
        others: Sequence[Rectangle],
    ) -> tuple[str, list[Rectangle]]:
        """Sends the tiles that the client does not hold, and `others`; returns the state's name and the tiles."""
        from colorize_engine import changes

        assert isinstance(job.request, messages.Colorize)
        layout = job.request.layout
        state = changes.state_of(prediction, layout, job.request.image.key)
        tiles = changes.wanted(embedding, prediction, state, update, others)
        embedding.remember(state, prediction)
        dtype, _ = messages.LAYOUTS[layout]
        parts = colorizer.render_tiles(embedding, prediction, layout, tiles, job.check)
        for number, (x, y, pixels) in enumerate(parts, 1):
            job.reserve(pixels.nbytes)
            array = Array(pixels.shape, dtype, memoryview(pixels).cast("B"))
            tile = Tile(job.request.id, x, y, state, array)
            self.outgoing.put(OutgoingMessage(job.client, codec.encode(tile), job, credit=pixels.nbytes))
            job.fraction = number / len(tiles)
        return state, tiles

    def _send_band(self, job: Job, dtype: str, y: int, rows: np.ndarray) -> None:
        job.reserve(rows.nbytes)
        array = Array(rows.shape, dtype, memoryview(rows).cast("B"))
        band = Band(job.request.id, y, rows.shape[0], array)
        self.outgoing.put(OutgoingMessage(job.client, codec.encode(band), job, credit=rows.nbytes))


def _notes(hints: HintTiles | None, prediction: Prediction, kept: HintTiles | None) -> list[str]:
    notes = [NOTHING_PAINTED] if hints and not prediction.hint_cells else []
    return notes + ([NOTHING_KEPT] if kept and not _shows(kept) else [])


def _shows(tiles: HintTiles) -> bool:
    """Whether any pixel is not wholly transparent."""
    return any(np.frombuffer(pixels, np.uint8)[3::4].any() for pixels in tiles.data)


def failure(request_id: str, error: ColorizeError) -> ErrorReply:
    """The error reply to the request of this id."""
    return ErrorReply(request_id, error.code, error.sentence, error.detail[:MAX_DETAIL_CHARS])
