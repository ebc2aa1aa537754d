"""Where the service and its clients meet: one private folder with the socket, the connection file, locks and log.

The folder is `~/.local/state/gimp-colorize` of the real home. XDG_STATE_HOME is ignored on purpose: Flatpak and Snap
point it elsewhere, and then GIMP and the service would look in two places. Where the home cannot be written or its path
is too long for a socket, it is `/tmp/gimp-colorize-<uid>`. GIMP_COLORIZE_STATE names another one, and then only that
one is used. A folder that is not ours alone (`privacy`) is refused.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from colorize_client.errors import NoPlace
from colorize_client.privacy import check_private

STATE_VARIABLE = "GIMP_COLORIZE_STATE"
MAX_SOCKET_PATH = 107  # sun_path of Linux, less the closing zero
ROOM = 64 << 10  # bytes that a service needs at least: lock, connection file, the first lines of its logs


@dataclass(frozen=True)
class StateFolder:
    """A folder in which a service may live, and the files in it."""

    path: Path

    @property
    def socket(self) -> Path:
        return self.path / "service.sock"

    @property
    def endpoint(self) -> str:
        return f"ipc://{self.socket}"

    @property
    def connection_file(self) -> Path:
        return self.path / "connection.json"

    @property
    def service_lock(self) -> Path:
        return self.path / "service.lock"

    @property
    def launch_lock(self) -> Path:
        return self.path / "launch.lock"

    @property
    def log(self) -> Path:
        return self.path / "daemon.log"

    @property
    def weights(self) -> Path:
        """The user's own weights; what lies here is offered beside the shipped ones."""
        return self.path / "weights"

    @property
    def launch_log(self) -> Path:
        return self.path / "launch.log"


def candidates() -> list[StateFolder]:
    """The folders in which a service may live, the preferred one first; none is touched."""
    override = os.environ.get(STATE_VARIABLE)
    if override:
        return [StateFolder(Path(override).absolute())]
    folders = (_home() / ".local" / "state" / "gimp-colorize", Path(f"/tmp/gimp-colorize-{os.getuid()}"))
    return [state for state in map(StateFolder, folders) if _socket_fits(state)]


def _home() -> Path:
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:  # a container may run a user that no passwd file knows
        return Path(os.environ.get("HOME", "/nonexistent"))


def _socket_fits(state: StateFolder) -> bool:
    return len(os.fsencode(state.socket)) <= MAX_SOCKET_PATH


def prepare() -> StateFolder:
    """The folder for a service to use, made if need be, private and writable; UnsafePlace or NoPlace otherwise."""
    refusals = []
    for state in candidates():
        if not _socket_fits(state):
            refusals.append(f"{state.socket}: longer than the {MAX_SOCKET_PATH} bytes of a socket's path")
            continue
        try:
            _make(state.path)
            check_private(state.path)
            _try_writing(state.path)
            return state
        except OSError as error:
            refusals.append(f"{state.path} cannot be used: {error.strerror}")
    raise NoPlace("\n".join(refusals))


@contextlib.contextmanager
def writing(state: StateFolder) -> Iterator[None]:
    """Turns the system's refusal to write in the folder into NoPlace, which names it: a disk may fill at any time."""
    try:
        yield
    except OSError as error:
        raise NoPlace(f"{error.filename or state.path} cannot be written: {error.strerror}") from error


def _make(folder: Path) -> None:
    """Makes the folder and those above it that are missing, each 0700 whatever the umask leaves open."""
    missing = [parent for parent in (folder, *folder.parents) if not os.path.lexists(parent)]
    for each in reversed(missing):
        with contextlib.suppress(FileExistsError):  # another client was faster
            each.mkdir(mode=0o700)


def _try_writing(folder: Path) -> None:
    """OSError where the folder does not take `ROOM` bytes: a full disk still makes empty files."""
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(ROOM))
        file.flush()
        os.fsync(file.fileno())  # a quota on another machine's disk is found no earlier
