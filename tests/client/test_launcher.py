"""Starting the service: once, however many ask; with reasons when it fails; again after it was killed."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from colorize_client import (
    connect,
    connection_file,
    discovery,
    end_by_force,
    errors,
    launcher,
    lock,
    paths,
    stop_service,
    stopping,
)
from colorize_client.paths import StateFolder
from service_fixtures import (
    PATIENCE,
    STANDIN_DAEMON,
    Canvas,
    alive,
    noise,
    picture_of,
    private_state,
    start_daemon,
    wait_for,
)

TOGETHER = 6
PROGRAM = "from colorize_client import connect\nwith connect(client='race') as service: print(service.status()['pid'])"


def test_many_programs_at_once_start_one_daemon(state):
    racers = [subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE) for _ in range(TOGETHER)]
    pids = {racer.communicate(timeout=3 * PATIENCE)[0].strip() for racer in racers}
    assert pids == {str(connection_file.read(state).pid).encode()}
    assert state.log.read_text().count("listens at") == 1


def test_the_daemon_outlives_its_starter_in_a_session_of_its_own(state):
    printed = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout
    pid = int(printed)
    assert os.getsid(pid) == pid
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    assert os.readlink(f"/proc/{pid}/fd/0") == os.devnull


def test_the_daemon_inherits_no_descriptors(state):
    """GIMP's pipe to the plug-in would otherwise never close."""
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    with connect():
        os.close(writer)
        assert os.read(reader, 1) == b""
    os.close(reader)


def test_the_daemon_does_not_get_the_python_of_gimp(state, monkeypatch):
    for variable in launcher.FOREIGN_VARIABLES:
        monkeypatch.setenv(variable, "/usr/lib/gimp")
    with connect() as service:
        environment = Path(f"/proc/{service.status()['pid']}/environ").read_bytes()
    assert b"/usr/lib/gimp" not in environment


def test_a_killed_daemon_is_started_again(state):
    picture, canvas = picture_of(noise(30, 20)), Canvas(30, 20)
    with connect() as first:
        first.colorize(picture, on_band=canvas.on_band)
        pid = first.status()["pid"]
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(errors.ServiceLost):
            first.status()
    with connect() as second:
        assert second.colorize(picture, on_band=canvas.on_band)["encoded"]
        assert second.status()["pid"] != pid


def test_a_service_that_just_stopped_is_followed_by_another(state):
    for _ in range(3):
        with connect() as service:
            service.stop()
    assert discovery.find_service() is None


def test_without_launch_nothing_is_started(state):
    with pytest.raises(errors.ServiceNotRunning) as caught:
        connect(launch=False)
    assert str(state.path) in caught.value.detail
    assert not state.log.exists()


def test_a_daemon_that_fails_is_quoted(state, monkeypatch):
    fails = [sys.executable, "-c", "import sys; sys.exit('the disk is on fire')"]
    monkeypatch.setenv(launcher.COMMAND_VARIABLE, shlex.join(fails))
    with pytest.raises(errors.LaunchFailed) as caught:
        connect()
    assert "the disk is on fire" in caught.value.detail
    assert "status 1" in caught.value.detail


def test_a_command_that_is_not_there_is_named(state, monkeypatch):
    monkeypatch.setenv(launcher.COMMAND_VARIABLE, "/no/such/daemon --flag")
    with pytest.raises(errors.LaunchFailed, match="could not be started") as caught:
        connect()
    assert "/no/such/daemon" in caught.value.detail


@pytest.mark.parametrize("named", ["daemon 'without an end", "  "])
def test_a_command_that_is_none_is_a_sentence(state, monkeypatch, named):
    monkeypatch.setenv(launcher.COMMAND_VARIABLE, named)
    with pytest.raises(errors.ServiceNotInstalled, match="not found") as caught:
        connect()
    assert launcher.COMMAND_VARIABLE in caught.value.detail


