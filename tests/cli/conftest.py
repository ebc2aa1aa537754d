"""The command line against a service with the stand-in engine, over real sockets."""

import json
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from colorize_cli.main import main
from colorize_client import ColorizeError, connect

SERVICE = shlex.join([sys.executable, str(Path(__file__).parents[1] / "standin_daemon.py")])


@pytest.fixture(scope="package")
def service_folder() -> Iterator[Path]:
    """The state folder of a service that the first picture starts; it is stopped after the last test."""
    folder = Path(tempfile.mkdtemp(prefix="gc-cli-", dir="/tmp"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIMP_COLORIZE_STATE", str(folder))
        patch.setenv("GIMP_COLORIZE_DAEMON", SERVICE)
        yield folder
        _stop()
    shutil.rmtree(folder)


def _stop() -> None:
    try:
        with connect(client="tests", launch=False) as service:
            service.stop()
    except ColorizeError as error:
        assert error.code == "service-not-running"  # noqa: PT017


@pytest.fixture(autouse=True)
def own_service(service_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GIMP_COLORIZE_STATE", str(service_folder))
    monkeypatch.setenv("GIMP_COLORIZE_DAEMON", SERVICE)
    return service_folder


@dataclass(frozen=True)
class Run:
    """What one run of the command left: exit status, stdout and stderr."""

    status: int
    out: str
    err: str

    @property
    def objects(self) -> list[dict]:
        return [json.loads(line) for line in self.out.splitlines()]


Command = Callable[..., Run]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Command:
    """Runs `gimp-colorize` with these words in this process: `run(photo, "-o", folder)`."""

    def command(*words: str | os.PathLike[str]) -> Run:
        capfd.readouterr()
        try:
            status = main([os.fspath(word) for word in words])
        except SystemExit as end:
            status = int(end.code or 0)
        return Run(status, *capfd.readouterr())

    return command


@pytest.fixture
def colour(run: Command) -> Callable[..., Path]:
    """Colours one picture and returns the result's path; the picture must not fail."""

    def one(photo: Path, *words: str | os.PathLike[str]) -> Path:
        done = run(photo, *words, "--json")
        assert done.status == 0, done.err
        return Path(done.objects[0]["output"])

    return one
