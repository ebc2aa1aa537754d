"""What the command prints, and where: names that steer terminals, streams that take nothing, text of any kind."""

import contextlib
import fcntl
import json
import os
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from colorize_cli import commands
from colorize_client.errors import BadReply
from colorize_client.printable import printable
from PIL import Image
from skimage import data

# What a name may hold, beside letters: colours and a title, an end of line, one of old, a tab, the newer half of
# ISO 6429, a paragraph, a turn of direction, a byte that is no UTF-8, and what ends no line.
STEERING = {
    "a\x1b[31mb": r"a\x1b[31mb",
    "a\x1b]0;title\x07b": r"a\x1b]0;title\x07b",
    "a\nb": r"a\nb",
    "a\rb": r"a\rb",
    "a\tb": r"a\tb",
    "a\x7fb": r"a\x7fb",
    "a\x9bb": r"a\x9bb",
    "a\u2028b": r"a\u2028b",
    "a\u202eb": r"a\u202eb",
    "a\u2067b": r"a\u2067b",
    "a\udce9b": r"a\xe9b",
}
COMMAND = [sys.executable, "-m", "colorize_cli.main"]


def photo(path: Path, size: int = 48) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        Image.fromarray(data.camera()[200 : 200 + size, 200 : 200 + size]).save(file, "PNG")
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(("name", "shown"), list(STEERING.items()))
def test_names_do_not_steer_the_terminal(tmp_path: Path, run: Callable, name: str, shown: str) -> None:
    assert printable(name) == shown
    good, bad = photo(tmp_path / "in" / f"{name}.png"), tmp_path / "in" / f"bad {name}.png"
    bad.write_text("no picture")
    done = run(tmp_path / "in")
    folder = tmp_path / "in"
    assert done.out == f"{folder}/{shown}.png -> {folder}/{shown}-colorized.png\n"
    assert [line.split(": this")[0] for line in done.err.splitlines()] == [f"gimp-colorize: {folder}/bad {shown}.png"]
    again = run(good, "--json", "--overwrite")
    assert again.objects[0]["input"] == str(good)
    assert Path(again.objects[0]["output"]).read_bytes()
    assert printable(again.out.rstrip("\n")) + "\n" == again.out


def test_letters_of_all_scripts_are_shown_as_they_are() -> None:
    for name in ("Zoë am See", "família — “três”", "خانه‌ام", "שלום", "日本", "👩‍👧", r"back\slash"):
        assert printable(name) == name


def test_what_was_typed_does_not_steer_the_terminal(run: Callable) -> None:
    done = run("a.png", "--saturation", "\x1b[31m", "--no\x1b[31m-such\nthing")
    assert done.status == 2
    assert "\x1b" not in done.err
    assert "such\n" not in done.err


def test_the_service_s_words_do_not_steer_the_terminal(
    run: Callable, monkeypatch: pytest.MonkeyPatch, service_words: dict
) -> None:
    for word in ("status", "models"):
        done = run(word)
        assert done.status == 0
        assert r"\x1b[31m\nnew line" in done.out
        assert "\x1b" not in done.out
        assert json.loads(run(word, "--json").out) == service_words[word]
    monkeypatch.setattr(commands, "connect", lambda **_: (_ for _ in ()).throw(BadReply("\x1b[31m\rgood")))
    done = run("status")
    assert done.status == 1
    assert "\ngimp-colorize: \\x1b[31m\\rgood\n" in done.err


@pytest.fixture
def service_words(monkeypatch: pytest.MonkeyPatch) -> dict:
    """A service whose answers hold what steers a terminal."""
    found = {"state": "\x1b[31m\nnew line", "models": ["\x7f"]}
    words = {"status": found, "models": [{"name": "\x1b[31m\nnew line", "title": "\u202e"}]}

    class Service:
        status = staticmethod(lambda: words["status"])
        models = staticmethod(lambda: words["models"])

        def __enter__(self) -> "Service":
            return self

        def __exit__(self, *error: object) -> None:
            pass

    monkeypatch.setattr(commands, "connect", lambda **_: Service())
    return words