def test_a_daemon_that_never_listens_is_given_up(state, monkeypatch):
    monkeypatch.setenv(launcher.COMMAND_VARIABLE, shlex.join([sys.executable, "-c", "import time; time.sleep(3)"]))
    with pytest.raises(errors.LaunchFailed) as caught:
        launcher.start_once(seconds=0.5)
    assert str(state.path) in caught.value.detail


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that holds colorize_client in an installation, without the variable that tests use."""
    monkeypatch.delenv(launcher.COMMAND_VARIABLE, raising=False)
    monkeypatch.setattr(launcher, "__file__", str(tmp_path / "colorize_client" / "launcher.py"))
    return tmp_path


def test_the_installer_names_the_command(installed):
    (installed / launcher.COMMAND_FILE).write_text(json.dumps({"command": ["/opt/daemon", "--device", "cpu"]}))
    assert launcher.command() == ["/opt/daemon", "--device", "cpu"]


@pytest.mark.parametrize("content", ["", "[]", '{"command": "words"}', '{"command": []}', '{"command": [1]}'])
def test_a_damaged_installation_says_so(installed, content):
    (installed / launcher.COMMAND_FILE).write_text(content)
    with pytest.raises(errors.ServiceNotInstalled) as caught:
        launcher.command()
    assert launcher.COMMAND_FILE in caught.value.detail


def test_without_an_installation_the_own_interpreter_serves(installed, monkeypatch):
    assert launcher.command() == [sys.executable, "-m", "colorize_daemon.main"]
    monkeypatch.setattr(launcher.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(errors.ServiceNotInstalled):
        launcher.command()


def test_a_daemon_that_hangs_is_ended_by_force(state, monkeypatch):
    monkeypatch.setattr(stopping, "TERM_SECONDS", 0.5)
    with connect() as service:
        pid = service.status()["pid"]
        os.kill(pid, signal.SIGSTOP)
        assert end_by_force()
    wait_for(lambda: not alive(pid))
    with connect() as again:
        assert again.status()["pid"] != pid


@pytest.fixture
def foreign(state: StateFolder) -> Iterator[StateFolder]:
    """Another folder, in which a service runs; the folder of this test's own programs is `state`, where none does."""
    with private_state() as other, connect(), pytest.MonkeyPatch.context() as patch:
        patch.setenv(paths.STATE_VARIABLE, str(state.path))
        yield other


def copy_what_it_says(other: StateFolder, state: StateFolder) -> None:
    shutil.copy(other.connection_file, state.connection_file)


def copy_the_folder(other: StateFolder, state: StateFolder) -> None:
    for file in (other.connection_file, other.service_lock, other.log):
        shutil.copy(file, state.path)


def announce_by_a_winding_path(other: StateFolder, state: StateFolder) -> None:
    winding = f"ipc://{state.path}/../../{other.path.relative_to('/tmp')}/service.sock"
    connection_file.write(state, replace(connection_file.read(other), endpoint=winding))


def link_the_socket(other: StateFolder, state: StateFolder) -> None:
    state.socket.symlink_to(other.socket)


LURES = [copy_what_it_says, copy_the_folder, announce_by_a_winding_path, link_the_socket]


@pytest.mark.parametrize("lure", LURES)
def test_a_folder_that_leads_to_foreign_service_has_none(state, foreign, lure):
    lure(foreign, state)
    assert discovery.find_service() is None
    assert not stop_service()
    assert not end_by_force()
    assert discovery.probe(foreign.endpoint)


def test_a_service_at_a_socket_put_here_is_not_stopped(state, foreign):
    os.link(foreign.socket, state.socket)
    assert not stop_service()
    assert discovery.probe(foreign.endpoint)


def test_force_leaves_who_only_reads_the_lock_alone(state):
    with state.service_lock.open("w") as looking, lock.locked(state.service_lock) as ours:
        assert ours
        with subprocess.Popen(["sleep", "60"], pass_fds=[looking.fileno()]) as reader:
            state.service_lock.write_text(str(reader.pid))
            assert not end_by_force()
            assert reader.poll() is None
            reader.kill()


def test_a_service_of_another_version_is_stopped(state, monkeypatch):
    """Its error tells the user to do just that."""
    future = f"import sys; sys.path.insert(0, {str(Path(STANDIN_DAEMON[1]).parent)!r}); sys.argv = ['daemon']\n"
    future += "from colorize_client import messages; messages.PROTOCOL_VERSIONS = (9,)\n"
    future += (
        "from colorize_daemon import main; from standin_engine import make_store; main.main(make_store=make_store)"
    )
    monkeypatch.setenv(launcher.COMMAND_VARIABLE, shlex.join([sys.executable, "-c", future]))
    with pytest.raises(errors.VersionMismatch):
        connect()
    assert stop_service()
    assert discovery.find_service() is None


def test_a_service_that_listens_elsewhere_is_found_and_stopped(state):
    elsewhere = f"ipc://{state.path}/elsewhere.sock"
    with start_daemon("--endpoint", elsewhere) as daemon:
        wait_for(discovery.find_service)
        assert discovery.find_service() == elsewhere
        assert stop_service()
        assert daemon.wait(PATIENCE) == 0


def test_force_leaves_other_processes_alone(state):
    assert not end_by_force()
    with subprocess.Popen(["sleep", "60"]) as bystander, lock.locked(state.service_lock) as ours:
        assert ours
        state.service_lock.write_text(str(bystander.pid))
        assert not end_by_force()
        assert bystander.poll() is None
        bystander.kill()
