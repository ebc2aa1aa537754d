"""Fixtures of the service's tests: a private state folder, a real daemon with the stand-in engine, raw sockets."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
import zmq
from colorize_client import Client, Picture, connect, end_by_force, launcher, paths
from colorize_client.paths import StateFolder
from colorize_daemon.embedding_cache import EmbeddingCache
from colorize_daemon.jobs import JobQueue, OutgoingQueue
from colorize_daemon.model_store import ModelStore
from colorize_daemon.server import Server, open_router
from colorize_daemon.worker import Counters, Worker
from progress import wait_until
from standin_engine import make_store

STANDIN_DAEMON = [sys.executable, str(Path(__file__).parent / "standin_daemon.py")]
PATIENCE = 120.0  # seconds until a wait is given up that cannot follow progress; only what hangs takes so long

Frames = list[bytes]


@contextmanager
def private_state() -> Iterator[StateFolder]:
    """A state folder of its own, with a path short enough for a socket; whatever runs in it is ended."""
    folder = Path(tempfile.mkdtemp(prefix="gc-", dir="/tmp"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(paths.STATE_VARIABLE, str(folder / "state"))
        patch.setenv(launcher.COMMAND_VARIABLE, shlex.join(STANDIN_DAEMON))
        try:
            yield paths.prepare()
        finally:
            end_by_force()
            shutil.rmtree(folder)


@pytest.fixture
def state() -> Iterator[StateFolder]:
    with private_state() as state:
        yield state


@pytest.fixture(scope="module")
def shared_state() -> Iterator[StateFolder]:
    """One daemon for the tests of a module that leave it as it was."""
    with private_state() as state, connect(client="tests"):
        yield state


@pytest.fixture
def service(shared_state: StateFolder) -> Iterator[Client]:
    with connect(client="tests", launch=False) as client:
        yield client


@pytest.fixture(scope="module")
def engine_service() -> Iterator[Client]:
    """The service with the real engine and the installed weights."""
    with private_state(), pytest.MonkeyPatch.context() as patch:
        patch.setenv(launcher.COMMAND_VARIABLE, f"{sys.executable} -m colorize_daemon.main --device cpu")
        with connect(client="tests") as client:
            yield client


class Dealer:
    """A bare DEALER: sends any frames, returns replies as (header map, raw frames)."""

    def __init__(self, endpoint: str, unread: int = 1000) -> None:
        self._context = zmq.Context()
        self.socket = self._context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.rcvhwm = unread  # messages that libzmq takes before we read them
        self.socket.connect(endpoint)

    def send(self, *frames: bytes) -> None:
        self.socket.send_multipart(frames)

    def ask(self, **header: object) -> None:
        self.send(msgpack.packb({"v": 1, **header}))

    def read(self) -> tuple[dict, Frames]:
        wait_until(lambda: self.socket.poll(100), "a reply of the service", pause=0.0)
        header, *frames = self.socket.recv_multipart()
        return msgpack.unpackb(header), frames

    def read_until(self, kind: str) -> tuple[dict, Frames]:
        while True:
            header, frames = self.read()
            if header["type"] == kind:
                return header, frames

    def close(self) -> None:
        self.socket.close()
        self._context.term()

    def __enter__(self) -> Dealer:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


@pytest.fixture
def dealer(shared_state: StateFolder) -> Iterator[Dealer]:
    with Dealer(shared_state.endpoint) as raw:
        yield raw


@contextmanager
def running_server(
    endpoint: str, store: ModelStore | None = None, of_worker: dict[str, Any] | None = None, **options: object
) -> Iterator[Worker]:
    """A server in a thread of this process, for settings that the command line does not have."""
    parts = (store or make_store(), EmbeddingCache(1 << 28), JobQueue(), OutgoingQueue(), Counters())
    worker = Worker(*parts, **(of_worker or {}))
    with zmq.Context() as context, open_router(context) as router:
        router.bind(endpoint)
        server = Server(router, worker, {}, **options)
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            yield worker
        finally:
            server.request_stop()
            thread.join(PATIENCE)
            worker.ended(1.0)  # or it would find its way to the server closed
            worker.outgoing.close()
            router.linger = 0
    assert not thread.is_alive()


def reply(asked: dict, kind: str, *frames: bytes, **fields: object) -> Frames:
    return [msgpack.packb({"v": 1, "id": asked["id"], "type": kind, **fields}), *frames]


def welcome(hello: dict) -> list[Frames]:
    return [reply(hello, "result", body={"protocol": 1})]


Answer = Callable[[dict], list[Frames] | None]


@contextmanager
def impostor(state: StateFolder, answer: Answer, hello: Answer = welcome) -> Iterator[None]:
    """A daemon that answers everything with `answer(header)`, hello with `hello(header)`; None ends it at once."""
    ready = threading.Event()
    stop = threading.Event()
    thread = threading.Thread(target=_pose, args=(state, answer, hello, ready, stop))
    thread.start()
    assert ready.wait(PATIENCE)
    try:
        yield
    finally:
        stop.set()
        thread.join(PATIENCE)


def _pose(state: StateFolder, answer: Answer, hello: Answer, ready: threading.Event, stop: threading.Event) -> None:
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        router.linger = 0
        router.bind(state.endpoint)
        ready.set()
        while not stop.is_set():
            if not router.poll(20):
                continue
            client, packed, *_ = router.recv_multipart()
            header = msgpack.unpackb(packed)
            replies = (hello if header["type"] == "hello" else answer)(header)
            if replies is None:
                return
            for frames in replies:
                router.send_multipart([client, *frames])


def start_daemon(*arguments: str, **options: object) -> subprocess.Popen:
    """The stand-in daemon as a child of the test, its errors readable."""
    return subprocess.Popen([*STANDIN_DAEMON, *arguments], stderr=subprocess.PIPE, text=True, **options)


def wait_for(condition: Callable[[], object]) -> None:
    """Waits until the condition holds; fails the test when nothing goes on any more."""
    wait_until(condition, "the condition never came true")


def noise(height: int, width: int, dtype: type = np.uint8, seed: int = 0) -> np.ndarray:
    """A gray plane that no other test has with the same seed and size."""
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, (height, width), dtype, endpoint=True)


def picture_of(gray: np.ndarray) -> Picture:
    height, width = gray.shape
    return Picture(width, height, "u8" if gray.dtype == np.uint8 else "u16", gray.tobytes())


class Canvas:
    """Takes bands and puts them together."""

    def __init__(self, height: int, width: int, layout: str = "rgb8") -> None:
        dtype, channels = {"rgb8": ("u1", 3), "rgb16": ("<u2", 3), "ab16": ("<i2", 2)}[layout]
        self.pixels = np.zeros((height, width, channels), dtype)
        self.stages: list[str] = []

    def on_band(self, y: int, rows: int, data: bytes) -> None:
        band = np.frombuffer(data, self.pixels.dtype)
        self.pixels[y : y + rows] = band.reshape(rows, *self.pixels.shape[1:])

    def on_progress(self, stage: str, fraction: float) -> None:
        self.stages.append(stage)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return b"standin" in Path(f"/proc/{pid}/cmdline").read_bytes()  # a zombie has no command line
