"""gimp-colorize-daemon: the colour service in the foreground."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zmq
import zmq.auth
from colorize_client import connection_file, discovery, lock, messages, paths, privacy
from colorize_client.connection_file import Connection
from colorize_client.errors import (
    AlreadyRunning,
    BadWeights,
    ColorizeError,
    LaunchFailed,
    NoDevice,
    NotAllowed,
    UnsafePlace,
)
from colorize_client.launcher import EXIT_ALREADY_RUNNING
from colorize_client.paths import StateFolder
from colorize_client.printable import printable
from zmq.auth.thread import ThreadAuthenticator

from colorize_daemon import devices
from colorize_daemon.devices import Device
from colorize_daemon.embedding_cache import EmbeddingCache
from colorize_daemon.jobs import JobQueue, OutgoingQueue
from colorize_daemon.model_store import ModelStore
from colorize_daemon.resources import importing, return_large_pieces
from colorize_daemon.server import LINGER_MS, STOP_SECONDS, Server, open_router
from colorize_daemon.systemd import Notifier, activated_socket
from colorize_daemon.worker import Counters, Worker

if TYPE_CHECKING:  # the engine imports torch, which takes seconds
    from colorize_engine.colorizer import Colorizer
    from colorize_engine.weights import WeightsRecord

log = logging.getLogger(__name__)

VERSION = version("gimp-colorize")
CACHE_BYTES = 512 << 20
IDLE_MINUTES = 15.0
LOG_BYTES, LOG_FILES = 1 << 20, 3
WORKER_SECONDS = 1.0
LOCK_SECONDS = STOP_SECONDS + WORKER_SECONDS + 2.0  # one that is just stopping gets the time to finish
EXIT_REFUSED = 2

StoreFactory = Callable[[argparse.Namespace], ModelStore]


def main(arguments: Sequence[str] | None = None, make_store: StoreFactory | None = None) -> int:
    """Runs the service until it is told to stop; the exit status says why it did not.

    Args:
        arguments: of the command line.
        make_store: where the models come from; the installed weights and the engine by default.
    """
    options = _parser().parse_args(arguments)
    os.umask(0o077)
    return_large_pieces()
    try:
        return _serve(options, make_store or installed_models)
    except AlreadyRunning as error:
        print(error.report(), file=sys.stderr)
        return EXIT_ALREADY_RUNNING
    except ColorizeError as error:
        print(error.report(), file=sys.stderr)
        return EXIT_REFUSED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gimp-colorize-daemon", description="The colour service that GIMP and gimp-colorize talk to."
    )
    add = parser.add_argument
    add("--endpoint", metavar="ipc://PATH", help="socket to listen on, in a folder that is private to you")
    add("--device", default="auto", choices=("auto", "cuda", "mps", "cpu"), help="where the networks run")
    add("--weights", type=Path, action="append", default=[], metavar="PATH", help="a weights file or folder more")
    add("--idle-unload", type=float, default=IDLE_MINUTES, metavar="MINUTES", help="free memory after; 0: never")
    add("--cache-bytes", type=int, default=CACHE_BYTES, metavar="N", help="memory for pictures seen last")
    add("--listen", metavar="tcp://HOST:PORT", help="listen for other machines too; needs both --curve options")
    add("--curve-secret", type=Path, metavar="FILE", help="this service's secret key file, mode 0600")
    add("--curve-clients", type=Path, metavar="DIR", help="folder with the public key files of allowed clients")
    add("--version", action="version", version=f"gimp-colorize-daemon {VERSION}, protocol {messages.PROTOCOL_VERSION}")
    return parser


def installed_models(options: argparse.Namespace) -> ModelStore:
    """The weights of --weights, of the user's own folder, and those that are installed, served by the engine.

    The engine is imported by the first use and not before the socket is open: it takes seconds.
    """

    def records() -> Sequence[WeightsRecord]:
        from colorize_engine import weights

        with _as_client_error(weights.BadWeights, BadWeights):
            return weights.installed(options.weights, paths.candidates()[0].weights)

    def load(record: WeightsRecord) -> Colorizer:
        from colorize_engine import colorizer, weights

        with _as_client_error(weights.BadWeights, BadWeights), _as_client_error(colorizer.NoDevice, NoDevice):
            return colorizer.Colorizer.load(record, options.device)

    def release() -> None:
        from colorize_engine import colorizer

        colorizer.release_memory()

    return ModelStore(records, load, release)


@contextmanager
def _as_client_error(kind: type[Exception], known: type[ColorizeError]) -> Iterator[None]:
    """The engine's own error as the one that clients know."""
    try:
        yield
    except kind as error:
        raise known(str(error)) from error


