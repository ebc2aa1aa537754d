"""install.sh, run for real by an ordinary user of a machine with systemd. One installation, tests in their order."""

import json
import os
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
import pyvips
from session import Machine, Session, wait_until

INSTALL = "/shared/source/install.sh"
PREFIX = ".local/share/gimp-colorize"
PLUG_IN = ".config/GIMP/3.0/plug-ins/colorize"
COMMAND = ".local/bin/gimp-colorize"
STATE = ".local/state/gimp-colorize"
OWN_FILES = {
    ".local/bin/mine": "not from install.sh",
    ".config/GIMP/3.0/gimprc": "(a setting)",
    ".config/GIMP/3.0/plug-ins/other/other.py": "another plug-in",
}


def tree(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Inode, size and time of change of all in a folder that is not the running service's own."""
    found = {}
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if not name.startswith(STATE) and not path.is_dir():
            status = path.lstat()
            found[name] = (status.st_ino, status.st_size, status.st_mtime_ns)
    return found


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def chroma(file: Path) -> float:
    """Mean difference between the largest and the smallest channel, in 8-bit steps; 0 for a gray picture."""
    pixels = pyvips.Image.new_from_file(str(file)).numpy().astype(np.int16)
    return float(np.mean(pixels.max(axis=-1) - pixels.min(axis=-1))) if pixels.ndim == 3 else 0.0


def own_file(session: Session, name: str, text: str) -> None:
    path = session.inside(session.home / name)
    session.run("sh", "-c", 'mkdir -p "$(dirname "$1")" && printf %s "$2" > "$1"', "sh", path, text)


@pytest.fixture(scope="module")
def session(machine: Machine) -> Session:
    """A user of a fresh machine, who has neither uv nor a cache: everything is downloaded."""
    return machine.add_user("kaethe", 4711, "Kaethe - 100% photos", has_uv=False)


@pytest.fixture(scope="module")
def before(session: Session) -> set[str]:
    """The home as the user had it: a few files of their own, a GIMP 3.0 that was used."""
    for name, text in OWN_FILES.items():
        own_file(session, name, text)
    return names(session.home)


@pytest.fixture(scope="module")
def installed(session: Session, before: set[str]) -> str:
    """What the first run printed."""
    return session.run(INSTALL).stdout


def test_first_run_says_what_it_downloads_and_colours_a_picture(session: Session, installed: str) -> None:
    words = installed.splitlines()
    assert next(i for i, line in enumerate(words) if line.startswith("Download: ")) < len(words) - 3
    picture = words[[i for i, line in enumerate(words) if line.startswith("Self-check: ")][0]].split("Look at it: ")[1]
    assert chroma(session.machine.shared / Path(picture).relative_to("/shared")) > 1
    assert session.run("sh", "-c", f'"$HOME/{COMMAND}" --help').stdout


def test_the_plug_in_is_complete_and_knows_the_daemon(session: Session, installed: str) -> None:
    folder = session.home / PLUG_IN
    assert os.access(folder / "colorize.py", os.X_OK)
    assert (folder / "colorize_client" / "__init__.py").is_file()
    assert (folder / "vendor" / "zmq" / "__init__.py").is_file()
    command = json.loads((folder / "daemon.json").read_text())["command"]
    assert session.run(*command, "--version").stdout.startswith("gimp-colorize-daemon ")


def test_the_picture_was_coloured_by_the_service_that_systemd_started(session: Session, installed: str) -> None:
    assert session.systemctl("is-active", "gimp-colorize.socket") == "active"
    connection = json.loads((session.home / STATE / "connection.json").read_text())
    assert str(connection["pid"]) == session.service("MainPID")
    assert session.service("NRestarts") == "0"


def test_the_service_is_shut_in(session: Session, installed: str) -> None:
    """From the kernel's own account: other namespaces than the session's, no new privileges, a system call filter."""
    session.run(session.inside(session.home / COMMAND), "status", environment={})
    pid = session.service("MainPID")
    process = Path(f"/proc/{session.machine.pid}/root/proc/{pid}")
    manager = Path(f"/proc/{session.machine.pid}")
    for namespace in ("net", "mnt", "user"):
        assert os.readlink(process / "ns" / namespace) != os.readlink(manager / "ns" / namespace), namespace
    status = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines() if ":\t" in line)
    assert (status["NoNewPrivs"], status["Seccomp"], status["Uid"].split()[0]) == ("1", "2", str(session.uid))
    mounts = [line.split() for line in (process / "mountinfo").read_text().splitlines()]
    options = {words[4].replace("\\040", " "): words[5].split(",") for words in mounts}
    assert "ro" in options["/shared" if "/shared" in options else "/"]
    assert "rw" in options[session.inside(session.home / STATE)]