def in_shell(line: str, *words: object, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """The command within a line of the shell, where it is "$@"."""
    shell = ["bash", "-c", f"set -o pipefail; {line}", "bash", *COMMAND, *map(str, words)]
    return subprocess.run(shell, capture_output=True, check=False, env={**os.environ, **variables})


@pytest.fixture
def album(tmp_path: Path, run: Callable) -> Path:
    """Five photographs, one of them bad, and a service that runs."""
    for name in "abde":
        photo(tmp_path / "album" / f"{name}.png")
    (tmp_path / "album" / "c.png").write_text("no picture")
    assert run(photo(tmp_path / "warm.png")).status == 0
    return tmp_path / "album"


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_reader_that_had_enough_is_no_fault(album: Path, tmp_path: Path, form: list[str]) -> None:
    done = in_shell('"$@" | head -1', album, "-o", tmp_path / "out", *form)
    assert done.returncode == 141
    assert done.stdout.count(b"\n") == 1
    assert b"Traceback" not in done.stderr
    assert b"BrokenPipe" not in done.stderr
    made = names(tmp_path / "out")
    assert "a.png" in made
    for name in made:  # whole ones alone, and no others
        assert np.asarray(Image.open(tmp_path / "out" / name)).shape == (48, 48, 3)


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_full_disk_below_the_output_is_said(album: Path, tmp_path: Path, form: list[str]) -> None:
    done = in_shell('"$@" > /dev/full', album, "-o", tmp_path / "out", *form)
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    last = done.stderr.decode().splitlines()[-1]
    assert last == "gimp-colorize: standard output cannot be written (No space left on device); lead it elsewhere"
    assert "more pictures were not tried" in done.stderr.decode()
    assert "a.png" in names(tmp_path / "out")


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-", "2>/dev/full"])
def test_streams_that_show_nothing_stop_nothing(album: Path, tmp_path: Path, closed: str) -> None:
    done = in_shell(f'"$@" {closed}', album, "-o", tmp_path / "out")
    assert done.returncode == 1  # of the bad file
    assert names(tmp_path / "out") == ["a.png", "b.png", "d.png", "e.png"]
    assert done.stdout.count(b"->") == (0 if ">&-" in closed.split() else 4)
    assert b"->" not in done.stderr


def test_complaints_do_not_become_results(album: Path) -> None:
    done = in_shell('"$@" 2>&-', album, "--json")
    assert sorted(json.loads(line)["status"] for line in done.stdout.splitlines()) == ["done"] * 4 + ["failed"]


@pytest.mark.parametrize("words", [["status"], ["models", "--json"], ["--help"]])
def test_commands_without_a_reader(album: Path, words: list[str]) -> None:
    done = in_shell('"$@" > /dev/full', *words)
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1), done.stderr
    assert b"No space left" in done.stderr
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*COMMAND, *words], stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")
    for closed in (">&-", "2>/dev/full"):
        assert in_shell(f'"$@" {closed}', *words).returncode == 0


def test_a_wrong_command_keeps_its_status_where_nobody_hears_of_it() -> None:
    for closed in ("2>&-", "2>/dev/full"):
        assert in_shell(f'"$@" {closed}', "a.png", "--saturation", "9").returncode == 2


ASCII = [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}]


@pytest.mark.parametrize("variables", ASCII)
@pytest.mark.parametrize("name", ["Zoë am See.png", "日本.png", "caf\udce9.png"])
def test_a_terminal_that_has_no_such_letters(album: Path, tmp_path: Path, name: str, variables: dict[str, str]) -> None:
    path = photo(tmp_path / "in" / name)
    done = in_shell('"$@"', tmp_path / "in", **variables)
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    assert names(tmp_path / "in") == sorted([path.name, f"{path.stem}-colorized.png"])
    failed = in_shell('"$@"', f"{path}.gone", **variables)
    assert failed.returncode == 1
    assert b"Traceback" not in failed.stderr
    done = in_shell('"$@"', path, "--json", "--overwrite", **variables)
    assert json.loads(done.stdout)["input"] == str(path)


@pytest.fixture
def no_service(monkeypatch: pytest.MonkeyPatch, run: Callable) -> Iterator[None]:
    """A folder of its own, in which no service runs; what the test starts there is stopped."""
    with tempfile.TemporaryDirectory(prefix="gc-", dir="/tmp") as folder:
        monkeypatch.setenv("GIMP_COLORIZE_STATE", folder)
        yield
        assert run("stop").status == 0


def on_a_terminal(*words: object) -> tuple[int, str]:
    """Exit status, and what a user sees on a terminal of 100 columns."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 40, 100, 0, 0))
    with subprocess.Popen([*COMMAND, *map(str, words)], stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        seen = b""
        with contextlib.suppress(OSError):  # a terminal without programs ends with an error
            while part := os.read(ours, 4096):
                seen += part
    os.close(ours)
    return process.returncode, seen.decode()


STARTING = "starting the colour service…"


def test_a_first_start_says_what_it_waits_for(tmp_path: Path, no_service: None) -> None:
    path = photo(tmp_path / "a\x1b[31m.png")
    status, seen = on_a_terminal(path)
    assert status == 0
    assert seen.index(STARTING) < seen.index("loading the model…") < seen.index(r"a\x1b[31m.png: ") < seen.index(" -> ")
    assert "\x1b[31m" not in seen
    status, seen = on_a_terminal(path, "--overwrite", "--model", "slow-bands")
    assert STARTING not in seen
    assert "loading the model slow-bands…" in seen


def test_models_say_that_the_service_starts(no_service: None) -> None:
    status, seen = on_a_terminal("models")
    assert (status, seen.splitlines()[0]) == (0, f"gimp-colorize: {STARTING}")
    assert STARTING not in on_a_terminal("models")[1]


@pytest.mark.parametrize("words", [["models", "--json"], ["a.png", "--json"]])
def test_json_says_nothing_of_waiting(tmp_path: Path, no_service: None, monkeypatch, words: list[str]) -> None:
    monkeypatch.chdir(tmp_path)
    photo(tmp_path / "a.png")
    status, seen = on_a_terminal(*words)
    assert status == 0
    assert "starting" not in seen
    assert "loading" not in seen


def test_a_pipe_is_told_nothing_of_waiting(tmp_path: Path, no_service: None, run: Callable) -> None:
    done = run(photo(tmp_path / "a.png"))
    assert (done.status, done.err) == (0, "")


def test_progress_counts_what_is_to_be_done(tmp_path: Path, run: Callable) -> None:
    for name in "abc":
        photo(tmp_path / f"{name}.png")
    assert run(tmp_path / "a.png", tmp_path / "b.png").status == 0
    status, seen = on_a_terminal(tmp_path)
    assert status == 0
    assert "1 done, 2 there already" in seen
    assert "| 0.0/1 [" in seen
    assert "| 1.0/1 [" in seen
    assert "/3 [" not in seen[seen.index("/1 [") :]
