"""Two small pictures at once: whose turn it is, what stays, and on how many threads each is computed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from colorize_client import connect, messages
from colorize_daemon import resources
from colorize_daemon.devices import Device
from colorize_daemon.embedding_cache import EmbeddingCache
from colorize_daemon.jobs import SMALL_PIXELS, Job, JobQueue
from colorize_daemon.resources import Processors
from service_fixtures import PATIENCE, Canvas, noise, picture_of, running_server

SMALL = (100, 100)
LARGE = (SMALL_PIXELS, 2)


def job(client: str, key: str, size: tuple[int, int] = SMALL) -> Job:
    return Job(client.encode(), messages.Prepare("id", messages.Image(key, *size)), 1)


def queue_of(*waiting: Job, at_once: int = 2) -> JobQueue:
    queue = JobQueue()
    queue.at_once = at_once
    for each in waiting:
        queue.put(each)
    return queue


@pytest.mark.parametrize(
    ("second", "at_once", "together"),
    [
        (job("b", "2"), 2, True),
        (job("b", "2"), 1, False),
        (job("a", "2"), 2, False),  # a client's answers come in the order of its requests
        (job("b", "1"), 2, False),  # what is known of a picture changes with each job
        (job("b", "2", LARGE), 2, False),
    ],
)
def test_which_jobs_are_done_at_once(second: Job, at_once: int, together: bool) -> None:
    first = job("a", "1")
    queue = queue_of(first, second, at_once=at_once)
    assert queue.take(0.0, beside=True) is None  # with nothing to be beside
    assert queue.take(0.0) is first
    assert queue.take(0.0, beside=True) is (second if together else None)
    queue.done(first)
    if not together:
        assert queue.take(0.0) is second


def test_nothing_goes_beside_a_large_picture_and_nobody_overtakes() -> None:
    large, small = job("a", "1", LARGE), job("b", "2")
    queue = queue_of(large, small, job("c", "3"))
    assert queue.take(0.0) is large
    assert queue.take(0.0, beside=True) is None
    queue = queue_of(small, large, job("c", "3"))
    assert queue.take(0.0) is small
    assert queue.take(0.0, beside=True) is None  # the large one is first


def test_a_waiting_thread_hears_that_a_turn_has_come() -> None:
    first, second, got = job("a", "1"), job("a", "2"), list[Job | None]()
    queue = queue_of(first, second)
    assert queue.take(0.0) is first
    waiting = threading.Thread(target=lambda: got.append(queue.take(PATIENCE)))
    waiting.start()
    queue.done(first)
    waiting.join(PATIENCE)
    assert got == [second]
    assert queue.taken() == [second]


class Kept:
    nbytes = 40

    def rest(self) -> None:
        """There is nothing to forget."""


def test_a_picture_in_use_stays() -> None:
    cache = EmbeddingCache(100)
    pictures = {name: Kept() for name in "abc"}
    with cache.using("a", "weights"), cache.using("a", "weights"):
        for name, picture in pictures.items():
            cache.put(name, "weights", picture)
        assert [cache.get(name, "weights") for name in "abc"] == [pictures["a"], None, pictures["c"]]
        cache.make_room(100)
        assert (len(cache), cache.nbytes) == (1, 40)
    cache.make_room(100)
    assert (len(cache), cache.nbytes) == (0, 0)


def test_pictures_of_two_clients_are_done_at_once_and_rightly(state, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second thread takes a picture while the first one has another; each is told its share of the processors."""
    monkeypatch.setattr(resources, "cores", lambda: 4)
    told, meet = list[int](), threading.Barrier(2)

    own = {"warm_up": lambda: Device("cpu", "CPU"), "use_threads": told.append}
    with running_server(state.endpoint, of_worker=own) as worker:
        load = worker.store.get

        def get(record: object) -> object:
            meet.wait(PATIENCE)
            return load(record)

        worker.store.get = get
        canvases = [Canvas(40, 30), Canvas(30, 40)]
        grays = [noise(40, 30, seed=21), noise(30, 40, seed=22)]
        threads = [threading.Thread(target=_colour, args=pair) for pair in zip(grays, canvases, strict=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        assert not meet.broken
        assert (worker.state, worker.counters.encodes, worker.counters.predictions) == ("idle", 2, 2)
    assert all(canvas.pixels.any() for canvas in canvases)
    assert 2 in told  # of four processors


def _colour(gray: object, canvas: Canvas) -> None:
    with connect(launch=False) as client:
        client.colorize(picture_of(gray), on_band=canvas.on_band)


TICK = resources.os.sysconf("SC_CLK_TCK")


@pytest.fixture
def others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """What is free where others use so much of each processor, in a time that this test makes."""
    clock, used = [100.0], [dict.fromkeys(("user", "nice", "steal"), 0.0)]
    monkeypatch.setattr(resources.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(resources.time, "process_time", lambda: 0.0)
    monkeypatch.setattr(resources.os, "sched_getaffinity", lambda _: {0, 1})
    facts = tmp_path / "stat"

    def write() -> None:
        ticks = {name: round(seconds * TICK) for name, seconds in used[0].items()}
        line = "cpu{} {user} {nice} 0 5 5 0 0 {steal} 0 0\n"
        facts.write_text("".join(line.format(n, **(ticks if n == 0 else dict.fromkeys(ticks, 0))) for n in range(4)))

    write()
    processors = Processors(facts)

    def after(*seconds: float, kind: str = "user") -> int:
        """Free after seconds-long windows of which others used these parts of the first processor."""
        for each in seconds:
            clock[0] += 1.0
            used[0][kind] += each
            write()
            processors.look()
        return processors.free()

    return after


def test_processors_that_others_keep_are_not_free(others: Callable[..., int]) -> None:
    assert others() == 2
    assert others(1.0, 1.0) == 1
    assert others(0.0, 0.0) == 2
    assert others(1.0, 1.0, kind="steal") == 1


def test_low_priority_and_short_work_leave_processors_free(others: Callable[..., int]) -> None:
    assert others(1.0, 1.0, kind="nice") == 2
    assert others(0.0, 1.0) == 2  # a client that read its picture, and waits now
    assert others(0.3, 0.3) == 2


def test_a_system_that_does_not_say_leaves_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "cores", lambda: 3)
    processors = Processors(tmp_path / "none")
    monkeypatch.setattr(resources, "LOOK_SECONDS", 0.0)
    for _ in range(4):
        time.sleep(0.01)
        processors.look()
    assert processors.free() == 3


def test_what_this_process_uses_is_free(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    facts = tmp_path / "stat"
    facts.write_text("cpu0 0 0 0 0 0 0 0 0 0 0\n")
    own = [0.0]
    monkeypatch.setattr(resources.os, "sched_getaffinity", lambda _: {0})
    monkeypatch.setattr(resources.time, "process_time", lambda: own[0])
    monkeypatch.setattr(resources, "LOOK_SECONDS", 0.0)
    processors = Processors(facts)
    for seconds in (1, 2, 3):
        time.sleep(0.01)
        own[0] = float(seconds)
        facts.write_text(f"cpu0 {seconds * TICK} 0 0 0 0 0 0 0 0 0\n")
        processors.look()
    assert processors.free() == processors.count == 1
    assert [used for _, used in processors._looks] == pytest.approx([0.0, 0.0, 0.0])
