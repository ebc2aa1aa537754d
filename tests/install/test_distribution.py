"""The wheel and the source archive hold what the program needs to run."""

import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
from session import ROOT, checkout_files


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both, built from this checkout."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(["uv", "build", "--quiet", "--out-dir", folder, ROOT], check=True)
    return folder


def package_files() -> set[str]:
    """Every file of the packages, by its path in the wheel."""
    paths = (Path(name).parts for name in checkout_files("gimp_plugin/colorize_client", "daemon", "training"))
    packages = ("colorize_client", "colorize_daemon", "colorize_engine", "colorize_cli", "colorize_training")
    return {"/".join(parts[1:]) for parts in paths if parts[1] in packages}


def test_the_wheel_holds_every_file_of_the_packages(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    assert package_files() <= held
    assert any(name.startswith("colorize_engine/weights/") and name.endswith(".safetensors") for name in held)


def test_the_wheel_names_its_commands_and_licence(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    archive = zipfile.ZipFile(wheel)
    (info,) = {name.split("/")[0] for name in archive.namelist() if ".dist-info/" in name}
    commands = archive.read(f"{info}/entry_points.txt").decode()
    for command in ("gimp-colorize", "gimp-colorize-daemon", "gimp-colorize-train"):
        assert f"{command} = " in commands
    assert "License-Expression: GPL-3.0-or-later" in archive.read(f"{info}/METADATA").decode()


def test_the_source_archive_can_install(built: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        held = {name.split("/", 1)[1] for name in opened.getnames() if "/" in name}
    for needed in (
        "install.sh",
        "uv.lock",
        "gimp_plugin/vendor.sh",
        "gimp_plugin/colorize/colorize.py",
        "daemon/systemd/gimp-colorize.socket",
        "daemon/packaging/uv.sh",
        "LICENSE",
        "README.md",
    ):
        assert needed in held
