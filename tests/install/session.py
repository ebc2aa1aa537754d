"""An ordinary user of a machine with a real systemd: where install.sh is run for real."""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BOOT = Path(__file__).parent / "systemd-host"
USER, UID = "kaethe", 4711
HOME = "Käthe's photos 100%"
BOOT_SECONDS = 60.0
# How this machine reaches the package sources is the machine's affair and holds for the user as well.
MACHINE_SETTINGS = re.compile(
    r"(SSL_CERT_|PIP_(CERT|INDEX|EXTRA|PROXY)|UV_(INDEX|DEFAULT_INDEX|HTTP|SYSTEM|NATIVE)|.*_proxy$)", re.I
)


def machine_settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if MACHINE_SETTINGS.match(name)}


def copy_checkout(target: Path) -> None:
    """What a clone of this checkout would hold, changes not yet committed included."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():  # a deletion may not be committed yet
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def share_cache(cache: Path, target: Path) -> None:
    """uv's cache once more for the user: the unpacked packages as hard links, the small files around them copied."""
    target.mkdir()
    for part in cache.iterdir():
        linked = part.name.startswith("archive-")
        subprocess.run(["cp", "--archive", *(["--link"] if linked else []), part, target], check=True)
        if not linked:
            subprocess.run(["chown", "--recursive", f"{UID}:{UID}", target / part.name], check=True)
    for folder, _, _ in os.walk(target):  # the linked files stay root's: the user reads them, and can change none
        os.chown(folder, UID, UID)


@dataclass
class Session:
    """The user's session inside the booted machine.

    Attributes:
        outside: the shared folder as this process sees it; inside it is /shared.
        pid: process number of the booted systemd.
    """

    outside: Path
    pid: int
    settings: dict[str, str] = field(default_factory=machine_settings)

    @property
    def home(self) -> Path:
        return self.outside / HOME

    def inside(self, path: Path) -> str:
        return str(Path("/shared") / path.relative_to(self.outside))

    def as_root(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self._enter(words), capture_output=True, text=True, check=True)

    def environment(self) -> dict[str, str]:
        return {
            "HOME": f"/shared/{HOME}",
            "USER": USER,
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LC_ALL": "C.UTF-8",
            "UV_CACHE_DIR": "/shared/cache",
            "UV_LINK_MODE": "symlink",  # the kernel lets nobody make hard links to what belongs to another user
            **self.settings,
        }

    def command(self, words: Sequence[str], environment: Mapping[str, str] | None = None) -> list[str]:
        settings = {**self.environment(), **(environment or {})}
        login = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--init-groups", "env", "-i", "-C", "/shared"]
        return self._enter([*login, *(f"{name}={value}" for name, value in settings.items()), *words])

    def run(
        self, *words: str, check: bool = True, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command as the user; with `check` a failure fails the test and shows what was printed."""
        done = subprocess.run(
            self.command(words, environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600
        )
        assert not check or done.returncode == 0, f"{words}: status {done.returncode}\n{done.stdout}"
        return done

    def systemctl(self, *words: str) -> str:
        # systemctl finds the user's manager by XDG_RUNTIME_DIR alone; install.sh has to find it without
        return self.run(
            "systemctl", "--user", *words, environment={"XDG_RUNTIME_DIR": f"/run/user/{UID}"}
        ).stdout.strip()

    def service(self, name: str) -> str:
        """A property of the user's service, as systemctl shows it."""
        return self.systemctl("show", "--value", f"--property={name}", "gimp-colorize.service")

    def _enter(self, words: Sequence[str]) -> list[str]:
        return ["nsenter", f"--target={self.pid}", "--mount", "--pid", "--uts", "--ipc", "--cgroup", "--", *words]


@contextmanager
def booted(outside: Path) -> Iterator[Session]:
    """Boots the machine and makes the user; all ends with the block."""
    number = outside / "pid"
    host = subprocess.Popen([BOOT, outside, number])
    try:
        wait_until(lambda: number.exists() and number.read_text().strip(), "systemd does not start")
        session = Session(outside, int(number.read_text()))
        wait_until(lambda: _is_up(session), "systemd does not come up")
        session.home.mkdir()
        session.as_root("useradd", f"--uid={UID}", "--home-dir", f"/shared/{HOME}", "--shell=/bin/bash", USER)
        session.as_root("chown", "-R", USER, f"/shared/{HOME}", "/shared/source")
        session.as_root("loginctl", "enable-linger", USER)
        wait_until(lambda: (Path(f"/proc/{session.pid}/root/run/user/{UID}/bus")).exists(), "the user has no session")
        yield session
    finally:
        host.send_signal(signal.SIGTERM)
        host.wait(30)


def _is_up(session: Session) -> bool:
    asked = subprocess.run(session._enter(["systemctl", "is-system-running"]), capture_output=True, text=True)
    return asked.stdout.strip() in ("running", "degraded")


def wait_until(condition, complaint: str, seconds: float = BOOT_SECONDS) -> None:
    """Polls until the condition holds; fails with the complaint when it never does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, complaint
        time.sleep(0.1)
