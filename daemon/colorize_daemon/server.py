"""The ROUTER loop: takes requests, answers control messages at once, hands pictures to the worker, sends replies.

One thread does all input and output; it never computes and never waits for a client. Replies that a client does not
take wait in its queue; a client that takes nothing for `STALL_SECONDS` loses its jobs, one that is gone loses all.
"""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, assert_never

import zmq
from colorize_client import codec, messages
from colorize_client.errors import (
    BadMessage,
    Busy,
    Cancelled,
    ColorizeError,
    InternalError,
    ServiceStopping,
    SlowReader,
    VersionMismatch,
)
from colorize_client.messages import Buffer, Request, Result

from colorize_daemon.broken_imports import broke_an_import
from colorize_daemon.jobs import Job, OutgoingMessage, OutgoingQueue
from colorize_daemon.resources import memory
from colorize_daemon.worker import Worker, failure

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 0.5  # between signs of life for a client whose job is waiting or running
RETRY_SECONDS = 0.005  # while a client's pipe is full
STALL_SECONDS = 30.0
STOP_SECONDS = 3.0  # for the worker to reach its next check and the last replies to leave
LINGER_MS = 1000
BURST = 64  # messages taken before other work gets its turn
PIPE_MESSAGES = 4  # in libzmq's own queue to one client; bands are megabytes
MAX_UNREAD_MESSAGES = 256
MAX_UNREAD_BYTES = 64 << 20


@dataclass
class ClientQueue:
    """The messages that one client has not taken yet, and since when the first of them waits."""

    since: float
    messages: deque[OutgoingMessage] = field(default_factory=deque)
    nbytes: int = 0

    def add(self, message: OutgoingMessage) -> None:
        self.messages.append(message)
        self.nbytes += message.nbytes

    def pop(self) -> OutgoingMessage:
        message = self.messages.popleft()
        self.nbytes -= message.nbytes
        message.settle()
        return message

    def clear(self) -> None:
        while self.messages:
            self.pop()


def open_router(context: zmq.Context) -> zmq.Socket:
    """A ROUTER with the limits of the protocol, not yet bound."""
    router = context.socket(zmq.ROUTER)
    router.router_mandatory = True
    router.linger = LINGER_MS
    router.sndhwm = PIPE_MESSAGES
    router.rcvhwm = PIPE_MESSAGES
    router.maxmsgsize = messages.MAX_FRAME_BYTES
    return router