def test_a_second_run_changes_nothing(session: Session, installed: str) -> None:
    found = tree(session.home)
    assert "Self-check: coloured" in session.run(INSTALL).stdout
    assert tree(session.home) == found


def test_check_changes_nothing_and_finds_nothing(session: Session, installed: str) -> None:
    found = tree(session.home)
    assert "whole" in session.run(INSTALL, "--check").stdout
    assert tree(session.home) == found


def test_a_killed_service_comes_back_and_colours(session: Session, installed: str) -> None:
    session.run(session.inside(session.home / COMMAND), "status")
    restarts = int(session.service("NRestarts"))
    session.run("kill", "-KILL", session.service("MainPID"))
    wait_until(lambda: int(session.service("NRestarts")) > restarts, "systemd did not restart the service")
    wait_until(lambda: session.service("ActiveState") == "active", "the service did not come back")
    assert "Self-check: coloured" in session.run(INSTALL).stdout


def test_a_stopped_service_starts_on_demand(session: Session, installed: str) -> None:
    session.systemctl("stop", "gimp-colorize.service")
    assert session.service("ActiveState") == "inactive"
    assert "Self-check: coloured" in session.run(INSTALL).stdout
    assert session.service("ActiveState") == "active"


def test_the_watchdog_restarts_a_service_that_hangs(session: Session, installed: str) -> None:
    drop_in = f"/run/user/{session.uid}/systemd/user/gimp-colorize.service.d/soon.conf"
    session.run("sh", "-c", 'mkdir -p "$(dirname "$1")"; printf "[Service]\nWatchdogSec=2\n" > "$1"', "sh", drop_in)
    session.systemctl("daemon-reload")
    session.systemctl("restart", "gimp-colorize.service")
    restarts = int(session.service("NRestarts"))
    session.run("kill", "-STOP", session.service("MainPID"))
    wait_until(lambda: int(session.service("NRestarts")) > restarts, "the watchdog did nothing")
    session.run("rm", drop_in)
    session.systemctl("daemon-reload")


def test_a_plug_in_of_somebody_else_is_not_overwritten(session: Session, installed: str) -> None:
    ours, theirs = session.home / PLUG_IN, session.home / ".config/GIMP/3.2/plug-ins/colorize"
    own_file(session, ".config/GIMP/3.2/plug-ins/colorize/colorize.py", "somebody's own")
    refused = session.run(INSTALL, check=False)
    assert refused.returncode != 0
    assert "is not from this installer: move it away" in refused.stdout
    assert (theirs / "colorize.py").read_text() == "somebody's own"
    session.run("rm", "-r", session.inside(session.home / ".config/GIMP/3.2"))
    assert ours.is_dir()


def test_a_broken_installation_is_found_and_repaired(session: Session, installed: str) -> None:
    """Killed in the middle of an update, then damaged by hand in every part."""
    damage(session)
    checked = session.run(INSTALL, "--check", check=False)
    assert checked.returncode == 1
    for part in ("safetensors", COMMAND, PLUG_IN, "units"):
        assert part in checked.stdout
    kill_while_it_builds(session)
    assert "Self-check: coloured" in session.run(INSTALL).stdout
    assert "whole" in session.run(INSTALL, "--check").stdout
    assert len(list((session.home / PREFIX).glob("env-*"))) == 1
    assert not list((session.home / PREFIX).glob(".work-*"))


def damage(session: Session) -> None:
    (package,) = (session.home / PREFIX / "current").glob("lib/python3*/site-packages/safetensors")
    for path in (package / "__init__.py", session.home / COMMAND, session.home / PLUG_IN / "daemon.json"):
        path.unlink()
    (session.home / ".config/systemd/user/gimp-colorize.service").write_text("[Service]\n")


def kill_while_it_builds(session: Session) -> None:
    environments = len(list((session.home / PREFIX).glob("env-*")))
    run = subprocess.Popen(session.command([INSTALL]), stdout=subprocess.DEVNULL, start_new_session=True)
    wait_until(
        lambda: len(list((session.home / PREFIX).glob("env-*/lib"))) > environments, "install.sh builds no environment"
    )
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    assert len(list((session.home / PREFIX).glob("env-*"))) > environments


def test_uninstall_leaves_nothing_of_ours_and_all_of_theirs(session: Session, installed: str, before: set[str]) -> None:
    session.run(INSTALL, "--uninstall")
    assert names(session.home) == before
    assert {name: (session.home / name).read_text() for name in OWN_FILES} == OWN_FILES
    assert session.service("LoadState") == "not-found"
    assert "gimp-colorize-daemon" not in session.machine.run("ps", "-eww", "-o", "args")
