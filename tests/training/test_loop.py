import csv
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from colorize_daemon import weights
from colorize_training import checkpoint, recipes
from colorize_training.data import PackedPhotographs
from colorize_training.evaluate import evaluate
from colorize_training.export import export
from colorize_training.loop import LoopSettings, Run
from colorize_training.validation import Validation

SMALL = LoopSettings(samples=16, size=64, early_size=64, warm_up=1, validate_every=8)


@pytest.fixture(params=recipes.names())
def recipe(request: pytest.FixtureRequest):
    settings = recipes.settings_of(request.param)(batch=4)
    return recipes.make(request.param, settings)


def weights_of(run: Run) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in run.network.parameters()])


def read_rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_a_resumed_run_makes_the_same_steps(recipe, packed: PackedPhotographs, tmp_path: Path) -> None:
    whole = Run(recipe, SMALL, packed, tmp_path / "whole")
    losses = [whole.train_step()[0] for _ in range(4)]
    first = Run(recipe, SMALL, packed, tmp_path / "broken")
    assert [first.train_step()[0] for _ in range(2)] == losses[:2]
    checkpoint.save(first._state(), first.last)
    second = Run(recipe, SMALL, packed, tmp_path / "broken")
    assert second.step == 2
    assert [second.train_step()[0] for _ in range(2)] == losses[2:]
    assert torch.equal(weights_of(second), weights_of(whole))
    assert all(torch.equal(v, whole.average[k]) for k, v in second.average.items())


def test_it_learns_a_few_photographs(recipe, packed: PackedPhotographs, tmp_path: Path) -> None:
    run = Run(recipe, replace(SMALL, samples=4 * 40, warm_up=5), packed, tmp_path)
    batch = recipe.draw(packed, np.arange(len(packed)), 64, np.random.default_rng(0))  # the same before and after
    before = recipe.loss(run.network, batch)[0].item()
    for _ in range(40):
        run.train_step()
    assert recipe.loss(run.network, batch)[0].item() < 0.85 * before


def test_a_run_leaves_logs_sheets_and_weights_that_can_be_served(recipe, packed, tmp_path: Path) -> None:
    Run(recipe, SMALL, packed, tmp_path).train(Validation(packed, 2))
    assert [row["samples"] for row in read_rows(tmp_path / "validation.csv")] == ["8", "16"]
    assert len(read_rows(tmp_path / "log.csv")) == 4
    assert (tmp_path / "sheet-00000016.png").stat().st_size > 10_000
    assert export(tmp_path / "best.pt", tmp_path / "mine.safetensors", "mine", "Mine", "CC0-1.0") == 0
    record = weights.read_record(tmp_path / "mine.safetensors")
    assert (record.name, record.licence, record.default) == ("mine", "CC0-1.0", False)
    network = weights.load(record)
    average = checkpoint.load(tmp_path / "best.pt")["average"]
    assert all(torch.allclose(v, average[k], atol=2e-3, rtol=2e-3) for k, v in network.state_dict().items())


def test_another_recipe_or_data_is_not_resumed(recipe, packed, tmp_path: Path) -> None:
    run = Run(recipe, SMALL, packed, tmp_path)
    checkpoint.save(run._state() | {"data": "other"}, run.last)
    with pytest.raises(ValueError, match="other data"):
        Run(recipe, SMALL, packed, tmp_path)


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    checkpoint.save({"step": 3, "tensor": torch.ones(1000)}, path)
    assert checkpoint.load(path)["step"] == 3
    for damaged in (path.read_bytes()[:800], b"", b"nonsense" * 100):
        path.write_bytes(damaged)
        with pytest.raises(checkpoint.BadCheckpoint, match=r"last\.pt is not a whole checkpoint"):
            checkpoint.load(path)


def test_a_failed_write_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "last.pt"
    checkpoint.save({"step": 1}, path)

    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save({"step": 2}, path)
    assert checkpoint.load(path)["step"] == 1


def test_a_checkpoint_cannot_run_code(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return os.system, (f"touch {tmp_path}/owned",)

    torch.save({"step": Evil()}, tmp_path / "last.pt")
    with pytest.raises(checkpoint.BadCheckpoint):
        checkpoint.load(tmp_path / "last.pt")
    assert not (tmp_path / "owned").exists()


def test_an_interrupt_saves_and_says_how_to_go_on(picture_folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; from colorize_training.main import main; sys.exit(main())", "chroma"]
    command += [
        "--data",
        str(picture_folder),
        "--out",
        str(tmp_path),
        "--batch",
        "2",
        "--size",
        "64",
        "--early-size",
        "64",
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    log = tmp_path / "log.csv"
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline and not (log.exists() and log.stat().st_size > 100):
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command resumes" in errors
    assert checkpoint.load(tmp_path / "last.pt")["step"] >= 1


def test_unknown_settings_are_errors(picture_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    from colorize_training.main import main

    with pytest.raises(SystemExit, match="2"):
        main(["chroma", "--data", str(picture_folder), "--out", str(tmp_path), "--learning-rte", "1"])
    assert "--learning-rte" in capsys.readouterr().err


def test_shipped_weights_beat_grey_and_gain_from_hints(packed: PackedPhotographs, tmp_path: Path) -> None:
    shipped = next(record for record in weights.available() if record.default)
    assert evaluate(shipped.path, packed, (0, 50), tmp_path / "table.csv", 12) == 0
    psnr = {(row["method"], row["hints"]): float(row["PSNR dB"]) for row in read_rows(tmp_path / "table.csv")}
    assert psnr["cautious", "0"] > psnr["grey", "0"]
    assert psnr["cautious", "50"] > psnr["cautious", "0"] + 1
