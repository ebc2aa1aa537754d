"""What can be said of the scripts and units without running an installation."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from session import ROOT

UNITS = ROOT / "daemon" / "systemd"


@pytest.fixture
def units() -> Iterator[Path]:
    """The units as install.sh would write them, for a program that exists; a socket's path has at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="gc-", dir="/tmp") as folder:
        for name in ("gimp-colorize.service", "gimp-colorize.socket"):
            Path(folder, name).write_text((UNITS / name).read_text().replace("@DAEMON@", '"/usr/bin/true"'))
        yield Path(folder)


def verify(folder: Path) -> subprocess.CompletedProcess[str]:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    runtime = folder / "runtime"
    runtime.mkdir(mode=0o700)
    files = sorted(folder.glob("gimp-colorize.*"))
    return subprocess.run(
        ["systemd-analyze", "verify", "--user", "--man=no", *files],
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "XDG_RUNTIME_DIR": str(runtime)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_systemd_accepts_the_units(units: Path) -> None:
    verified = verify(units)
    assert (verified.returncode, verified.stdout) == (0, "")


def test_systemd_would_refuse_a_wrong_unit(units: Path) -> None:
    service = units / "gimp-colorize.service"
    service.write_text(service.read_text().replace("Restart=on-failure", "Restart=sometimes"))
    assert "sometimes" in verify(units).stdout


def install_sh(*words: str, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "install.sh", *words],
        env={"PATH": os.environ["PATH"], "HOME": str(home), "GIMP_COLORIZE_STATE": str(home / "state")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_help_names_every_option(tmp_path: Path) -> None:
    shown = install_sh("--help", home=tmp_path)
    assert shown.returncode == 0
    for option in ("--uninstall", "--check", "--prefix", "--no-service", "--cpu", "--self-check", "--help"):
        assert option in shown.stdout


@pytest.mark.parametrize("words", [["--unknown"], ["--prefix"], ["picture.jpg"]])
def test_a_wrong_option_is_refused(tmp_path: Path, words: list[str]) -> None:
    refused = install_sh(*words, home=tmp_path)
    assert refused.returncode == 1
    assert "install.sh: " in refused.stdout
    assert not list(tmp_path.iterdir())


def test_check_of_an_empty_home_says_so_and_makes_nothing(tmp_path: Path) -> None:
    checked = install_sh("--check", home=tmp_path)
    assert checked.returncode == 1
    assert "the program is not installed" in checked.stdout
    assert not list(tmp_path.iterdir())


def test_uninstall_of_an_empty_home_makes_and_removes_nothing(tmp_path: Path) -> None:
    assert install_sh("--uninstall", home=tmp_path).returncode == 0
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_named_before_the_download(tmp_path: Path) -> None:
    """On a file system of 16 MB: the sentence says where room is missing and how much, and nothing is left behind."""
    if os.getuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("only root can mount a small disk")
    script = f'mount -t tmpfs -o size=16m none "{tmp_path}" && exec "{ROOT}/install.sh" --no-service'
    refused = subprocess.run(
        ["unshare", "--mount", "bash", "-c", script],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GIMP_COLORIZE_STATE": "/tmp/none"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert refused.returncode == 1
    assert "MB free, and" in refused.stdout
