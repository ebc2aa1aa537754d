"""Where the service and its clients meet: one private folder with the socket, the connection file, locks and log.

The folder is `~/.local/state/gimp-colorize` of the real home. XDG_STATE_HOME is ignored on purpose: Flatpak and Snap
point it elsewhere, and then GIMP and the service would look in two places. Where the home cannot be written or its path
is too long for a socket, it is `/tmp/gimp-colorize-<uid>`. GIMP_COLORIZE_STATE names another one, and then only that
one is used. A folder that is not ours alone (owner, mode 0700, no symbolic link) is refused: whoever can write there
could pose as the service.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import pwd
import socket
import stat
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from colorize_client.errors import NoPlace, UnsafePlace

OVERRIDE = "GIMP_COLORIZE_STATE"
MAX_SOCKET_PATH = 107  # sun_path of Linux, less the closing zero
MAX_CONNECTION_FILE = 4096
PROBE_SECONDS = 2.0
_NOT_WRITABLE = {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.ENOSPC, errno.EDQUOT}


@dataclass(frozen=True)
class Place:
    """A folder in which a service may live, and the files in it."""

    folder: Path

    @property
    def socket(self) -> Path:
        return self.folder / "service.sock"

    @property
    def endpoint(self) -> str:
        return f"ipc://{self.socket}"

    @property
    def connection_file(self) -> Path:
        return self.folder / "connection.json"

    @property
    def service_lock(self) -> Path:
        return self.folder / "service.lock"

    @property
    def launch_lock(self) -> Path:
        return self.folder / "launch.lock"

    @property
    def log(self) -> Path:
        return self.folder / "daemon.log"

    @property
    def weights(self) -> Path:
        """The person's own weights; what lies here is offered beside the shipped ones."""
        return self.folder / "weights"

    @property
    def launch_log(self) -> Path:
        return self.folder / "launch.log"


@dataclass(frozen=True)
class Connection:
    """What the connection file says about the service that wrote it; `started` is seconds since the epoch."""

    endpoint: str
    pid: int
    protocol: int
    version: str
    started: float


def candidates() -> list[Place]:
    """The folders in which a service may live, the preferred one first; none is touched."""
    override = os.environ.get(OVERRIDE)
    if override:
        return [Place(Path(override).absolute())]
    places = [Place(_home() / ".local" / "state" / "gimp-colorize"), Place(Path(f"/tmp/gimp-colorize-{os.getuid()}"))]
    return [place for place in places if _socket_fits(place)]


def _home() -> Path:
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:  # a container may run a user that no passwd file knows
        return Path(os.environ.get("HOME", "/nonexistent"))


def _socket_fits(place: Place) -> bool:
    return len(os.fsencode(place.socket)) <= MAX_SOCKET_PATH


def prepare() -> Place:
    """The folder for a service to use, made if need be, private and writable; UnsafePlace or NoPlace otherwise."""
    refusals = []
    for place in candidates():
        if not _socket_fits(place):
            refusals.append(f"{place.socket}: longer than the {MAX_SOCKET_PATH} bytes of a socket's path")
            continue
        try:
            _make(place.folder)
            check_private(place.folder)
            _try_writing(place.folder)
            return place
        except OSError as error:
            if error.errno not in _NOT_WRITABLE:
                raise
            refusals.append(f"{place.folder}: {error.strerror}")
    raise NoPlace("\n".join(refusals))


def _make(folder: Path) -> None:
    """Makes the folder and those above it that are missing, each 0700 whatever the umask leaves open."""
    missing = [parent for parent in (folder, *folder.parents) if not os.path.lexists(parent)]
    for each in reversed(missing):
        with contextlib.suppress(FileExistsError):  # another client was faster
            each.mkdir(mode=0o700)


def _try_writing(folder: Path) -> None:
    with tempfile.TemporaryFile(dir=folder):
        pass


def check_private(folder: Path) -> None:
    """UnsafePlace unless the folder is a real one, owned by this user, closed to all others, and cannot be swapped."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise UnsafePlace(f"{folder} is not a folder (a symbolic link is not accepted); remove it")
    if found.st_uid != os.getuid():
        raise UnsafePlace(f"{folder} belongs to user {found.st_uid}, not to user {os.getuid()}; remove it")
    if found.st_mode & 0o077:
        raise UnsafePlace(f"{folder} has mode {stat.S_IMODE(found.st_mode):04o}; correct it: chmod 700 {folder}")
    for parent in folder.parents:
        mode = parent.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise UnsafePlace(f"{parent} can be written by everybody, so {folder} could be swapped; chmod o-w {parent}")


def find_service() -> str | None:
    """The endpoint of a service that is listening now, None where there is none.

    Raises UnsafePlace where the only folder to look in is not private.
    """
    unsafe: UnsafePlace | None = None
    for place in candidates():
        try:
            check_private(place.folder)
        except FileNotFoundError:
            continue
        except PermissionError as error:
            unsafe = UnsafePlace(f"{place.folder}: {error.strerror}")
            continue
        except UnsafePlace as error:
            unsafe = error
            continue
        for endpoint in _endpoints(place):
            if probe(endpoint):
                return endpoint
    if unsafe is not None:
        raise unsafe
    return None


def _endpoints(place: Place) -> list[str]:
    connection = read_connection(place)
    named = [connection.endpoint] if connection else []
    return named + [place.endpoint] if place.endpoint not in named else named


def probe(endpoint: str) -> bool:
    """Whether a process of this user listens at an ipc endpoint; libzmq's own connect would wait in silence."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe_socket:
        probe_socket.settimeout(PROBE_SECONDS)
        try:
            probe_socket.connect(endpoint.removeprefix("ipc://"))
        except OSError:
            return False
        _check_peer(probe_socket, endpoint)
    return True


def _check_peer(connected: socket.socket, endpoint: str) -> None:
    if not hasattr(socket, "SO_PEERCRED"):
        return
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack("3i", connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    if uid not in (os.getuid(), 0):
        raise UnsafePlace(f"{endpoint} is served by user {uid}, not by user {os.getuid()}")


def read_connection(place: Place) -> Connection | None:
    """What the connection file says, None where there is none or it is not a whole one of ours."""
    try:
        descriptor = os.open(place.connection_file, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return None
    with open(descriptor, "rb") as file:
        if os.fstat(descriptor).st_uid != os.getuid():
            raise UnsafePlace(f"{place.connection_file} belongs to another user; remove it")
        content = file.read(MAX_CONNECTION_FILE)
    try:
        connection = Connection(**json.loads(content))
    except (ValueError, TypeError):
        return None
    return connection if str(connection.endpoint).startswith("ipc://") else None


def write_connection(place: Place, connection: Connection) -> None:
    """Puts the connection file in place, whole or not at all, mode 0600."""
    descriptor, name = tempfile.mkstemp(dir=place.folder, prefix="connection.")
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            json.dump(asdict(connection), file)
        os.replace(name, place.connection_file)
    except OSError:
        os.unlink(name)
        raise


@contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Tries the flock of a file; yields whether it was had. The kernel drops it when the process dies."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)
