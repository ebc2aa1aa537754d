"""A request about a picture, the queue in which it waits, and the way of its replies from the worker to the socket."""

from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from colorize_client import messages
from colorize_client.errors import Busy, ColorizeError
from colorize_client.messages import Buffer

MAX_WAITING = 16  # jobs
MAX_WAITING_BYTES = 2 << 30  # of uploaded planes and hints in waiting jobs
UNSENT_BYTES = 16 << 20  # bands that one job may have waiting for its client; then the worker waits
CHECK_SECONDS = 0.1  # how soon a waiting worker sees that its job was stopped
# Pixels of a picture that is worked on beside another: two of them need no more memory than one that has twice as many.
SMALL_PIXELS = 12_600_000


class Job:
    """A request about a picture, of one client. Made by the I/O thread, done by the worker; both may `stop` it."""

    def __init__(self, client: bytes, request: messages.PictureRequest, nbytes: int) -> None:
        self.client, self.request, self.nbytes = client, request, nbytes
        self.stage, self.fraction = "queued", 0.0
        self._reason: ColorizeError | None = None
        self._unsent = 0
        self._credit = threading.Condition()

    def stop(self, reason: ColorizeError) -> None:
        """Makes the next `check` raise the reason; the first reason stays."""
        with self._credit:
            self._reason = self._reason or reason
            self._credit.notify_all()

    def check(self) -> None:
        """Raises the reason why the job was stopped, if it was. The engine calls this between its steps."""
        if self._reason is not None:
            raise self._reason

    def reserve(self, nbytes: int) -> None:
        """Waits until the client has taken enough of what was sent before; raises when the job was stopped."""
        with self._credit:
            while self._unsent >= UNSENT_BYTES and self._reason is None:
                self._credit.wait(CHECK_SECONDS)
            self.check()
            self._unsent += nbytes

    def release(self, nbytes: int) -> None:
        """Says that a band left for the client, or never will."""
        with self._credit:
            self._unsent -= nbytes
            self._credit.notify_all()


class JobQueue:
    """Waiting jobs, first come first served, bounded in number and bytes; and the jobs that were taken, until `done`.

    Attributes:
        at_once: how many jobs may be taken at the same time: those of several clients, each with a small picture of
            its own.
    """

    def __init__(self) -> None:
        self.at_once = 1
        self._jobs: deque[Job] = deque()
        self._taken: list[Job] = []
        self._changed = threading.Condition()
        self._closed = False

    def put(self, job: Job) -> None:
        """Appends a job; Busy where the queue is full."""
        with self._changed:
            if len(self._jobs) >= MAX_WAITING:
                raise Busy(f"{MAX_WAITING} pictures are waiting already")
            if self._jobs and sum(each.nbytes for each in self._jobs) + job.nbytes > MAX_WAITING_BYTES:
                raise Busy(f"the waiting pictures hold {MAX_WAITING_BYTES} bytes already")
            self._jobs.append(job)
            self._changed.notify_all()

    def take(self, seconds: float | None, beside: bool = False) -> Job | None:
        """The next job once its turn has come, None after so many seconds without one or once the queue is closed.

        Beside: only while another job is being done.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._has_turn(beside), seconds)
            if self._closed or not self._has_turn(beside):
                return None
            self._taken.append(self._jobs.popleft())
            self._changed.notify_all()
            return self._taken[-1]

    def _has_turn(self, beside: bool) -> bool:
        """Whether the first of the waiting jobs can be begun."""
        if not self._jobs or not self._taken:
            return bool(self._jobs) and not beside
        room = len(self._taken) < self.at_once
        return room and all(_go_together(self._jobs[0], other) for other in self._taken)

    def done(self, job: Job) -> None:
        """Says that a job that was taken is over."""
        with self._changed:
            self._taken.remove(job)
            self._changed.notify_all()

    def taken(self) -> list[Job]:
        """The jobs that are being done."""
        with self._changed:
            return list(self._taken)

    def remove(self, job: Job) -> bool:
        """Takes a job out again; False where the worker has it already."""
        with self._changed:
            if job not in self._jobs:
                return False
            self._jobs.remove(job)
            self._changed.notify_all()
            return True

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        return self._closed

    def __len__(self) -> int:
        return len(self._jobs)


def _go_together(one: Job, other: Job) -> bool:
    """A client is answered in the order of its requests, and what is kept of a picture is of one job at a time."""
    pictures = [job.request.image for job in (one, other)]
    small = all(picture.width * picture.height <= SMALL_PIXELS for picture in pictures)
    return small and one.client != other.client and pictures[0].key != pictures[1].key


@dataclass(frozen=True)
class OutgoingMessage:
    """Frames for a client; `credit` bytes go back to the job once it was sent; `final` ends the job, `cancelled` as
    its client asked."""

    client: bytes
    frames: Sequence[Buffer]
    job: Job | None = None
    credit: int = 0
    final: bool = False
    cancelled: bool = False

    @property
    def nbytes(self) -> int:
        return sum(memoryview(frame).nbytes for frame in self.frames)

    def settle(self) -> None:
        if self.job is not None and self.credit:
            self.job.release(self.credit)


class OutgoingQueue:
    """Messages from other threads to the I/O thread, which polls `fileno` and then takes them all."""

    def __init__(self) -> None:
        self._messages: deque[OutgoingMessage] = deque()
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    def fileno(self) -> int:
        return self._reader.fileno()

    def put(self, message: OutgoingMessage) -> None:
        self._messages.append(message)
        self.wake()

    def wake(self) -> None:
        try:
            self._writer.send(b"\0")
        except BlockingIOError:
            return  # it is full of wake-ups already

    def take(self) -> list[OutgoingMessage]:
        try:
            while self._reader.recv(4096):
                continue
        except BlockingIOError:
            pass
        taken = []
        while self._messages:
            taken.append(self._messages.popleft())
        return taken

    def close(self) -> None:
        self._reader.close()
        self._writer.close()
