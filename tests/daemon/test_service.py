"""gimp-colorize-daemon as a program: one at a time, its files, signals, systemd, and other machines."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import zmq
import zmq.auth
from colorize_client import CurveKeys, connect, connection_file, discovery, errors, lock
from colorize_client.launcher import EXIT_ALREADY_RUNNING
from colorize_daemon import main as service
from service_fixtures import PATIENCE, STANDIN_DAEMON, Canvas, Dealer, noise, picture_of, start_daemon, wait_for
from standin_engine import make_store
from test_server import ask_for

ACTIVATE = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.argv[2], sys.argv[2:])
"""


def ended(process: subprocess.Popen) -> tuple[int, str]:
    """Exit status and errors of a daemon that ends by itself."""
    _, text = process.communicate(timeout=PATIENCE)
    return process.returncode, text


def refused(capsys: pytest.CaptureFixture, *arguments: str) -> str:
    """What a daemon says that does not even start; it is this process, for speed."""
    before = os.umask(0o077)
    try:
        assert service.main(arguments, make_store) == service.EXIT_REFUSED
    finally:
        os.umask(before)
    return capsys.readouterr().err


def stop(process: subprocess.Popen) -> int:
    process.send_signal(signal.SIGTERM)
    return ended(process)[0]


def test_a_second_daemon_is_refused_with_a_sentence(state):
    with connect() as first:
        status, text = ended(start_daemon())
        assert status == EXIT_ALREADY_RUNNING
        assert errors.AlreadyRunning.sentence in text
        assert first.status()["state"] == "idle"


def test_a_stale_socket_and_connection_file_are_replaced(state):
    with connect() as first:
        pid = first.status()["pid"]
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: discovery.find_service() is None)
    assert state.socket.exists()
    assert state.connection_file.exists()
    with connect() as second:
        assert second.status()["pid"] == connection_file.read(state).pid != pid


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_stop_cleanly_in_the_middle_of_work(state, number):
    daemon = start_daemon()
    wait_for(discovery.find_service)
    with Dealer(state.endpoint) as dealer:
        dealer.send(*ask_for(picture_of(noise(20, 20)), "x", "slow"))
        wait_for(lambda: dealer.read()[0]["stage"] == "encode")
        daemon.send_signal(number)
        assert dealer.read_until("error")[0]["code"] == "service-stopping"
    assert ended(daemon) == (0, "")
    assert not state.socket.exists()
    assert not state.connection_file.exists()


def test_stop_does_not_wait_for_an_engine_that_never_looks_up(state):
    with connect() as client, Dealer(state.endpoint) as dealer:
        dealer.send(*ask_for(picture_of(noise(20, 20)), "x", "deaf"))
        wait_for(lambda: dealer.read()[0]["stage"] == "encode")
        client.stop()
    with connect() as again:
        assert again.status()["state"] == "idle"


def test_all_files_are_private(state):
    with connect():
        modes = {path.name: stat.S_IMODE(path.lstat().st_mode) & 0o077 for path in state.path.iterdir()}
    assert {"service.sock", "connection.json", "daemon.log", "service.lock"} <= set(modes)
    assert not any(modes.values()), modes