class Server:
    """Serves one bound ROUTER until it is told to stop.

    Args:
        router: from `open_router`, bound.
        worker: does the pictures.
        about: what hello and status say of the service: version, endpoint, log.
        stall_seconds: how long a client may take nothing before its jobs are dropped.
        tick: called on every turn of the loop, at least every `HEARTBEAT_SECONDS` (systemd's watchdog).
    """

    def __init__(
        self,
        router: zmq.Socket,
        worker: Worker,
        about: Mapping[str, Any],
        *,
        stall_seconds: float = STALL_SECONDS,
        tick: Callable[[], None] = lambda: None,
    ) -> None:
        self._router, self._worker, self._about = router, worker, dict(about)
        self._stall_seconds, self._tick = stall_seconds, tick
        self._outgoing: OutgoingQueue = worker.outgoing
        self._counters = worker.counters
        self._jobs: dict[tuple[bytes, str], Job] = {}
        self._queues: dict[bytes, ClientQueue] = {}
        self._started = self._beat = time.monotonic()
        self._stop_asked = False
        self._deadline: float | None = None

    def request_stop(self) -> None:
        """Asks the loop to end; may be called from a signal handler or another thread."""
        self._stop_asked = True
        self._outgoing.wake()

    def run(self) -> None:
        """Serves until it is told to stop, or the worker cannot work any more.

        Then until the worker is at rest and replies have left, or `STOP_SECONDS`.
        """
        poller = zmq.Poller()
        poller.register(self._router, zmq.POLLIN)
        poller.register(self._outgoing.fileno(), zmq.POLLIN)
        while not self._finished():
            waiting = any(queue.messages for queue in self._queues.values())
            poller.poll(round(1000 * (RETRY_SECONDS if waiting else HEARTBEAT_SECONDS)))
            self._receive()
            self._collect()
            self._heartbeat()
            self._flush()
            self._tick()

    def _finished(self) -> bool:
        if self._deadline is None and (self._stop_asked or self._worker.spent.is_set()):
            self._begin_stop()
        if self._deadline is None:
            return False
        busy = self._jobs or any(queue.messages for queue in self._queues.values())
        return not busy or time.monotonic() > self._deadline

    def _begin_stop(self) -> None:
        log.info("stopping")
        self._deadline = time.monotonic() + STOP_SECONDS
        for job in list(self._jobs.values()):
            self._end(job, ServiceStopping())
        self._worker.queue.close()

    # requests

    def _receive(self) -> None:
        for _ in range(BURST):
            try:
                parts = self._router.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            self._take(parts[0].bytes, [part.buffer for part in parts[1:]])

    def _take(self, client: bytes, frames: list[memoryview]) -> None:
        self._counters.bytes_in += sum(frame.nbytes for frame in frames)
        with self._answering(client, codec.message_id(frames)):
            self._answer(client, codec.decode_request(frames), sum(frame.nbytes for frame in frames))

    @contextmanager
    def _answering(self, client: bytes, request_id: str) -> Iterator[None]:
        """Turns whatever goes wrong into an error reply to the request of this id."""
        try:
            yield
        except ColorizeError as error:
            log.info("refused a request: %s: %s", error.code, error.detail)
            self._reply(client, failure(request_id, error))
        except Exception as error:  # noqa: BLE001 - the edge: no message may end the service
            log.exception("a request could not be answered")
            self._stop_asked |= broke_an_import(error)  # the next client starts a whole service
            self._reply(client, failure(request_id, InternalError(f"{type(error).__name__}: {error}")))

    def _answer(self, client: bytes, request: Request, nbytes: int) -> None:
        match request:
            case messages.Colorize() | messages.Prepare():
                self._enqueue(Job(client, request, nbytes))
                return
            case messages.Hello():
                body = self._hello(request)
            case messages.Status():
                body = self._status()
            case messages.Models():
                body = {"models": self._worker.store.descriptions()}
            case messages.Cancel():
                body = self._cancel(client, request)
            case messages.Stop():
                body = self._stop()
            case _:
                assert_never(request)
        self._reply(client, Result(request.id, body))

    def _enqueue(self, job: Job) -> None:
        key = (job.client, job.request.id)
        if self._deadline is not None:
            raise ServiceStopping
        if key in self._jobs:
            raise BadMessage(f"a request with the id {job.request.id!r} is still being answered")
        queue = self._queues.get(job.client)
        if queue is not None and queue.nbytes > MAX_UNREAD_BYTES:
            raise Busy(f"{queue.nbytes} bytes of earlier pictures were not taken yet")
        self._supersede(job)
        if not self._worker.ready.is_set():
            job.stage = "loading"  # the engine's import comes first
        self._worker.start()
        self._worker.queue.put(job)
        self._jobs[key] = job

    def _supersede(self, job: Job) -> None:
        """A client's newer update takes the place of its older ones."""
        for other in [each for each in self._jobs.values() if each.client == job.client]:
            if _is_update(job) and _is_update(other):
                self._end(other, Cancelled("a newer update came"))

    def _hello(self, hello: messages.Hello) -> Mapping[str, Any]:
        common = set(hello.versions) & set(messages.PROTOCOL_VERSIONS)
        if not common:
            raise VersionMismatch(
                f"the client speaks {list(hello.versions)}, the service {list(messages.PROTOCOL_VERSIONS)}"
            )
        log.debug("hello from %s", hello.client)
        self._worker.start()  # its imports take seconds: they begin while the client reads its picture
        return {"protocol": max(common), "pid": os.getpid(), **self._about}

    def _status(self) -> Mapping[str, Any]:
        worker = self._worker
        return {
            **self._about,
            "pid": os.getpid(),
            "state": worker.state,
            "device": worker.device.kind,
            "device_name": worker.device.name,
            "uptime": time.monotonic() - self._started,
            "models": worker.store.loaded(),
            "jobs": len(self._jobs),
            "counters": asdict(self._counters),
            "memory": {
                **memory(),
                "cache_bytes": worker.cache.nbytes,
                "cache_budget": worker.cache.budget,
                "cache_images": len(worker.cache),
            },
        }

    def _cancel(self, client: bytes, cancel: messages.Cancel) -> Mapping[str, Any]:
        job = self._jobs.get((client, cancel.target))
        if job is not None:
            self._end(job, Cancelled())
        return {"found": job is not None}

    def _stop(self) -> Mapping[str, Any]:
        self._stop_asked = True
        return {"pid": os.getpid()}

    def _end(self, job: Job, reason: ColorizeError) -> None:
        """Stops a job: the worker answers when it reaches its next check, a waiting one is answered here."""
        job.stop(reason)
        if self._worker.queue.remove(job):
            request_id = job.request.id
            cancelled = isinstance(reason, Cancelled)
            reply = messages.JobCancelled(request_id) if cancelled else failure(request_id, reason)
            self._deliver(OutgoingMessage(job.client, codec.encode(reply), job, final=True, cancelled=cancelled))

    # replies

    def _reply(self, client: bytes, reply: messages.Reply) -> None:
        self._counters.errors += isinstance(reply, messages.ErrorReply)
        self._deliver(OutgoingMessage(client, codec.encode(reply)))

    def _collect(self) -> None:
        for message in self._outgoing.take():
            if message.job is not None and (message.client, message.job.request.id) not in self._jobs:
                message.settle()  # its client is gone
            else:
                self._deliver(message)

    def _deliver(self, message: OutgoingMessage) -> None:
        if message.final and message.job is not None:
            self._jobs.pop((message.client, message.job.request.id), None)
            self._counters.cancelled += message.cancelled
        queue = self._queues.setdefault(message.client, ClientQueue(time.monotonic()))
        queue.add(message)
        if len(queue.messages) > MAX_UNREAD_MESSAGES:
            self._forget(message.client, "it sends and does not read")

    def _heartbeat(self) -> None:
        now = time.monotonic()
        if now - self._beat < HEARTBEAT_SECONDS:
            return
        self._beat = now
        for job in [job for job in self._jobs.values() if not self._unread(job.client)]:
            self._reply(job.client, messages.Progress(job.request.id, job.stage, job.fraction))

    def _unread(self, client: bytes) -> bool:
        return client in self._queues and bool(self._queues[client].messages)

    def _flush(self) -> None:
        for client, queue in list(self._queues.items()):
            self._send(client, queue)
            if not queue.messages:
                self._queues.pop(client, None)
            elif time.monotonic() - queue.since > self._stall_seconds:
                self._drop_stalled(client, queue)

    def _send(self, client: bytes, queue: ClientQueue) -> None:
        while queue.messages:
            frames: list[Buffer] = [client, *queue.messages[0].frames]
            try:
                self._router.send_multipart(frames, zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            except zmq.ZMQError as error:
                if error.errno != zmq.EHOSTUNREACH:
                    raise
                self._forget(client, "it went away")
                return
            self._counters.bytes_out += queue.pop().nbytes
            queue.since = time.monotonic()

    def _drop_stalled(self, client: bytes, queue: ClientQueue) -> None:
        jobs = [job for job in self._jobs.values() if job.client == client]
        log.warning("a client took nothing for %g s; %d of its jobs are dropped", self._stall_seconds, len(jobs))
        queue.clear()
        queue.since = time.monotonic()
        for job in jobs:
            self._end(job, SlowReader(f"nothing was taken for {self._stall_seconds:g} s"))

    def _forget(self, client: bytes, why: str) -> None:
        queue = self._queues.pop(client, None)
        if queue is not None:
            queue.clear()
        for key in [key for key in self._jobs if key[0] == client]:
            job = self._jobs.pop(key)
            job.stop(Cancelled(why))
            self._worker.queue.remove(job)
            self._counters.cancelled += 1
            log.info("a client's job was stopped: %s", why)


def _is_update(job: Job) -> bool:
    return isinstance(job.request, messages.Colorize) and job.request.update is not None
