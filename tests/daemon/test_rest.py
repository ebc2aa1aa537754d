"""A service at rest gives memory back; one whose imports failed says so, ends, and works again by itself."""

from __future__ import annotations

import gc
import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from colorize_client import Options, connect, errors, launcher, paths
from colorize_daemon import resources, worker
from colorize_daemon.broken_imports import broke_an_import
from colorize_daemon.embedding_cache import EmbeddingCache
from colorize_daemon.jobs import JobQueue, OutgoingQueue
from colorize_daemon.worker import Counters, Worker
from service_fixtures import Canvas, noise, picture_of, running_server, wait_for
from standin_engine import make_store

FULL = "libtorch_cpu.so: failed to map segment from shared object"


class Picture:
    """As the cache sees an embedding."""

    nbytes, rested = 10, False

    def rest(self) -> None:
        self.rested = True


def test_at_rest_the_picture_used_last_stays_without_what_is_found_again() -> None:
    cache = EmbeddingCache(100)
    pictures = {name: Picture() for name in ("a", "b", "c")}
    for name, picture in pictures.items():
        cache.put(name, "weights", picture)
    cache.get("b", "weights")
    cache.rest()
    assert [cache.get(name, "weights") for name in pictures] == [None, pictures["b"], None]
    assert (pictures["b"].rested, cache.nbytes, len(cache)) == (True, 10, 1)


