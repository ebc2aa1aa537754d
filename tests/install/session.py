"""A machine with a real systemd and its users: where install.sh is run for real."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import progress

ROOT = Path(__file__).resolve().parents[2]
BOOT = Path(__file__).parent / "systemd-host"
USUAL_PATH = "/usr/local/bin:/usr/bin:/bin"
# How this machine reaches the package sources is the machine's affair and holds for the user as well.
MACHINE_SETTINGS = re.compile(
    r"(SSL_CERT_|PIP_(CERT|INDEX|EXTRA|PROXY)|UV_(INDEX|DEFAULT_INDEX|HTTP|SYSTEM|NATIVE)|.*_proxy$)", re.I
)


def machine_settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if MACHINE_SETTINGS.match(name)}


def checkout_files(*folders: str) -> list[str]:
    """Names of the files that a clone of this checkout would hold, those not yet committed included."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *folders],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def copy_checkout(target: Path) -> None:
    for name in checkout_files():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target / name)


def share_cache(cache: Path, target: Path, uid: int) -> None:
    """uv's cache once more for a user: the unpacked packages as hard links, the small files around them copied."""
    target.mkdir()
    for part in cache.iterdir():
        linked = part.name.startswith("archive-")
        subprocess.run(["cp", "--archive", *(["--link"] if linked else []), part, target], check=True)
        if not linked:
            subprocess.run(["chown", "--recursive", f"{uid}:{uid}", target / part.name], check=True)
    for folder, _, _ in os.walk(target):  # the linked files stay root's: the user reads them, and can change none
        os.chown(folder, uid, uid)


@dataclass
class Session:
    """A user inside the booted machine.

    Attributes:
        machine: the machine.
        user, uid: who it is.
        home: the home folder as this process sees it; inside, the machine's shared folder is /shared.
        settings: environment variables beyond the usual ones.
    """

    machine: "Machine"
    user: str
    uid: int
    home: Path
    settings: Mapping[str, str] = field(default_factory=dict)

    def inside(self, path: Path) -> str:
        """The path of something in the shared folder, as the user knows it."""
        return str(Path("/shared") / path.relative_to(self.machine.shared))

    def command(self, words: Sequence[str], environment: Mapping[str, str] | None = None) -> list[str]:
        settings = {
            "HOME": self.inside(self.home),
            "USER": self.user,
            "PATH": USUAL_PATH,
            "LC_ALL": "C.UTF-8",
            **self.settings,
            **machine_settings(),
            **(environment or {}),
        }
        login = ["setpriv", f"--reuid={self.uid}", f"--regid={self.uid}", "--init-groups", "env", "-i", "-C", "/shared"]
        return self.machine.command([*login, *(f"{name}={value}" for name, value in settings.items()), *words])

    def run(
        self, *words: str, check: bool = True, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command as the user; with `check` a failure fails the test and shows what was printed."""
        done = subprocess.run(
            self.command(words, environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert not check or done.returncode == 0, f"{words}: status {done.returncode}\n{done.stdout}"
        return done

    def systemctl(self, *words: str) -> str:
        # systemctl finds the user's manager by XDG_RUNTIME_DIR alone; install.sh has to find it without
        runtime = {"XDG_RUNTIME_DIR": f"/run/user/{self.uid}"}
        return self.run("systemctl", "--user", *words, environment=runtime).stdout.strip()

    def service(self, name: str) -> str:
        """A property of the user's service, as systemctl shows it."""
        return self.systemctl("show", "--value", f"--property={name}", "gimp-colorize.service")


@dataclass
class Machine:
    """The booted machine.

    Attributes:
        shared: the shared folder as this process sees it.
        cache: the uv cache with every locked package, for the users who have uv.
        pid: process number of the booted systemd.
    """

    shared: Path
    cache: Path
    pid: int

    def command(self, words: Sequence[str]) -> list[str]:
        return ["nsenter", f"--target={self.pid}", "--mount", "--pid", "--uts", "--ipc", "--cgroup", "--", *words]

    def run(self, *words: str) -> str:
        """Runs a command as root and returns what it printed; a failure fails the test."""
        done = subprocess.run(self.command(words), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert done.returncode == 0, f"{words}: status {done.returncode}\n{done.stdout}"
        return done.stdout

    def is_up(self) -> bool:
        asked = subprocess.run(self.command(["systemctl", "is-system-running"]), capture_output=True, text=True)
        return asked.stdout.strip() in ("running", "degraded")

    def add_user(self, user: str, uid: int, home: str, *, has_uv: bool = True) -> Session:
        """A new ordinary user with an empty home and a running session."""
        session = Session(self, user, uid, self.shared / home, self.give_uv(user, uid) if has_uv else {})
        session.home.mkdir()
        self.run("useradd", f"--uid={uid}", "--home-dir", f"/shared/{home}", "--shell=/bin/bash", user)
        self.run("chown", user, f"/shared/{home}")
        self.run("loginctl", "enable-linger", user)
        bus = Path(f"/proc/{self.pid}/root/run/user/{uid}/bus")
        wait_until(bus.exists, f"{user} has no session")
        return session

    def root(self, home: str) -> Session:
        """root with an empty home, and without a session of its own."""
        session = Session(self, "root", 0, self.shared / home, self.give_uv("root", 0))
        session.home.mkdir()
        return session

    def give_uv(self, user: str, uid: int) -> dict[str, str]:
        """The settings of a user who has uv, with all packages in its cache, which take no room once more.

        /shared/bin has the uv that filled the cache: another version might keep its cache in another form.
        """
        share_cache(self.cache, self.shared / f"cache-{user}", uid)
        settings = {"PATH": f"/shared/bin:{USUAL_PATH}", "UV_CACHE_DIR": f"/shared/cache-{user}"}
        # Nobody may make hard links to another user's files.
        return {**settings, **({"UV_LINK_MODE": "symlink"} if uid else {})}


@contextmanager
def booted(shared: Path, cache: Path) -> Iterator[Machine]:
    """Boots a machine; it ends with the block."""
    number = shared / "pid"
    host = subprocess.Popen([BOOT, shared, number])
    try:
        wait_until(lambda: number.exists() and number.read_text().strip() or host.poll(), "systemd does not start")
        assert host.poll() is None, f"{BOOT} ended with status {host.poll()}: no systemd can be booted here"
        machine = Machine(shared, cache, int(number.read_text()))
        wait_until(machine.is_up, "systemd does not come up")
        yield machine
    finally:
        host.terminate()
        host.wait(60)


def wait_until(condition: Callable[[], object], complaint: str) -> None:
    """Polls slowly, since a question to systemd is work, too."""
    progress.wait_until(condition, complaint, cap=600, pause=0.25)
