"""install.sh where things are not as usual: root without a session, and a home with letters that systemd escapes."""

import json

from session import Machine, Session, wait_until

INSTALL = "/shared/source/install.sh"
PREFIX = ".local/share/gimp-colorize"
STATE = ".local/state/gimp-colorize"


def daemons(machine: Machine) -> list[str]:
    """The commands of all running daemons, whoever started them."""
    return [line for line in machine.run("ps", "-eww", "-o", "args").splitlines() if "colorize_daemon" in line]


def test_root_without_a_session_gets_all_but_the_service(machine: Machine) -> None:
    """As on a fresh server: packages are hard links into uv's cache, and the client starts the program."""
    root = machine.root("root's")
    printed = root.run(INSTALL).stdout
    assert "Service: none installed (systemd has no session for root" in printed
    assert "Self-check: coloured" in printed
    (library,) = (root.home / PREFIX / "current").glob("lib/python3*/site-packages/torch/lib/libtorch_cpu.so")
    assert library.stat().st_nlink > 1
    assert daemons(machine)
    root.run(INSTALL, "--uninstall")
    assert not list(root.home.iterdir())
    assert not daemons(machine)


def test_a_home_with_any_letters(machine: Machine) -> None:
    """systemd would lose a socket of such a path at the next reload, so the service is started at login instead."""
    session = machine.add_user("amelie", 4712, "Amélie's „Fotos“ 100%")
    printed = session.run(INSTALL).stdout
    assert "gimp-colorize.service runs, now and from every login on" in printed
    assert "Self-check: coloured" in printed
    session.systemctl("daemon-reload")
    session.run("kill", "-KILL", session.service("MainPID"))
    wait_until(lambda: session.service("NRestarts") == "1", "systemd did not restart the service")
    wait_until(lambda: session.service("ActiveState") == "active", "the service did not come back")
    assert "Self-check: coloured" in session.run(INSTALL).stdout
    connection = json.loads((session.home / STATE / "connection.json").read_text())
    assert str(connection["pid"]) == session.service("MainPID")
    check_without_namespaces(session)
    session.run(INSTALL, "--uninstall")
    assert not list(session.home.iterdir())


def check_without_namespaces(session: Session) -> None:
    """Where namespaces are forbidden to users, which install.sh learns from a trial, the service runs all the same."""
    session.run("sh", "-c", 'mkdir "$HOME/bin" && ln -s /bin/false "$HOME/bin/systemd-run"')
    printed = session.run("sh", "-c", f'PATH="$HOME/bin:$PATH" {INSTALL}').stdout
    assert "forbids namespaces" in printed
    assert "Self-check: coloured" in printed
    assert session.service("PrivateUsers") == "no"
    assert session.service("RestrictAddressFamilies") == "AF_UNIX"
    session.run("sh", "-c", 'rm -r "$HOME/bin"')
    assert "forbids namespaces" not in session.run(INSTALL).stdout
    assert session.service("PrivateUsers") == "yes"