def _serve(options: argparse.Namespace, make_store: StoreFactory) -> int:
    _check_listen(options)
    state, notifier, handed_over = paths.prepare(), Notifier(), activated_socket()
    with ExitStack() as stack:
        enter = stack.enter_context
        enter(_only_one(state, patient=handed_over is not None))
        enter(_log_file(state))
        worker = enter(_worker(options, make_store))
        router, endpoint = enter(_bound(enter(_context()), state, options, handed_over))
        about = {"version": VERSION, "endpoint": endpoint, "log": str(state.log)}
        server = Server(router, worker, about, tick=lambda: _tick(server, worker, state, notifier))
        enter(_signals(server))
        enter(_announced(state, endpoint))
        notifier.send("READY=1")
        log.info("version %s listens at %s", VERSION, endpoint)
        server.run()
        notifier.send("STOPPING=1")
    return 0


def _tick(server: Server, worker: Worker, state: StateFolder, notifier: Notifier) -> None:
    notifier.tick()
    worker.processors.look()
    if not state.service_lock.exists():  # the state folder was removed: nobody could find this service any more
        log.warning("%s is gone", state.path)
        server.request_stop()


@contextmanager
def _worker(options: argparse.Namespace, make_store: StoreFactory) -> Iterator[Worker]:
    outgoing = OutgoingQueue()
    known = devices.asked_for(options.device)
    worker = Worker(
        make_store(options),
        EmbeddingCache(options.cache_bytes),
        JobQueue(),
        outgoing,
        Counters(),
        device=known,
        idle_seconds=60.0 * options.idle_unload or None,
        **_engine(options.device) if make_store is installed_models else {"warm_up": lambda: known},
    )
    try:
        yield worker
    finally:
        worker.queue.close()
        _end_worker(worker)
        outgoing.close()


def _engine(device: str) -> dict[str, Callable[..., Any]]:
    """What the worker has of the engine, which is imported by its thread."""

    def warm_up() -> Device:
        with importing():
            return devices.chosen(device)

    def use_threads(count: int) -> None:
        from colorize_engine import colorizer

        colorizer.use_threads(count)

    return {"warm_up": warm_up, "use_threads": use_threads}


def _end_worker(worker: Worker) -> None:
    """Lets the worker end; one that is deep in the engine is not waited for, the process ends over it."""
    if not worker.ended(WORKER_SECONDS):
        logging.shutdown()
        os._exit(0)  # a normal end would tear the interpreter down under the running thread


@contextmanager
def _only_one(state: StateFolder, patient: bool) -> Iterator[None]:
    """Holds the service lock, with this process's number in the file; AlreadyRunning where another one has it.

    Patient: somebody listens at the socket in any case (systemd), which says nothing about the holder of the lock.
    """
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        with lock.locked(state.service_lock) as ours:
            if ours:
                with paths.writing(state):
                    state.service_lock.write_text(str(os.getpid()), encoding="ascii")
                yield
                return
        if time.monotonic() > deadline or not (patient or discovery.find_service() is None):
            raise AlreadyRunning(f"{state.service_lock} is locked")
        time.sleep(0.05)


@contextmanager
def _context() -> Iterator[zmq.Context]:
    """Every socket of it is closed at the end, once the last replies have left or `LINGER_MS` are over."""
    context = zmq.Context()
    try:
        yield context
    finally:
        context.destroy(LINGER_MS)


