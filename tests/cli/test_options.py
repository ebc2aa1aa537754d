"""Options as words: vividness as in GIMP, and the command that repeats what was done there."""

import shlex
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest
from colorize_cli import commands
from colorize_cli.main import main, make_parser, options_of
from colorize_client import Options
from colorize_client.command import command_line

EXAMPLES = [
    Options(),
    Options.from_vividness(80, model="chroma", saturation=1.2, alike=True),
    *(Options.from_vividness(float(vividness)) for vividness in range(101)),
    *(replace(Options(), temperature=temperature) for temperature in (0.05, 0.1, 0.123456789, 1.0)),
    Options(model="my model; rm -rf 'x' $HOME"),
    Options(model="-dash"),
    Options(model="--dashes", saturation=0.0, reach=0.0),
    Options(saturation=0.1 + 0.2, reach=1e-7),
]


def parsed(text: str) -> Options:
    program, *words = shlex.split(text)
    assert program == "gimp-colorize"
    return options_of(make_parser().parse_args([*words, "album"]))


@pytest.mark.parametrize("options", EXAMPLES)
def test_a_command_line_repeats_the_options(options: Options) -> None:
    again = parsed(command_line(options))
    assert again.temperature == pytest.approx(options.temperature, abs=1e-9)
    assert replace(again, temperature=options.temperature) == options


def test_every_option_is_repeated() -> None:
    """Also one that is added later."""
    other = {bool: True, str: "other", float: 0.75}
    for each in fields(Options):
        options = replace(Options(), **{each.name: other[type(each.default)]})
        assert asdict(parsed(command_line(options))) == pytest.approx(asdict(options))
        assert len(shlex.split(command_line(options))) > 1


def test_a_command_line_says_what_the_user_chose() -> None:
    assert command_line(Options()) == command_line(Options.from_vividness(70)) == "gimp-colorize"
    chosen = Options.from_vividness(80, model="chroma", saturation=1.2, reach=0.25, alike=True)
    assert command_line(chosen) == ("gimp-colorize --model chroma --saturation 1.2 --vividness 80 --alike --reach 0.25")
    assert command_line(Options(temperature=0.05)) == "gimp-colorize --temperature 0.05"


@pytest.mark.parametrize(
    ("words", "temperature"), [([], 0.37), (["--vividness", "70"], 0.37), (["--vividness", "0"], 1.0)]
)
def test_vividness_is_the_temperature_that_the_service_gets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], temperature: float
) -> None:
    got: list[Options] = []
    monkeypatch.setattr(commands, "colorize", lambda jobs, problems, options, *others: got.append(options))
    assert main([str(tmp_path / "a.png"), *words]) == 0
    assert got[0].temperature == pytest.approx(temperature)


@pytest.mark.parametrize(
    "words",
    [
        ["--vividness", "101"],
        ["--vividness", "-1"],
        ["--vividness", "much"],
        ["--vividness", "70", "--temperature", "0.37"],
        ["--temperature", "0.37", "--vividness", "70"],
    ],
)
def test_vividness_out_of_its_range_or_said_twice(run: Callable, words: list[str]) -> None:
    done = run("a.png", *words)
    assert done.status == 2
    assert "--vividness" in done.err.splitlines()[-1]