@pytest.mark.parametrize("unload", [0.01, 50.0, None])
def test_rests_come_in_the_order_of_their_times(unload: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    store, begun = make_store(), list[str]()
    own = Worker(store, EmbeddingCache(100), JobQueue(), OutgoingQueue(), Counters(), idle_seconds=unload)
    for name in ("trim", "unmap_pages"):
        monkeypatch.setattr(worker, name, lambda name=name: begun.append(name))
    rests = own._rests()
    seconds = [rest.seconds for rest in rests]
    times = sorted([worker.TRIM_SECONDS, worker.REST_SECONDS, *([unload] if unload else [])])
    assert [sum(seconds[: n + 1]) for n in range(len(seconds))] == pytest.approx(times)
    for rest in rests:
        rest.begin()
    assert begun == ["trim", "trim", "unmap_pages"]
    own.outgoing.close()


def test_a_service_rests_once_and_works_on(state, monkeypatch: pytest.MonkeyPatch) -> None:
    rested = threading.Semaphore(0)
    monkeypatch.setattr(worker, "TRIM_SECONDS", 0.01)
    monkeypatch.setattr(worker, "REST_SECONDS", 0.02)
    monkeypatch.setattr(worker, "unmap_pages", rested.release)
    picture, canvas = picture_of(noise(20, 20, seed=31)), Canvas(20, 20)
    with running_server(state.endpoint) as own, connect(launch=False) as client:
        for uploaded in (True, False):
            assert client.colorize(picture, on_band=canvas.on_band)["uploaded"] == uploaded
            assert rested.acquire(timeout=60)
        assert len(own.cache) == 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells what is mapped")
def test_nothing_is_looked_through_for_garbage_while_an_engine_is_imported() -> None:
    frozen = gc.get_freeze_count()
    with resources.importing():
        assert not gc.isenabled()
    assert gc.isenabled()
    assert gc.get_freeze_count() > frozen
    gc.unfreeze()
    with pytest.raises(ImportError), resources.importing():
        raise ImportError(FULL)
    assert gc.isenabled()


def test_pages_of_files_leave_memory_and_come_back_as_they_were() -> None:
    code = """
import hashlib, numpy, sys
from pathlib import Path
from colorize_daemon import resources
from colorize_engine import weights
def rss(): return resources.memory()["rss"]
data = numpy.memmap(weights.SHIPPED / "chroma.safetensors", mode="r")
own = numpy.memmap(weights.SHIPPED / "chroma.safetensors", mode="c")
own[:100_000] = 7
digest, before = hashlib.sha256(data).digest(), rss()
resources.trim(); resources.unmap_pages()
print(before - rss())
assert hashlib.sha256(data).digest() == digest
assert (own[:100_000] == 7).all()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 15e6


def test_only_what_holds_the_files_own_bytes_is_let_go() -> None:
    def mapping(start: int, rights: str, inode: int, anonymous: int, name: str = "/usr/lib/a b.so") -> str:
        sizes = f"Size:   4 kB\nRss:   4 kB\nAnonymous:   {anonymous} kB\nVmFlags: rd mr\n"
        return f"{start:x}000-{start + 1:x}000 {rights} 00000000 08:01 {inode}    {name}\n{sizes}"

    whole = [(1, "r-xp", 5, 0), (2, "rw-p", 5, 0), (3, "r--p", 5, 4), (4, "r--p", 0, 0), (5, "r--s", 9, 0)]
    smaps = "".join(mapping(*each) for each in whole) + mapping(6, "r--s", 7, 0, "/dev/nvidia0")
    assert list(resources._file_pages(smaps)) == [(0x1000, 0x2000), (0x5000, 0x6000)]


def _raising(error: Exception) -> Callable[[], None]:
    def warm_up() -> None:
        raise error

    return warm_up


@pytest.mark.parametrize(
    ("error", "known"),
    [
        (MemoryError(), errors.OutOfMemory),
        (ImportError(FULL), errors.OutOfMemory),
        (OSError(12, "Cannot allocate memory"), errors.OutOfMemory),
        (ImportError("no module named torch"), errors.InternalError),
        (RuntimeError("Only a single TORCH_LIBRARY can be used"), errors.InternalError),
    ],
)
def test_a_service_that_could_not_import_its_engine_says_so_and_ends(state, error: Exception, known: type) -> None:
    with running_server(state.endpoint) as own:
        own.warm_up = _raising(error)
        with connect(launch=False) as client:
            with pytest.raises(known):
                client.colorize(picture_of(noise(20, 20)), on_band=Canvas(20, 20).on_band)
            assert own.spent.wait(60)
        wait_for(lambda: own.queue.closed)


def test_one_that_nobody_asks_ends_too(state, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "BROKEN_SECONDS", 0.01)
    with running_server(state.endpoint) as own:
        own.warm_up = _raising(MemoryError())
        with connect(launch=False):
            assert own.spent.wait(60)
        wait_for(lambda: own.queue.closed)


def test_an_import_that_breaks_in_the_middle_of_a_job_ends_the_service_too(state, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "breaking.py").write_text("raise MemoryError")
    monkeypatch.syspath_prepend(tmp_path)

    def load(record: object) -> None:
        import breaking  # noqa: F401

    with running_server(state.endpoint) as own, connect(launch=False) as client:
        monkeypatch.setattr(own.store, "_load", load)
        with pytest.raises(errors.OutOfMemory):
            client.colorize(picture_of(noise(20, 20)), on_band=Canvas(20, 20).on_band)
        wait_for(lambda: own.queue.closed)


def test_memory_that_is_full_elsewhere_ends_nothing(state, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_server(state.endpoint) as own, connect(launch=False) as client:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(own.store, "_load", lambda record: _raising(MemoryError())())
            with pytest.raises(errors.OutOfMemory):
                client.colorize(picture_of(noise(20, 20)), on_band=Canvas(20, 20).on_band)
        assert client.colorize(picture_of(noise(20, 20)), on_band=Canvas(20, 20).on_band)["encoded"]


def test_what_broke_an_import_is_told_from_other_errors(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "breaking_too.py").write_text("int('x')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match="invalid literal") as broken:
        import breaking_too  # noqa: F401
    with pytest.raises(ValueError, match="invalid literal") as other:
        int("x")
    assert broke_an_import(broken.value)
    assert not broke_an_import(other.value)
    other.value.__cause__ = broken.value
    assert broke_an_import(other.value)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit is Linux's")
def test_the_engine_is_there_again_once_there_is_memory(state, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real one, whose first process has too little address space for PyTorch."""
    once = paths.candidates()[0].path / "was-limited"
    code = f"""
import os, resource, sys
if not os.path.exists({str(once)!r}):
    open({str(once)!r}, "w").close()
    resource.setrlimit(resource.RLIMIT_AS, (600 << 20, 600 << 20))
from colorize_daemon.main import main
sys.exit(main(["--device", "cpu"]))
"""
    monkeypatch.setenv(launcher.COMMAND_VARIABLE, shlex.join([sys.executable, "-c", code]))
    picture, canvas = picture_of(noise(40, 60)), Canvas(40, 60)
    with connect() as client, pytest.raises(errors.OutOfMemory):
        client.colorize(picture, on_band=canvas.on_band)
    with connect() as client:
        assert client.colorize(picture, on_band=canvas.on_band)["encoded"]


def test_a_damaged_model_leaves_its_place_to_another_of_its_name(state) -> None:
    from colorize_engine import weights

    shipped = next(record for record in weights.available() if record.default)
    data = shipped.path.read_bytes()
    own = state.path / "weights"
    own.mkdir(exist_ok=True)
    (own / "chroma.safetensors").write_bytes(data[:-1000] + bytes(1000))
    os.environ[launcher.COMMAND_VARIABLE] = f"{sys.executable} -m colorize_daemon.main --device cpu"
    with connect() as client:
        assert client.models()[0]["path"] == str(own / "chroma.safetensors")
        result = client.colorize(picture_of(noise(40, 60)), options=Options("chroma"), on_band=Canvas(40, 60).on_band)
        assert result["model"]["path"] == str(shipped.path)
        assert str(own / "chroma.safetensors") in client.models()[0]["note"]
        log = state.log.read_text()
        assert "other weights of the name 'chroma' serve" in log
        assert "damaged" in log


def test_a_thread_that_cannot_be_started_leaves_no_job_behind(state, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_server(state.endpoint) as own, connect(launch=False) as client:
        wait_for(own.ready.is_set)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(own, "start", _raising(RuntimeError("can't start new thread")))
            with pytest.raises(errors.InternalError):
                client.colorize(picture_of(noise(20, 20)), on_band=Canvas(20, 20).on_band)
            assert client.status()["jobs"] == 0
