"""A disk that is full, and two commands in one folder: a sentence, and what was there stays."""

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from colorize_engine import networks, weights
from colorize_training.commands.coverage import _write_csv
from colorize_training.data import PackedPhotographs, pack
from colorize_training.data.decoding import Skipped, Unusable
from colorize_training.figures import plt, save_figure
from colorize_training.main import main
from colorize_training.pictures import draw_sheet
from colorize_training.running import checkpoint
from colorize_training.running.logs import Logs
from colorize_training.tables import Table, write_rows
from colorize_training.writing import InUse, NotWritten, alone_in, locked, replacing, write_text

ROOM = 1 << 14  # bytes
NOISE = np.random.default_rng(0).integers(0, 255, (200, 300, 3), np.uint8)


@contextmanager
def full_disk(room: int = ROOM) -> Iterator[None]:
    """No file can grow beyond `room` bytes: the system's own error, without a disk to fill."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _table(path: Path) -> Table:
    table = Table(path)
    table.rows, table.columns = [{"samples": "1", "text": "x" * ROOM}] * 2, ["samples", "text"]
    return table


def _noted(path: Path) -> None:
    skipped = Skipped()
    for number in range(1000):
        skipped.note(f"{number}.png", Unusable("a reason that is long enough to fill the disk"))
    skipped.write(path)


def _exported(path: Path) -> None:
    network = networks.build("zhang-regression", {})
    weights.save(network, path, recipe="zhang-regression", name="a", title="a", licence="CC0-1.0", side=32)


def _noisy_figure() -> plt.Figure:
    figure = plt.figure()
    figure.figimage(NOISE)
    return figure


WRITERS: dict[str, Callable[[Path], object]] = {
    "last.pt": lambda path: checkpoint.save({"step": 1, "tensor": torch.ones(100_000)}, path),
    "log.csv": lambda path: _table(path)._rewrite(),
    "table.csv": lambda path: write_rows([{"text": "x" * 100}] * 1000, path),
    "coverage.csv": lambda path: _write_csv(path, ("text",), [("x" * 100,)] * 1000),
    "run.json": lambda path: write_text(path, "x" * 100_000),
    "sheet.png": lambda path: draw_sheet([NOISE], ("noise",), path),
    "curves.png": lambda path: save_figure(_noisy_figure(), path),
    "skipped.tsv": _noted,
    "mine.safetensors": _exported,
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_a_sentence_and_the_old_file_stays(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(b"old\n")
    with (
        full_disk(),
        pytest.raises(OSError, match=rf"{name} cannot be written \(.*File too large.*\); make room there"),
    ):
        WRITERS[name](path)
    assert path.read_bytes() == b"old\n"
    assert [file.name for file in tmp_path.iterdir()] == [name]
    WRITERS[name](path)
    assert path.stat().st_size > ROOM


def test_a_full_disk_leaves_no_half_of_a_pack(picture_folder: Path, tmp_path: Path) -> None:
    for regions, before in ((False, []), (True, ["index.json", "masks.u1", "pixels.u8", "skipped.tsv"])):
        with full_disk(), pytest.raises(NotWritten, match=rf"{tmp_path}/\S+ cannot be written \(File too large\)"):
            pack([picture_folder], tmp_path, short_side=96, regions=regions)
        assert sorted(file.name for file in tmp_path.rglob("*.*")) == before
        pack([picture_folder], tmp_path, short_side=96)
    assert len(pack([picture_folder], tmp_path, short_side=96, regions=True)) == 12


def test_a_log_that_was_cut_short_goes_on_at_its_last_whole_row(tmp_path: Path) -> None:
    table = Table(tmp_path / "log.csv")
    for samples in (8, 16):
        table.add(samples=samples, loss=1.5)
    whole = table.path.read_bytes()
    with full_disk(len(whole) + 3), pytest.raises(NotWritten, match=r"log\.csv cannot be written"):
        table.add(samples=24, loss=1.25)
    assert table.path.read_bytes() != whole
    again = Table(table.path)
    assert [row["samples"] for row in again.rows] == ["8", "16"]
    assert table.path.read_bytes() == whole
    again.add(samples=24, loss=1.25)
    assert [row["samples"] for row in Table(table.path).rows] == ["8", "16", "24"]


def test_events_that_cannot_be_written_are_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logs = Logs(tmp_path, 0)
    monkeypatch.setattr(logs.events, "add_scalar", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(NotWritten, match=r"events cannot be written \(No space left\)"):
        logs.step(8, loss=1.0)
    logs.close()


def test_a_training_whose_disk_is_full_ends_with_a_sentence_and_goes_on_later(
    picture_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    command = ["zhang-regression", "--data", str(picture_folder), "--out", str(tmp_path), "--size", "32"]
    command += ["--batch", "4", "--save-every", "0", "--validate-on", "1", "--samples"]
    assert main([*command, "8"]) == 0
    before = (tmp_path / "last.pt").read_bytes()
    with full_disk(1 << 20):
        assert main([*command, "16"]) == 1
    said = capsys.readouterr().err
    assert f"gimp-colorize-train: {tmp_path / 'last.pt'} cannot be written (File too large); make room" in said
    assert "Traceback" not in said
    assert (tmp_path / "last.pt").read_bytes() == before
    assert not list(tmp_path.glob("*.part*"))
    assert main([*command, "16"]) == 0
    assert checkpoint.load_run(tmp_path / "last.pt")["samples"] == 16


@pytest.mark.parametrize("command", ["zhang-regression", "ablate", "evaluate", "classify"])
def test_two_commands_do_not_work_in_one_folder(command: str, picture_folder: Path, tmp_path: Path, capsys) -> None:
    words = [command, "--data", str(picture_folder), "--out", str(tmp_path)]
    words += {"evaluate": [str(tmp_path / "a.safetensors")], "classify": ["--test", "a"]}.get(command, [])
    for name in ("regression", "classification", "transfer") if command == "classify" else ():
        words += [f"--{name}", "a"]
    with alone_in(tmp_path):
        assert main(words) == 1
    assert f"another command works in {tmp_path}; wait for its end, or choose another --out" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["lock"]


def test_what_a_killed_command_held_is_free_again(tmp_path: Path) -> None:
    hold = f"from colorize_training.writing import *; from pathlib import Path\nwith alone_in(Path({str(tmp_path)!r})):"
    held = subprocess.Popen([sys.executable, "-c", f"{hold}\n  print(flush=True); input()"], stdin=-1, stdout=-1)
    held.stdout.readline()
    with pytest.raises(InUse), alone_in(tmp_path):
        pass
    held.kill()
    held.communicate()
    with alone_in(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotWritten, match=r"file cannot be written \(.*\); make room there or choose another folder"):
        write_text(tmp_path / "file" / "run.json", "{}")
    with pytest.raises(NotWritten, match="cannot be written"), alone_in(tmp_path / "file" / "below"):
        pass


def test_words_about_other_files_pass_through(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="other"), replacing(tmp_path / "new") as part:
        part.write_text("half")
        (tmp_path / "other").read_text()
    assert os.listdir(tmp_path) == []


def test_reasons_for_what_is_skipped_are_the_same_at_every_call(picture_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    whole = next(picture_folder.glob("*.png")).read_bytes()
    for name, data in {"text.png": b"no picture", "half.png": whole[: len(whole) // 2], "none.jpg": b""}.items():
        (folder / name).write_bytes(data)
    (folder / "good.png").write_bytes(whole)
    reasons = []
    for cache in ("first", "second"):
        pack([folder], tmp_path / cache)
        reasons.append(next((tmp_path / cache).rglob("skipped.tsv")).read_text())
    assert reasons[0] == reasons[1]
    assert "text.png\tcannot identify what kind of picture this is\n" in reasons[0]
    skipped = Skipped()
    skipped.note("a.tif", AttributeError(f"{object()!r} has no tile"))
    assert skipped.reasons["a.tif"] == "<object object> has no tile"


def test_a_lock_is_waited_for_where_that_is_asked(tmp_path: Path) -> None:
    with locked(tmp_path / "lock") as first, locked(tmp_path / "lock", wait=False) as second:
        assert (first, second) == (True, False)


@pytest.fixture(autouse=True)
def packs(packed: PackedPhotographs) -> None:
    """Decoded before any disk is full."""
