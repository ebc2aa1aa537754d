"""Numbers outside what an option takes: a sentence before anything is done, in every command."""

import argparse
from pathlib import Path

import pytest
from colorize_training.main import COMMANDS, _parser, main
from colorize_training.ranges import Within
from colorize_training.recipes import NAMES

OUTSIDE = ["nan", "inf", "-inf", "-1e99", "1e99", "x", "", "1" + "0" * 5000, "0x10", "-1", "1e400"]


def options_of(command: str) -> list[argparse.Action]:
    choices = next(a.choices for a in _parser(command)._actions if isinstance(a.choices, dict))
    return choices[command]._actions


@pytest.mark.parametrize("command", [*COMMANDS, *NAMES])
def test_every_number_of_every_command_has_a_range_with_its_default_in_it(command: str) -> None:
    options = options_of(command)
    assert [option.dest for option in options if option.type in (int, float)] == []
    for option in (each for each in options if isinstance(each.type, Within)):
        defaults = option.default if isinstance(option.default, list) else [option.default]
        assert all(option.type.holds(value) for value in defaults if value is not None), option.dest
        low, high = option.type.least - 1, option.type.most * 2 + 1
        for text in [*OUTSIDE, *(f"{n:.0f}" for n in (low, high) if n != option.type.also)]:
            with pytest.raises(argparse.ArgumentTypeError, match=r" is no .*: "):
                option.type(text)


@pytest.mark.parametrize(
    "wrong",
    ["--batch 0", "--samples -5", "--validate-on 0", "--drawers 0", "--training-share 0", "--training-share nan"]
    + ["--validate-every 0", "--size 0", "--ema 1", "--lr 0", "--seed -1", "--seed 8388608", "--minutes 1e-9"]
    + [
        "--short-side 1",
        "--times 0",
        "--threads -1",
        "--clip inf",
        "--plain-every 0",
        "--split 0/50/50",
        "--split a/b",
    ],
)
def test_a_number_outside_is_refused_before_anything_is_done(wrong: str, tmp_path: Path, capsys) -> None:
    option, value = wrong.split()
    with pytest.raises(SystemExit, match="2"):
        main(["chroma", "--data", str(tmp_path), "--out", str(tmp_path / "run"), option, value])
    said = capsys.readouterr().err
    assert f"argument {option}: '{value}' is n" in said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (Within(int, 1, 9), "'0' is no whole number that fits here: 1 to 9"),
        (Within(int, 8, 64, also=-1), "'0' is no whole number that fits here: 8 to 64, or -1"),
        (Within(float, 0, 1, above=True), "'0' is no number that fits here: above 0, up to 1"),
        (Within(int, 8, 64, what="side", unit="pixels"), "'0' is no side: 8 to 64 pixels"),
    ],
)
def test_a_refusal_says_what_fits(number: Within, said: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as refused:
        number("0")
    assert str(refused.value) == said


def test_a_run_without_a_step_is_no_success(picture_folder: Path, tmp_path: Path, capsys) -> None:
    command = ["zhang-regression", "--data", str(picture_folder), "--out", str(tmp_path)]
    assert main([*command, "--samples", "10", "--batch", "16"]) == 1
    assert "--samples 10 make no step of 16 pictures; raise it, or lower --batch" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.pt"))


def test_an_evaluation_of_nothing_is_no_success(picture_folder: Path, tmp_path: Path, capsys) -> None:
    command = ["evaluate", str(tmp_path / "any.safetensors"), "--data", str(picture_folder), "--out", str(tmp_path)]
    assert main([*command, "--pictures", "0"]) == 1
    assert "give --pictures, --strokes or --areas a number" in capsys.readouterr().err
