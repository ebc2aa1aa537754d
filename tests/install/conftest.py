"""The machine on which install.sh is run: booted once for all tests of this folder."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from session import Machine, booted, copy_checkout

NEEDED = ("nsenter", "unshare", "setpriv", "useradd", "loginctl", "uv")


@pytest.fixture(scope="session")
def uv_cache() -> Path:
    """This machine's uv cache, which has every locked package after `uv sync`."""
    return Path(subprocess.run(["uv", "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip())


@pytest.fixture(scope="session")
def uv_program() -> Path:
    """uv itself: what is on PATH may be a wrapper that knows this machine only."""
    words = ["uv", "run", "--no-project", "printenv", "UV"]
    return Path(subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip())


@pytest.fixture(scope="session")
def beside_cache(uv_cache: Path) -> Iterator[Path]:
    """A folder on the disk of uv's cache, so that packages can be linked instead of copied."""
    folder = Path(tempfile.mkdtemp(prefix="gimp-colorize-tests-", dir=uv_cache.parent))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def machine(beside_cache: Path, uv_program: Path, uv_cache: Path) -> Iterator[Machine]:
    """A machine with a real systemd, this checkout in /shared/source, uv in /shared/bin and no user yet."""
    if os.getuid() != 0:
        pytest.skip("only root can boot a systemd of its own")
    for program in NEEDED:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    shared = beside_cache / "shared"
    shared.mkdir()
    copy_checkout(shared / "source")
    (shared / "bin").mkdir()
    shutil.copy2(uv_program, shared / "bin" / "uv")
    with booted(shared, uv_cache) as machine:
        yield machine
