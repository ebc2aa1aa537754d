"""Two processes under torchrun learn what one process with the doubled batch learns."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from colorize_training.main import main
from colorize_training.running import checkpoint
from colorize_training.tables import read_rows

SMALL = "--backbone random --encoder mobilenet_v2 --size 32 --early-size 0 --warm-up 0 --schedule constant"
SMALL += " --samples 64 --validate-every 32 --validate-on 2 --validate-size 32 --split 75/25/0 --device cpu --threads 1"
ENTRY = Path(sys.executable).with_name("gimp-colorize-train")


def words(picture_folder: Path, out: Path, batch: int) -> list[str]:
    return ["chroma", "--data", str(picture_folder), "--out", str(out), "--batch", str(batch), *SMALL.split()]


def train_in_two(words: list[str]) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [*torchrun, str(ENTRY), *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.timeout(500)
def test_two_processes_make_the_steps_of_one_with_the_doubled_batch(picture_folder: Path, tmp_path: Path) -> None:
    assert main(words(picture_folder, tmp_path / "one", 8)) == 0
    train_in_two(words(picture_folder, tmp_path / "two", 4))
    one, two = (read_rows(tmp_path / name / "log.csv") for name in ("one", "two"))
    assert [row["samples"] for row in one] == [row["samples"] for row in two] == [str(8 * n) for n in range(1, 9)]
    losses = [[float(row["loss"]) for row in rows] for rows in (one, two)]
    assert losses[0] == pytest.approx(losses[1], rel=2e-3)
    assert losses[0][0] != pytest.approx(losses[0][-1], rel=0.02)  # it does learn
    validations = [float(read_rows(tmp_path / name / "validation.csv")[-1]["loss"]) for name in ("one", "two")]
    assert validations[0] == pytest.approx(validations[1], rel=5e-3)
    states = [checkpoint.load(tmp_path / name / "last.pt") for name in ("one", "two")]
    assert [state["world"] for state in states] == [1, 2]
    for key, value in states[0]["network"].items():
        assert torch.allclose(value, states[1]["network"][key], rtol=0.1, atol=5e-3), key