def test_the_log_rotates(state):
    with service._log_file(state):
        for _ in range(120):
            logging.getLogger("test").warning("x" * (service.LOG_BYTES // 20))
    sizes = [path.stat().st_size for path in state.path.glob("daemon.log*")]
    assert len(sizes) == 1 + service.LOG_FILES
    assert max(sizes) <= service.LOG_BYTES


def test_the_log_steers_no_terminal(state):
    with service._log_file(state):
        try:
            raise ValueError("\x1b[2J of a file")
        except ValueError:
            logging.getLogger("test").exception("a\nname with \x1b[31m red")
    lines = state.log.read_text(encoding="utf-8").splitlines()
    assert "a\\nname with \\x1b[31m red" in lines[0]
    assert "Traceback" in lines[1]
    assert "\\x1b[2J of a file" in lines[-1]
    assert not any("\x1b" in line for line in lines)


def test_a_folder_that_is_not_private_is_refused(state, capsys):
    state.path.chmod(0o755)
    text = refused(capsys)
    assert errors.UnsafePlace.sentence in text
    assert "chmod 700" in text


def test_an_endpoint_of_its_own_is_announced(state):
    folder = state.path.parent / "elsewhere"
    folder.mkdir(mode=0o700)
    daemon = start_daemon("--endpoint", f"ipc://{folder}/own.sock")
    wait_for(discovery.find_service)
    with connect(launch=False) as client:
        assert client.endpoint == client.status()["endpoint"] == f"ipc://{folder}/own.sock"
    assert stop(daemon) == 0


@pytest.mark.parametrize("endpoint", ["tcp://127.0.0.1:5555", "ipc://relative.sock", "ipc:///no/such/folder/x.sock"])
def test_an_endpoint_in_the_open_is_refused(state, capsys, endpoint):
    text = refused(capsys, "--endpoint", endpoint)
    assert endpoint.removesuffix("/x.sock").removeprefix("ipc://") in text


def test_idle_models_and_pictures_leave_memory(state):
    daemon = start_daemon("--idle-unload", "0.005")
    wait_for(discovery.find_service)
    picture, canvas = picture_of(noise(20, 20)), Canvas(20, 20)
    with connect(launch=False) as client:
        client.colorize(picture, on_band=canvas.on_band)
        wait_for(lambda: not client.status()["models"])
        assert client.status()["memory"]["cache_bytes"] == 0
        assert client.colorize(picture, on_band=canvas.on_band)["encoded"]
    assert stop(daemon) == 0


def test_the_cache_keeps_to_its_bytes_and_to_the_newest(state):
    daemon = start_daemon("--cache-bytes", "1000")
    wait_for(discovery.find_service)
    canvas = Canvas(20, 20)
    small = [picture_of(noise(20, 20, seed=seed)) for seed in range(3)]
    with connect(launch=False) as client:
        encoded = [client.colorize(small[n], on_band=canvas.on_band)["encoded"] for n in (0, 1, 0, 2, 0, 1)]
        assert encoded == [True, True, False, True, False, True]
        assert client.status()["memory"]["cache_bytes"] == 800
        large = picture_of(noise(20, 100))
        wide = Canvas(20, 100)
        assert [client.colorize(large, on_band=wide.on_band)["encoded"] for _ in range(2)] == [True, False]
        assert client.status()["memory"]["cache_images"] == 1
    assert stop(daemon) == 0


def test_a_service_whose_folder_was_removed_ends(state):
    daemon = start_daemon()
    wait_for(state.connection_file.exists)
    shutil.rmtree(state.path)
    assert ended(daemon) == (0, "")
    state.path.mkdir(mode=0o700)


def test_systemd_is_told_and_its_watchdog_fed(state):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(state.path / "notify"))
        systemd.settimeout(PATIENCE)
        environment = {**os.environ, "NOTIFY_SOCKET": str(state.path / "notify"), "WATCHDOG_USEC": "200000"}
        daemon = start_daemon(env=environment)
        told = {systemd.recv(100) for _ in range(3)}
        assert told == {b"READY=1", b"WATCHDOG=1"}
        daemon.terminate()
        while (text := systemd.recv(100)) != b"STOPPING=1":
            assert text == b"WATCHDOG=1"
        assert ended(daemon)[0] == 0


def test_socket_activation_answers_what_came_before_the_daemon(state):
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(state.socket))
        listening.listen()
        with Dealer(state.endpoint) as dealer:
            dealer.ask(id="h", type="hello", versions=[1], client="early")
            for _ in range(2):  # and again with the next one, on the same socket
                words = [sys.executable, "-c", ACTIVATE, str(listening.fileno()), *STANDIN_DAEMON]
                with subprocess.Popen(words, pass_fds=[listening.fileno()]) as daemon:
                    assert dealer.read()[0]["body"]["endpoint"] == state.endpoint
                    daemon.terminate()
                    assert daemon.wait(PATIENCE) == 0
                assert state.socket.exists()
                dealer.ask(id="h", type="hello", versions=[1], client="again")


