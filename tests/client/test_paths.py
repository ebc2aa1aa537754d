"""Where the service lives: private folders only, and a way out where the home is no use."""

from __future__ import annotations

import os
import resource
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from colorize_client import connect, connection_file, discovery, errors, paths
from colorize_client.connection_file import Connection
from colorize_client.paths import StateFolder
from service_fixtures import PATIENCE, start_daemon, wait_for


@pytest.fixture
def short() -> Path:
    with tempfile.TemporaryDirectory(prefix="gc-", dir="/tmp") as folder:
        yield Path(folder)


def test_the_folder_is_made_private_whatever_the_umask(short, monkeypatch):
    monkeypatch.setenv(paths.STATE_VARIABLE, str(short / "a" / "b"))
    before = os.umask(0)
    try:
        state = paths.prepare()
    finally:
        os.umask(before)
    assert stat.S_IMODE(state.path.stat().st_mode) == 0o700


def test_xdg_variables_are_ignored(monkeypatch):
    monkeypatch.delenv(paths.STATE_VARIABLE)
    monkeypatch.setenv("XDG_STATE_HOME", "/elsewhere")
    assert not any("elsewhere" in str(state.path) for state in paths.candidates())
    assert paths.candidates()[-1].path == Path(f"/tmp/gimp-colorize-{os.getuid()}")


@pytest.mark.parametrize("home", ["/proc/nowhere", "/tmp/" + "long/" * 25])
def test_a_home_that_is_no_use_is_replaced(monkeypatch, home):
    monkeypatch.delenv(paths.STATE_VARIABLE)
    monkeypatch.setattr(paths, "_home", lambda: Path(home))
    fallback = Path(f"/tmp/gimp-colorize-{os.getuid()}")
    existed = fallback.exists()
    state = paths.prepare()
    assert state.path == fallback
    if not existed:
        fallback.rmdir()


def test_a_path_too_long_for_a_socket_is_a_sentence(short, monkeypatch):
    monkeypatch.setenv(paths.STATE_VARIABLE, str(short / ("x" * 100)))
    with pytest.raises(errors.NoPlace) as caught:
        paths.prepare()
    assert "107" in caught.value.detail


DISKS = {"full": "size=16k", "without room for a name": "nr_inodes=1", "read-only": "ro"}


@contextmanager
def small_disk(folder: Path, options: str) -> Iterator[None]:
    """A disk of a few pages, or one that takes nothing, at an existing folder."""
    mount = ["mount", "-t", "tmpfs", "-o", f"mode=700,{options}", "none", str(folder)]
    if os.getuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("only root can mount a disk, and not everywhere")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize(
    ("disk", "reason"),
    [
        ("full", "No space left on device"),
        ("without room for a name", "No space left on device"),
        ("read-only", "Read-only file system"),
    ],
)
@pytest.mark.parametrize("below", ["", "new/folder"])
def test_a_disk_that_takes_nothing_is_named_with_its_folder(state, monkeypatch, disk, reason, below):
    monkeypatch.setenv(paths.STATE_VARIABLE, str(state.path / below))
    with small_disk(state.path, DISKS[disk]):
        for attempt in (paths.prepare, connect):
            with pytest.raises(errors.NoPlace) as caught:
                attempt()
            assert caught.value.detail == f"{state.path / below} cannot be used: {reason}"
        daemon = start_daemon()
        _, said = daemon.communicate(timeout=PATIENCE)
        assert f"{state.path / below} cannot be used: {reason}" in said


def test_a_disk_that_takes_only_empty_files_is_named(state):
    """As a full one does, and here without a disk of its own."""
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))  # noqa: E731
    _, said = start_daemon(preexec_fn=limit).communicate(timeout=PATIENCE)
    assert said == f"{errors.NoPlace.sentence}\n{state.path} cannot be used: File too large\n"


@pytest.mark.parametrize("taken", ["launch.lock", "launch.log"])
def test_a_folder_in_the_place_of_a_file_is_named(state, taken):
    (state.path / taken).mkdir()
    with pytest.raises(errors.NoPlace) as caught:
        connect()
    assert caught.value.detail == f"{state.path / taken} cannot be written: Is a directory"


@pytest.mark.parametrize("place", ["file/state", "circle/state", "file"])
def test_a_state_folder_that_cannot_be_is_a_sentence(short, monkeypatch, place):
    (short / "file").touch(mode=0o600)
    (short / "circle").symlink_to("circle")
    monkeypatch.setenv(paths.STATE_VARIABLE, str(short / place))
    for launch in (True, False):
        with pytest.raises(errors.ServiceError) as caught:
            connect(launch=launch)
        assert str(short / place) in caught.value.detail


def loosen(state: StateFolder) -> None:
    state.path.chmod(0o750)


def give_away(state: StateFolder) -> None:
    os.chown(state.path, 12345, -1)


def link(state: StateFolder) -> None:
    state.path.rename(state.path.with_name("real"))
    state.path.symlink_to("real")


def replace_by_file(state: StateFolder) -> None:
    state.path.rmdir()
    state.path.touch()


def open_the_parent(state: StateFolder) -> None:
    state.path.parent.chmod(0o777)


@pytest.mark.parametrize("spoil", [loosen, give_away, link, replace_by_file, open_the_parent])
def test_a_folder_that_others_could_use_is_refused(state, spoil):
    if spoil is give_away and os.getuid() != 0:
        pytest.skip("only root can give a folder away")
    spoil(state)
    for attempt in (paths.prepare, discovery.find_service, connect):
        with pytest.raises(errors.UnsafePlace) as caught:
            attempt()
        assert str(state.path) in caught.value.detail


def test_a_service_of_another_user_is_refused(state):
    if os.getuid() != 0:
        pytest.skip("only root can listen as somebody else")
    child = os.fork()
    if child == 0:  # a squatter, without a way back into the tests
        with socket.socket(socket.AF_UNIX) as squatter:
            squatter.bind(str(state.socket))
            os.setuid(12345)
            squatter.listen()  # the kernel keeps who listened
            time.sleep(PATIENCE)
        os._exit(0)
    try:
        with pytest.raises(errors.UnsafePlace) as caught:
            wait_for(discovery.find_service)
        assert "12345" in caught.value.detail
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_no_service_is_no_endpoint(state):
    assert discovery.find_service() is None
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(state.socket))  # and never listens: a stale file
    assert discovery.find_service() is None


def test_the_connection_file_is_whole_and_private(state):
    connection = Connection(state.endpoint, 7, 1, "0.1.0", 1.5)
    connection_file.write(state, connection)
    assert connection_file.read(state) == connection
    assert stat.S_IMODE(state.connection_file.stat().st_mode) == 0o600
    assert [path.name for path in state.path.iterdir()] == ["connection.json"]


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", "[" * 4000, '{"endpoint": 1}', '{"endpoint": "tcp://1.2.3.4:5", "pid": 1, "protocol": 1}'],
)
def test_a_connection_file_of_rubbish_is_as_good_as_none(state, content):
    state.connection_file.write_text(content)
    assert connection_file.read(state) is None
    assert discovery.find_service() is None


def test_a_connection_file_cannot_lead_away_from_the_machine(state):
    connection_file.write(state, Connection("tcp://203.0.113.1:80", 1, 1, "", 0.0))
    assert connection_file.read(state) is None


def test_a_linked_connection_file_is_not_followed(state):
    (state.path / "real.json").write_text("{}")
    state.connection_file.symlink_to("real.json")
    assert connection_file.read(state) is None


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_no_file_is_no_connection_file(state, make):
    make(state.connection_file)
    assert connection_file.read(state) is None
