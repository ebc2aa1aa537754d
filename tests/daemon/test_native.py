"""The compiled functions as files: built as they say, loaded where they fit, and done without elsewhere."""

import logging
import platform
import re
import shutil
from pathlib import Path

import pytest
from colorize_engine.native import build, functions

LIBRARIES = [functions.file_name(processor) for processor in build.PROCESSORS]


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    """A folder with the libraries, to do harm to."""
    for name in (*LIBRARIES, functions.SUMS):
        shutil.copy(functions.HERE / name, tmp_path)
    return tmp_path


def test_the_libraries_are_what_is_built_of_the_sources(tmp_path: Path) -> None:
    build.build(tmp_path)
    for name in (*LIBRARIES, functions.SUMS):
        built = (tmp_path / name).read_bytes()
        assert built == (functions.HERE / name).read_bytes(), f"{name}: python -m colorize_engine.native.build"
    assert sorted(path.name for path in functions.HERE.glob("*.so")) == sorted(LIBRARIES)


def test_the_library_for_this_machine_is_loaded(copies: Path) -> None:
    loaded = functions.load(copies, platform.system(), platform.machine())
    assert loaded._name == str(copies / functions.file_name(platform.machine()))


@pytest.mark.parametrize(("system", "processor"), [("Darwin", "arm64"), ("Darwin", "x86_64"), ("Linux", "riscv64")])
def test_other_machines_have_none(copies: Path, system: str, processor: str) -> None:
    with pytest.raises(functions.OtherMachine, match=f"for {system} on {processor}"):
        functions.load(copies, system, processor)


@pytest.mark.parametrize("harm", ["cut", "changed", "empty", "gone", "no sums", "sums of no text"])
def test_damaged_and_missing_libraries_are_not_loaded(copies: Path, harm: str) -> None:
    file, sums = copies / functions.file_name(platform.machine()), copies / functions.SUMS
    whole = file.read_bytes()
    harms = {"cut": whole[:5000], "changed": whole[:5000] + b"\0" + whole[5001:], "empty": b"", "gone": None}
    if harm in harms:
        file.unlink()
        if harms[harm] is not None:
            file.write_bytes(harms[harm])
    elif harm == "no sums":
        sums.unlink()
    else:
        sums.write_bytes(b"\xff\xfe\0")
    with pytest.raises(functions.NoLibrary, match=f"{copies}|there are no compiled functions"):
        functions.load(copies, platform.system(), platform.machine())


def test_a_library_of_another_processor_is_not_loaded(copies: Path) -> None:
    own = platform.machine()
    (other,) = (name for name in LIBRARIES if name != functions.file_name(own))
    shutil.copy(copies / other, copies / functions.file_name(own))
    (copies / functions.SUMS).write_text(f"{functions.digest(copies / other)}  {functions.file_name(own)}\n")
    with pytest.raises(functions.NoLibrary, match=functions.file_name(own)):
        functions.load(copies, platform.system(), own)


@pytest.mark.parametrize(
    ("case", "level", "words"),
    [
        ("whole", logging.INFO, "compiled functions for"),
        ("damaged", logging.WARNING, "PyTorch and numpy, .*is damaged; install the program again"),
        ("another machine", logging.INFO, "PyTorch and numpy, .*no compiled functions for Linux on riscv64"),
    ],
)
def test_the_log_says_once_which_of_both_computes(
    case: str, level: int, words: str, copies: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if case == "damaged":
        (copies / functions.file_name(platform.machine())).write_bytes(b"")
    if case == "another machine":
        monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    monkeypatch.setattr(functions, "HERE", copies)
    functions.library.cache_clear()
    with caplog.at_level(logging.INFO):
        found = [functions.library() for _ in range(3)]
    functions.library.cache_clear()
    assert all((library is not None) == (case == "whole") for library in found)
    (said,) = caplog.records
    assert said.levelno == level and re.search(words, said.message)
