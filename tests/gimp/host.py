"""Real GIMP 3.0 and 3.2, each in a Debian root folder of its own, made here and kept between runs.

python tests/gimp/host.py [SUITE...]      makes or completes them (default: all) and says where they lie

The root folders hold neither pyzmq nor msgpack, as a user's GIMP does not: the plug-in's own must serve. They are
kept in $GIMP_COLORIZE_HOSTS, or in gimp-colorize/hosts of the cache folder. Debian's mirror is the one that this
machine's apt uses; $GIMP_COLORIZE_MIRROR names another. Needs root, debootstrap and bubblewrap; the last two are
installed where apt can.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SUITES = {"trixie": "3.0", "forky": "3.2"}  # and the GIMP that Debian has there
PACKAGES = (
    "gimp",
    "python3",
    "python3-gi",
    "gir1.2-gimp-3.0",
    *("xvfb", "openbox", "dbus-daemon", "xdotool", "imagemagick"),  # a screen, hands, and eyes
    *("fonts-dejavu-core", "adwaita-icon-theme"),
)
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
ANY_SUITE = "/usr/share/debootstrap/scripts/sid"  # what every Debian suite's script is a link to
SETTINGS = {
    "etc/apt/apt.conf.d/90host": (
        'APT::Install-Recommends "false";\nAcquire::Languages "none";\n'
        'Acquire::Check-Valid-Until "false";\n'  # a mirror may be a frozen copy
    ),
    "etc/dpkg/dpkg.cfg.d/90host": "".join(
        f"path-exclude=/usr/share/{folder}/*\n" for folder in ("man", "doc", "locale", "help")
    ),
    "usr/sbin/policy-rc.d": "#!/bin/sh\nexit 101\n",
}
TOOLS = {"debootstrap": "debootstrap", "bwrap": "bubblewrap"}
QUIET = {"DEBIAN_FRONTEND": "noninteractive"}


class HostError(Exception):
    """Why there is no GIMP to test in, and what to do."""


class NotRoot(HostError):
    """The user may not make one."""


@dataclass(frozen=True)
class Host:
    """One Debian root folder with GIMP in it."""

    suite: str

    @property
    def root(self) -> Path:
        return hosts_folder() / self.suite

    @property
    def gimp_version(self) -> str:
        """The folder of the profile: "3.0" or "3.2"."""
        return SUITES[self.suite]

    def command(
        self,
        words: Sequence[str],
        *,
        shared: Sequence[Path] = (),
        environment: Mapping[str, str] | None = None,
        writable: bool = False,
        network: bool = False,
    ) -> list[str]:
        """The command line that runs `words` inside; all its processes end with it.

        Args:
            words: program and arguments.
            shared: folders of this machine that are seen inside, at the same path.
            environment: the whole environment, besides PATH and the locale.
            writable: whether the root folder itself may be written.
            network: whether it can be reached from inside; GIMP never needs it.
        """
        options = ["--bind" if writable else "--ro-bind", str(self.root), "/", "--dev", "/dev", "--proc", "/proc"]
        options += ["--tmpfs", "/run", "--perms", "1777", "--tmpfs", "/tmp"]
        options += ["--unshare-pid", "--die-with-parent", "--clearenv", "--cap-add", "ALL"]
        options += [] if network else ["--unshare-net"]
        for folder in shared:
            options += ["--bind", str(folder), str(folder)]
        given = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "XDG_RUNTIME_DIR": "/run"}
        for name, value in {**given, **(environment or {})}.items():
            options += ["--setenv", name, value]
        return ["bwrap", *options, "--", *words]

    def ensure(self) -> None:
        """Makes the root folder, or completes one that was interrupted; a complete one costs nothing.

        Raises:
            HostError.
        """
        complete = self.root / ".complete"
        wanted = " ".join(PACKAGES)
        if complete.exists() and complete.read_text() == wanted:
            return
        with _locked("apt"):
            _check_tools()
        with _locked(self.suite):
            if not (self.root / ".bootstrapped").exists():
                self._bootstrap()
            self._install()
            complete.write_text(wanted)

    def _bootstrap(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)  # half of one cannot be resumed
        self._packages_folder.mkdir(parents=True, exist_ok=True)
        options = ["--variant=minbase", f"--cache-dir={self._packages_folder}", f"--keyring={KEYRING}"]
        with _locked("apt"):
            source = mirror()
        _run(["debootstrap", *options, self.suite, str(self.root), source, ANY_SUITE])
        for name, content in SETTINGS.items():
            (self.root / name).write_text(content)
        (self.root / "usr/sbin/policy-rc.d").chmod(0o755)
        (self.root / ".bootstrapped").touch()

    def _install(self) -> None:
        cache = self.root / "var/cache/apt/archives"
        for step in (
            ["dpkg", "--configure", "-a"],
            ["apt-get", "update", "-q"],
            ["apt-get", "install", "-q", "-y", "--fix-broken", *PACKAGES],
        ):
            _run(self._building(step, cache))

    def _building(self, words: Sequence[str], cache: Path) -> list[str]:
        """`words` with the network, and with the .deb files kept outside the root folder."""
        command = self.command(words, environment=QUIET, writable=True, network=True)
        split = command.index("--")
        binds = ["--bind", str(self._packages_folder), "/" + str(cache.relative_to(self.root))]
        binds += ["--ro-bind", "/etc/resolv.conf", "/etc/resolv.conf", "--ro-bind", "/etc/hosts", "/etc/hosts"]
        return [*command[:split], *binds, *command[split:]]

    @property
    def _packages_folder(self) -> Path:
        return hosts_folder() / f"{self.suite}.debs"


def ensure(suites: Iterable[str]) -> dict[str, Host | HostError]:
    """The root folders of these suites, made at the same time where they are missing, or why there is none."""

    def ensured(suite: str) -> Host | HostError:
        host = Host(suite)
        try:
            host.ensure()
        except HostError as error:
            return error
        return host

    suites = list(suites)
    with ThreadPoolExecutor() as pool:
        return dict(zip(suites, pool.map(ensured, suites), strict=True))


def hosts_folder() -> Path:
    named = os.environ.get("GIMP_COLORIZE_HOSTS")
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(named) if named else Path(cache) / "gimp-colorize" / "hosts"


def mirror() -> str:
    """Debian's mirror of this machine's apt."""
    named = os.environ.get("GIMP_COLORIZE_MIRROR")
    found = named or _apt_mirror() or (_refresh_apt() and _apt_mirror())
    if not found:
        raise HostError("this machine's apt has no Debian mirror: name one in GIMP_COLORIZE_MIRROR")
    return found


def _apt_mirror() -> str | None:
    command = ["apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)", "Created-By: Packages"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return next((line.split()[1] for line in lines if line.startswith("Debian ")), None)


def _refresh_apt() -> bool:
    """apt only knows whose its mirrors are once it has read their lists."""
    _run(["apt-get", "update", "-q"])
    return True


def _check_tools() -> None:
    if os.geteuid() != 0:
        raise NotRoot("a GIMP to test in can only be made by root: run this as root")
    missing = [package for program, package in TOOLS.items() if not shutil.which(program)]
    if missing:
        _run(["apt-get", "update", "-q"])
        _run(["apt-get", "install", "-q", "-y", "--no-install-recommends", *missing])


def _run(command: Sequence[str]) -> None:
    """Runs a step; what it printed is shown when it fails."""
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | QUIET, check=False
    )
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-20:])
        raise HostError(f"{' '.join(command[:1] + list(command[-6:]))} failed with status {done.returncode}:\n{tail}")


@contextmanager
def _locked(what: str) -> Iterator[None]:
    """Two test runs may want the same root folder, two root folders this machine's apt."""
    path = hosts_folder() / f"{what}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main(suites: Sequence[str]) -> int:
    unknown = [suite for suite in suites if suite not in SUITES]
    if unknown:
        print(__doc__, file=sys.stderr)
        return 2
    found = ensure(suites or SUITES)
    for host in found.values():
        print(host.root if isinstance(host, Host) else host, file=sys.stdout if isinstance(host, Host) else sys.stderr)
    return int(any(isinstance(host, HostError) for host in found.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
