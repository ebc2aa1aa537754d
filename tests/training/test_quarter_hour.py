"""The script for a GPU that is there for minutes, rehearsed as a whole on the processor."""

import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
from colorize_engine import weights

SCRIPT = Path(__file__).parents[2] / "training" / "quarter_hour.sh"
SETTINGS = "--batch 2 --early-size 32 --size 64 --early-share 0.5 --ema 0.9 --validate-every 100000 --validate-on 1 \
 --validate-size 64 --save-every 60 --threads 1 --device cpu"


class Machine:
    """A place where the script is called."""

    def __init__(self, place: Path) -> None:
        self.place = place
        own = {"PLACE": str(place), "PYTHON": sys.executable, "SETTINGS": SETTINGS, "LICENCE": "CC0-1.0", "PIECE": "9M"}
        self.environment = os.environ | own

    def __call__(self, *words: object, status: int = 0) -> str:
        call = [str(SCRIPT), *map(str, words)]
        done = subprocess.run(call, env=self.environment, capture_output=True, text=True, timeout=240, check=False)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def stop(self) -> None:
        """As a machine that is taken away in good order."""
        os.kill(int((self.place / "pid").read_text()), signal.SIGTERM)
        assert "ended" in self("watch", 60)

    def wait_for(self, text: str) -> None:
        for _ in range(600):
            if text in (self.place / "log").read_text():
                return
            time.sleep(0.2)
        raise AssertionError(f"no {text!r} in {(self.place / 'log').read_text()}")


def shard(folder: Path, name: str, pictures: list[Path]) -> Path:
    with tarfile.open(folder / name, "w") as tar:
        for picture in pictures:
            tar.add(picture, picture.name)
    return folder / name


def test_photographs_arrive_it_trains_by_the_clock_resumes_and_comes_back(picture_folder: Path, tmp_path: Path) -> None:
    machine, pictures = Machine(tmp_path / "place"), sorted(picture_folder.iterdir())
    assert "no shard was brought" in machine("train", 1, status=2)
    machine("bring", shard(tmp_path, "train-0.tar", pictures[:6]), shard(tmp_path, "val-0.tar", pictures[6:8]))
    machine("warm")
    assert "something runs already" in machine("train", 1, status=2)
    assert "ended" in machine("watch", 120)
    machine("bring", shard(tmp_path, "train-1.tar", pictures[8:]))
    machine("train", 0.3)
    machine.wait_for("of the time")
    machine.stop()
    before = len((machine.place / "run" / "log.csv").read_text().splitlines())
    machine("train", 0.3)
    assert "100.0% of the time" in machine("watch", 120)
    assert len((machine.place / "run" / "log.csv").read_text().splitlines()) > before
    out = tmp_path / "out"
    machine("collect", out)
    for state in ("best", "last"):
        pieces = sorted(out.glob(f"{state}.safetensors.*"))
        assert len(pieces) > 1
        assert all(piece.stat().st_size <= 9 * 2**20 for piece in pieces)
        whole = tmp_path / f"{state}.safetensors"
        whole.write_bytes(b"".join(piece.read_bytes() for piece in pieces))
        record = weights.read_record(whole)
        assert (record.recipe, record.licence) == ("chroma", "CC0-1.0")
        weights.load(record)
    assert json.loads((out / "run.json").read_text())["photographs"] == 10
    assert (out / "validation.csv").exists()


@pytest.mark.parametrize("words", [(), ("anything",)])
def test_it_explains_itself(words: tuple[str, ...], tmp_path: Path) -> None:
    text = Machine(tmp_path)(*words, status=2)
    assert "quarter_hour.sh train MINUTES" in text
    assert "set -euo" not in text