def test_an_activated_daemon_waits_for_the_one_before_it_to_end(state):
    with socket.socket(socket.AF_UNIX) as listening, Dealer(state.endpoint) as dealer:
        listening.bind(str(state.socket))
        listening.listen()
        dealer.ask(id="h", type="hello", versions=[1], client="early")
        words = [sys.executable, "-c", ACTIVATE, str(listening.fileno()), *STANDIN_DAEMON]
        with lock.locked(state.service_lock) as ours:
            assert ours
            daemon = subprocess.Popen(words, pass_fds=[listening.fileno()])
            assert not dealer.socket.poll(1500)
        assert dealer.read()[0]["type"] == "result"
        daemon.terminate()
        assert daemon.wait(PATIENCE) == 0


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A service's pair, an allowed client's pair, a stranger's pair."""
    for name in ("server", "friend", "stranger"):
        zmq.auth.create_certificates(tmp_path, name)
    (tmp_path / "server.key_secret").chmod(0o600)
    (tmp_path / "clients").mkdir()
    shutil.copy(tmp_path / "friend.key", tmp_path / "clients")
    return tmp_path


def curve(keys: Path, who: str) -> CurveKeys:
    public, secret = zmq.auth.load_certificate(keys / f"{who}.key_secret")
    return CurveKeys(zmq.auth.load_certificate(keys / "server.key")[0], public, secret)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_other_machines_need_a_known_key(state, keys):
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    secret = ["--curve-secret", str(keys / "server.key_secret"), "--curve-clients", str(keys / "clients")]
    daemon = start_daemon("--listen", endpoint, *secret)
    wait_for(state.connection_file.exists)  # written once all sockets are open
    gray = noise(50, 60)
    with connect(endpoint=endpoint, curve=curve(keys, "friend")) as friend:
        friend.colorize(picture_of(gray), on_band=Canvas(50, 60).on_band)
    with pytest.raises(errors.NotAllowed):
        connect(endpoint=endpoint, curve=curve(keys, "stranger"))
    with connect(launch=False) as local:  # the ipc socket needs none
        assert local.status()["counters"]["encodes"] == 1
    assert stop(daemon) == 0


@pytest.mark.parametrize("missing", ["both", "secret", "clients", "private", "loose", "tcp"])
def test_listening_without_keys_is_refused(state, capsys, keys, missing):
    secret = ["--curve-secret", str(keys / ("server.key" if missing == "private" else "server.key_secret"))]
    clients = ["--curve-clients", str(keys / "clients")]
    if missing in ("private", "loose"):
        (keys / "server.key_secret").chmod(0o644 if missing == "loose" else 0o600)
        (keys / "server.key").chmod(0o600)
    given = {"both": [], "secret": clients, "clients": secret}.get(missing, secret + clients)
    where = "ipc:///tmp/x" if missing == "tcp" else f"tcp://127.0.0.1:{free_port()}"
    text = refused(capsys, "--listen", where, *given)
    assert errors.NotAllowed.sentence in text


def test_a_taken_port_is_a_sentence(state, capsys, keys):
    secret = ["--curve-secret", str(keys / "server.key_secret"), "--curve-clients", str(keys / "clients")]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        text = refused(capsys, "--listen", f"tcp://127.0.0.1:{taken.getsockname()[1]}", *secret)
        assert "Address already in use" in text


def test_version_is_printed():
    words = [sys.executable, "-m", "colorize_daemon.main", "--version"]
    assert "protocol 1" in subprocess.run(words, capture_output=True, text=True, check=True).stdout
