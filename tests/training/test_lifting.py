"""Ways to bring chroma to full size, on real photographs."""

import csv
from pathlib import Path

import pytest
from colorize_engine import weights
from colorize_training.commands.lift import FACTORS
from colorize_training.main import main


def test_lifts_are_compared(picture_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shipped = next(r for r in weights.available() if r.default)
    words = ["lift", shipped.path, "--data", picture_folder, "--validation", picture_folder, "--out", tmp_path]
    assert main([*map(str, words), "--steps", "20", "--pictures", "2"]) == 0
    with open(tmp_path / "table.csv", newline="") as file:
        psnr = {(row["chroma"], row["lift"]): float(row["psnr"]) for row in csv.DictReader(file)}
    assert len(psnr) == 3 * (len(FACTORS) + 1) == len(capsys.readouterr().out.splitlines())
    for size in FACTORS:
        way = {lift: psnr[f"truth, cells of {size}", lift] for lift in ("interpolated", "guided", "learned")}
        assert way["guided"] > way["interpolated"]
        assert way["learned"] > way["interpolated"] - 1
    finest = [psnr[f"truth, cells of {size}", "guided"] for size in FACTORS]
    assert finest == sorted(finest, reverse=True)
    assert psnr["predicted, cells of 4", "guided"] < psnr["truth, cells of 4", "guided"]
