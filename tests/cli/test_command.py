"""The command as users and scripts use it: exit status, JSON, what is refused and how, what is left on the disk."""

import json
import os
import resource
import signal
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from colorize_cli import pipeline
from colorize_client import connect
from PIL import Image
from progress import wait_until
from skimage import data

NOBODY = 65534


def photo(path: Path, width: int = 64, height: int = 48) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(data.camera()[200 : 200 + height, 200 : 200 + width]).save(path)
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def spawn(*words: object, **options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "colorize_cli.main", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Permissions mean nothing to root, so tests that root runs give that up for a moment."""
    if os.getuid() != 0:
        yield
        return
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


def test_a_folder_with_bad_files(tmp_path: Path, run: Callable) -> None:
    photo(tmp_path / "in/one.png")
    photo(tmp_path / "in/deep/zwei & drei „ü“.jpg")
    (tmp_path / "in/text.png").write_text("this is no picture")
    (tmp_path / "in/empty.tif").touch()
    whole = photo(tmp_path / "in/whole.jpg", 300, 200).read_bytes()
    (tmp_path / "in/cut.jpg").write_bytes(whole[: len(whole) // 2])
    done = run(tmp_path / "in", "-o", tmp_path / "out", "--json")
    assert done.status == 1
    failed = {Path(item["input"]).name: item["error"] for item in done.objects if item["status"] == "failed"}
    assert sorted(failed) == ["cut.jpg", "empty.tif", "text.png"]
    assert "cut short" in failed["cut.jpg"]
    assert "is empty" in failed["empty.tif"]
    assert "not a picture" in failed["text.png"]
    assert names(tmp_path / "out") == ["deep", "one.png", "whole.jpg"]
    assert names(tmp_path / "out/deep") == ["zwei & drei „ü“.jpg"]
    assert all(sentence in done.err for sentence in failed.values())


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_a_truncated_file_is_not_coloured(tmp_path: Path, run: Callable, suffix: str) -> None:
    path = photo(tmp_path / f"cut.{suffix}", 300, 200)
    path.write_bytes(path.read_bytes()[:20000])
    done = run(path)
    assert done.status == 1
    assert f"cut.{suffix}" in done.err
    assert names(tmp_path) == [path.name]


def test_success_says_where(tmp_path: Path, run: Callable) -> None:
    path = photo(tmp_path / "one.png")
    done = run(path)
    assert (done.status, done.err) == (0, "")
    assert done.out == f"{path} -> {tmp_path / 'one-colorized.png'}\n"


@pytest.mark.parametrize("name", ["a[1].png", "-dash.png", "caf\udce9.png", "new\nline.png", "x" * 240 + ".png"])
def test_strange_names(tmp_path: Path, run: Callable, name: str) -> None:
    path = photo(tmp_path / "in" / "plain.png").rename(tmp_path / "in" / name)
    done = run(tmp_path / "in", "-o", tmp_path / "out", "--json")
    assert done.status == 0, done.err
    assert names(tmp_path / "out") == [path.name]
    assert len(done.objects) == 1


def test_nothing_is_overwritten_unasked(tmp_path: Path, run: Callable) -> None:
    path = photo(tmp_path / "one.png")
    (tmp_path / "one-colorized.png").write_text("precious")
    done = run(path)
    assert done.status == 1
    assert "exists already" in done.err
    assert (tmp_path / "one-colorized.png").read_text() == "precious"
    assert run(path, "--overwrite").status == 0
    assert (tmp_path / "one-colorized.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["a.png", "--saturation", "3"],
        ["a.png", "--temperature", "nan"],
        ["a.png", "--reach", "1.5"],
        ["a.png", "--alike=yes"],
        ["a.png", "--format", "gif"],
        ["a.png", "--variants", "3"],
        ["a.png", "-o", "b.png", "--format", "jpeg"],
        ["status", "now"],
        [""],
        ["a.png", "-o", ""],
        ["a.png", "--hints", ""],
    ],
)
def test_usage(run: Callable, words: list[str]) -> None:
    done = run(*words)
    assert done.status == 2
    assert "usage: gimp-colorize" in done.err


def test_missing_file_and_empty_folder(tmp_path: Path, run: Callable) -> None:
    (tmp_path / "empty").mkdir()
    done = run(tmp_path / "gone.png", tmp_path / "empty", photo(tmp_path / "here.png"))
    assert done.status == 1
    assert "gone.png: there is no such file" in done.err
    assert "empty: there is no picture in this folder" in done.err
    assert "here-colorized.png" in done.out


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path, run: Callable) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    done = run(tmp_path / "pipe.png")
    assert done.status == 1
    assert "not a regular file" in done.err


def test_unreadable(tmp_path: Path, run: Callable) -> None:
    path = photo(tmp_path / "secret.png")
    path.chmod(0)
    with as_nobody():
        done = run(path, "-o", "/tmp/never-written.png")
    assert done.status == 1
    assert "permission denied" in done.err


def test_a_folder_that_may_not_be_written(tmp_path: Path, run: Callable) -> None:
    path = photo(tmp_path / "in" / "one.png")
    (tmp_path / "in").chmod(0o555)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    with as_nobody():
        done = run(path)
    assert done.status == 1
    assert "may not be changed; name another folder with -o" in done.err


@pytest.mark.parametrize("form", ["png", "tiff", "jpeg"])
def test_a_disk_that_takes_no_more_leaves_nothing(tmp_path: Path, form: str) -> None:
    path = photo(tmp_path / "one.png", 300, 300)
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))  # noqa: E731
    command = spawn(path, "--format", form, preexec_fn=limit)
    _, err = command.communicate()
    assert command.returncode == 1
    assert "larger than the system allows" in err
    assert names(tmp_path) == ["one.png"]


@pytest.mark.parametrize(("width", "height"), [(60000, 60000), (70000, 10)])
def test_huge_dimensions_are_refused_by_their_header(tmp_path: Path, run: Callable, width: int, height: int) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    picture = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
    (tmp_path / "huge.png").write_bytes(b"\x89PNG\r\n\x1a\n" + picture)
    done = run(tmp_path / "huge.png")
    assert done.status == 1
    assert f"{width} x {height} pixels are too many" in done.err


def test_hints_reach_the_service(tmp_path: Path, run: Callable) -> None:
    hints = np.zeros((48, 64, 4), np.uint8)
    hints[10:14, 20:25] = (200, 30, 40, 255)
    Image.fromarray(hints).save(tmp_path / "strokes.png")
    done = run(photo(tmp_path / "one.png"), "--hints", tmp_path / "strokes.png", "--json")
    assert done.objects[0]["hint_cells"] == 20  # this service counts painted pixels


def test_hints_that_do_not_fit_name_both_sizes(tmp_path: Path, run: Callable) -> None:
    Image.fromarray(np.zeros((48, 48, 4), np.uint8)).save(tmp_path / "strokes.png")
    done = run(photo(tmp_path / "one.png"), "--hints", tmp_path / "strokes.png")
    assert done.status == 1
    assert "48 x 48" in done.err
    assert "64 x 48" in done.err


def test_what_is_kept_reaches_the_service(tmp_path: Path, run: Callable) -> None:
    for name, rows in (("strokes", slice(10, 30)), ("keep", slice(20, 25)), ("nothing", slice(0, 0))):
        painted = np.zeros((48, 64, 4), np.uint8)
        painted[rows, 20:25] = (200, 30, 40, 255)
        Image.fromarray(painted).save(tmp_path / f"{name}.png")
    strokes = [photo(tmp_path / "one.png"), "--hints", tmp_path / "strokes.png", "--json", "--overwrite"]
    done = run(*strokes, "--keep", tmp_path / "keep.png")
    assert (done.objects[0]["hint_cells"], done.objects[0]["notes"]) == (100, [])
    done = run(*strokes, "--keep", tmp_path / "nothing.png")
    assert any("nothing was kept" in note for note in done.objects[0]["notes"])


@pytest.mark.parametrize("option", ["--hints", "--keep"])
def test_strokes_that_cannot_be_read_are_named_and_nothing_else(tmp_path: Path, run: Callable, option: str) -> None:
    photographs = [photo(tmp_path / "one.png"), photo(tmp_path / "two.png")]
    done = run(*photographs, option, tmp_path / "nowhere.png", "--json")
    assert done.status == 1
    assert done.err.count("nowhere.png: there is no such file") == 1
    assert "one.png" not in done.err
    assert [Path(item["input"]).name for item in done.objects] == ["nowhere.png"]
    assert "2 more pictures were not tried" in done.err


@pytest.mark.parametrize("option", ["--hints", "--keep"])
def test_damaged_strokes_are_named(tmp_path: Path, run: Callable, option: str) -> None:
    painted = np.random.default_rng(1).integers(0, 255, (48, 64, 4), np.uint8)
    Image.fromarray(painted).save(tmp_path / "strokes.png")
    whole = (tmp_path / "strokes.png").read_bytes()
    (tmp_path / "strokes.png").write_bytes(whole[: len(whole) // 2])
    done = run(photo(tmp_path / "one.png"), option, tmp_path / "strokes.png")
    assert done.status == 1
    assert "strokes.png: the file is damaged or cut short" in done.err
    assert "one.png" not in done.err


@pytest.mark.parametrize("option", ["--hints", "--keep"])
@pytest.mark.parametrize(("margin", "refused"), [(0, True), (1, True), (20, False)])
def test_a_flattened_picture_is_not_taken_for_strokes(
    tmp_path: Path, run: Callable, option: str, margin: int, refused: bool
) -> None:
    painted = np.full((480, 640, 4), 255, np.uint8)
    painted[:margin, :, 3] = 0
    Image.fromarray(painted).save(tmp_path / "strokes.png")
    done = run(photo(tmp_path / "one.png", 64, 48), option, tmp_path / "strokes.png")
    assert done.status == int(refused)
    assert ("strokes.png: it is opaque all over" in done.err) is refused
    assert ("painted on transparency" in done.err) is refused


def test_empty_hints_are_said(tmp_path: Path, run: Callable) -> None:
    Image.fromarray(np.zeros((48, 64, 4), np.uint8)).save(tmp_path / "strokes.png")
    done = run(photo(tmp_path / "one.png"), "--hints", tmp_path / "strokes.png", "--json")
    assert any("transparent everywhere" in note for note in done.objects[0]["notes"])


def test_a_picture_that_the_service_refuses_does_not_stop_the_rest(tmp_path: Path, run: Callable) -> None:
    photo(tmp_path / "a.png", 33, 20)
    photo(tmp_path / "b.png")
    done = run(tmp_path, "--json")
    assert [item["status"] for item in done.objects] == ["failed", "done"]
    assert done.objects[0]["code"] == "bad-picture"


def test_an_unknown_model_stops_at_once(tmp_path: Path, run: Callable) -> None:
    for name in "abc":
        photo(tmp_path / f"{name}.png")
    done = run(tmp_path, "--model", "none")
    assert done.status == 1
    assert "gimp-colorize models" in done.err
    assert "2 more pictures were not tried" in done.err


def test_a_service_that_crashes_is_started_again(tmp_path: Path, run: Callable, own_service: Path) -> None:
    (own_service / "crashed").unlink(missing_ok=True)
    done = run(photo(tmp_path / "a.png", 64, 100), "--model", "crash-once")
    assert (done.status, done.err) == (0, "")
    assert (own_service / "crashed").exists()


def test_a_service_that_always_crashes_is_given_up(tmp_path: Path, run: Callable) -> None:
    for name in "ab":
        photo(tmp_path / f"{name}.png")
    done = run(tmp_path, "--model", "crash-always")
    assert done.status == 1
    assert "stopped in the middle of the work" in done.err
    assert "1 more picture was not tried" in done.err
    assert names(tmp_path) == ["a.png", "b.png"]
    assert run(tmp_path).status == 0


ENDS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}  # Ctrl-C, the system's end, the terminal's


@pytest.mark.parametrize("number", ENDS)
def test_interrupted_leaves_no_half_file(tmp_path: Path, run: Callable, number: int) -> None:
    photo(tmp_path / "a.png")
    photo(tmp_path / "b.png")
    run(tmp_path / "a.png", "-o", tmp_path / "warm.png")
    command = spawn(tmp_path, "--model", "slow-after-a-band", "-o", tmp_path / "out")
    _until("working")
    command.send_signal(number)
    _, err = command.communicate()
    assert command.returncode == ENDS[number]
    assert err.endswith("interrupted\n")
    assert names(tmp_path) == ["a.png", "b.png", "warm.png"]


def test_a_terminal_that_ends_does_not_end_what_ignores_it(tmp_path: Path, run: Callable) -> None:
    """As nohup wants it."""
    photo(tmp_path / "a.png")
    run(tmp_path / "a.png", "-o", tmp_path / "warm.png")
    command = spawn(
        tmp_path / "a.png", "--model", "slow-bands", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)
    )
    _until("working")
    command.send_signal(signal.SIGHUP)
    command.communicate()
    assert command.returncode == 0


def test_memory_that_is_full_fails_one_picture(tmp_path: Path, run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abcd":
        photo(tmp_path / f"{name}.png")

    def hungry(honest: Callable, hungers: Callable[..., bool]) -> Callable:
        def work(*arguments: object) -> object:
            if hungers(*arguments):
                raise MemoryError
            return honest(*arguments)

        return work

    for name, hungers in {
        "read_photograph": lambda path: path.stem == "a",
        "Result": lambda photograph, form: photograph.path.stem == "b",
        "write_result": lambda result, target, overwrite: target.stem == "c-colorized",
    }.items():
        monkeypatch.setattr(pipeline, name, hungry(getattr(pipeline, name), hungers))
    done = run(tmp_path)
    assert done.status == 1
    assert done.err.count("there is not enough memory for this picture") == 3
    assert names(tmp_path) == ["a.png", "b.png", "c.png", "d-colorized.png", "d.png"]


def test_a_folder_that_is_gone_below_the_user(tmp_path: Path, run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    for words in (["a.png"], ["status"]):
        done = run(*words)
        assert (done.status, done.out) == (1, "")
        assert "is gone; change to another one" in done.err


def _until(state: str) -> None:
    with connect(client="tests") as service:
        wait_until(lambda: service.status()["state"] == state, f"a service that is {state}")


def test_status_models_and_stop(run: Callable) -> None:
    listed = run("models", "--json")
    assert [model["name"] for model in json.loads(listed.out)][0] == "standin"
    assert "standin  (default)" in run("models").out
    _until("idle")  # a cancelled picture of an earlier test may still be at its end
    found = run("status", "--json")
    assert (found.status, json.loads(found.out)["state"]) == (0, "idle")
    assert "state: idle" in run("status").out
    assert run("stop").out == "The service has stopped.\n"
    assert run("stop").out == "The service does not run.\n"
    gone = run("status", "--json")
    assert (gone.status, json.loads(gone.out)) == (1, {"state": "stopped"})


def test_a_file_called_status(tmp_path: Path, run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    photo(tmp_path / "one.png").rename(tmp_path / "status")
    assert run("./status").status == 0
    assert names(tmp_path) == ["status", "status-colorized.png"]


def test_the_installed_command_does_not_load_torch(tmp_path: Path, run: Callable) -> None:
    run(photo(tmp_path / "one.png"))
    code = "import sys; from colorize_cli.main import main; main(sys.argv[1:]); print('torch' in sys.modules)"
    words = [sys.executable, "-c", code, str(tmp_path / "one.png"), "--overwrite"]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout.endswith("False\n")