class _LogLines(logging.Formatter):
    """The log is read in terminals and in GIMP: names in it, and what clients sent, steer nothing."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = printable(record.message)
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(map(printable, super().format(record).split("\n")))  # the lines of an exception stay lines


@contextmanager
def _log_file(state: StateFolder) -> Iterator[None]:
    handler = RotatingFileHandler(state.log, maxBytes=LOG_BYTES, backupCount=LOG_FILES, encoding="utf-8")
    handler.setFormatter(_LogLines("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.raiseExceptions = False  # a full disk must not end the service
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()


@contextmanager
def _announced(state: StateFolder, endpoint: str) -> Iterator[None]:
    """The connection file is there as long as the service listens."""
    with paths.writing(state):
        connection_file.write(state, Connection(endpoint, os.getpid(), messages.PROTOCOL_VERSION, VERSION, time.time()))
    try:
        yield
    finally:
        state.connection_file.unlink(missing_ok=True)


@contextmanager
def _signals(server: Server) -> Iterator[None]:
    def stop(number: int, frame: object) -> None:
        server.request_stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _bound(
    context: zmq.Context, state: StateFolder, options: argparse.Namespace, handed_over: socket.socket | None
) -> Iterator[tuple[zmq.Socket, str]]:
    """The ROUTER, bound, and its ipc endpoint; the socket's file goes at the end unless systemd owns it."""
    router, endpoint = open_router(context), options.endpoint or state.endpoint
    if handed_over is not None:
        endpoint = f"ipc://{handed_over.getsockname()}"
        router.setsockopt(zmq.USE_FD, handed_over.detach())  # libzmq closes it
    path = _private_path(endpoint)
    if handed_over is None:
        path.unlink(missing_ok=True)  # left by a service that was killed: we hold the lock
    _bind(router, endpoint)
    router.setsockopt(zmq.USE_FD, -1)
    with _open_to_machines(context, router, options):
        yield router, endpoint
    if handed_over is None:
        path.unlink(missing_ok=True)


def _bind(router: zmq.Socket, endpoint: str) -> None:
    try:
        router.bind(endpoint)
    except zmq.ZMQError as error:
        raise LaunchFailed(f"cannot listen at {endpoint}: {error}") from error


@contextmanager
def _open_to_machines(context: zmq.Context, router: zmq.Socket, options: argparse.Namespace) -> Iterator[None]:
    """With --listen: the TCP endpoint, by CURVE, for the clients whose public keys lie in the folder and no others."""
    if not options.listen:
        yield
        return
    authenticator = ThreadAuthenticator(context)
    authenticator.start()
    try:
        authenticator.configure_curve(domain="*", location=str(options.curve_clients))
        router.curve_publickey, router.curve_secretkey = zmq.auth.load_certificate(options.curve_secret)
        router.curve_server = True  # for what is bound from here on; the ipc socket stays as it is
        _bind(router, options.listen)
        log.info("listens at %s for the keys in %s", options.listen, options.curve_clients)
        yield
    finally:
        authenticator.stop()


def _private_path(endpoint: str) -> Path:
    if not endpoint.startswith("ipc:///"):
        raise UnsafePlace(f"{endpoint} is not ipc:// and an absolute path; --listen is for other machines")
    path = Path(endpoint.removeprefix("ipc://"))
    try:
        privacy.check_private(path.parent)
    except FileNotFoundError as error:
        raise UnsafePlace(f"{path.parent} does not exist; make it with mode 0700") from error
    return path


def _check_listen(options: argparse.Namespace) -> None:
    if not options.listen:
        return
    if not options.listen.startswith("tcp://"):
        raise NotAllowed(f"--listen {options.listen}: only tcp:// is for other machines")
    if options.curve_secret is None or options.curve_clients is None:
        raise NotAllowed("--listen needs --curve-secret FILE and --curve-clients DIR: nothing is served in the clear")
    if not options.curve_clients.is_dir():
        raise NotAllowed(f"--curve-clients {options.curve_clients}: there is no such folder")
    _check_secret(options.curve_secret)


def _check_secret(file: Path) -> None:
    try:
        found = file.stat()
    except OSError as error:
        raise NotAllowed(f"--curve-secret {file}: {error.strerror}") from error
    if found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise NotAllowed(f"--curve-secret {file} must be yours alone; correct it: chmod 600 {file}")
    try:
        secret = zmq.auth.load_certificate(file)[1]
    except ValueError as error:
        raise NotAllowed(f"--curve-secret {file}: {error}") from error
    if secret is None:
        raise NotAllowed(f"--curve-secret {file} holds no secret key; it is the file that ends with .key_secret")


if __name__ == "__main__":
    sys.exit(main())
