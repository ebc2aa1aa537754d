"""What is no checkpoint, no place for weights or no name is a sentence, and nothing is left half-written."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from colorize_engine import weights
from colorize_training.data import PackedPhotographs
from colorize_training.main import main
from colorize_training.recipes.zhang import ZhangRegressionRecipe, ZhangRegressionSettings
from colorize_training.running import checkpoint
from colorize_training.running.loop import Run
from colorize_training.settings import LoopSettings
from safetensors.torch import save_file


@pytest.fixture(scope="module")
def state(packed: PackedPhotographs, tmp_path_factory: pytest.TempPathFactory) -> dict:
    out = tmp_path_factory.mktemp("run")
    run = Run(ZhangRegressionRecipe(ZhangRegressionSettings(batch=4)), LoopSettings(8, size=32), packed, out)
    run.save(run.last)
    return checkpoint.load_run(run.last)


def _with(**others: object) -> Callable[[Path, dict], None]:
    return lambda path, state: checkpoint.save(state | others, path)


def _without(name: str) -> Callable[[Path, dict], None]:
    return lambda path, state: checkpoint.save({k: v for k, v in state.items() if k != name}, path)


def _weights(path: Path, state: dict) -> None:
    save_file({"a": torch.ones(3)}, path, {"format": "gimp-colorize/1"})


# What is given instead of a checkpoint: how it is made, and what is said.
WRONG: dict[str, tuple[Callable[[Path, dict], object], str]] = {
    "nothing": (lambda path, state: None, "no such file; checkpoints are best.pt and last.pt"),
    "folder": (lambda path, state: path.mkdir(), "it is a folder"),
    "pipe": (lambda path, state: os.mkfifo(path), "it is no file"),
    "text": (lambda path, state: path.write_text("text"), "is not a whole checkpoint"),
    "weights": (_weights, "is not a whole checkpoint"),
    "tensor": (lambda path, state: torch.save(torch.ones(3), path), "it holds a Tensor"),
    "list": (lambda path, state: torch.save([1, 2], path), "it holds a list"),
    "a state of something else": (lambda path, state: torch.save({"a": torch.ones(3)}, path), "its recipe is missing"),
    "no network": (_without("network"), "its network is missing, or of another kind"),
    "no settings": (_without("settings"), "its settings is missing, or of another kind"),
    "a recipe that is none": (_with(recipe="../evil\x1b[2J"), r"of a recipe '../evil\x1b[2J', which this version"),
    "a recipe of another type": (_with(recipe=["a"]), "its recipe is missing, or of another kind"),
    "another recipe's": (_with(recipe="densenet"), "holds a variant of densenet, or one of another version"),
    "a config that is none": (_with(config={"depth": 3}), "holds a variant of zhang-regression"),
    "no tensors": (_with(network={"a": 1}), "its network holds something else than tensors"),
    "no side": (_with(settings={}), "was trained on pictures of None pixels, not the service's; give --side"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_no_checkpoint_is_a_sentence(wrong: str, state: dict, tmp_path: Path, capsys) -> None:
    source, (make, said) = tmp_path / "best.pt", WRONG[wrong]
    make(source, state)
    assert main(["export", str(source), str(tmp_path / "mine.safetensors"), "--licence", "CC0-1.0"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("gimp-colorize-train: ")
    assert str(source) in err
    assert said in err
    assert len(err.splitlines()) == 1
    assert err.isprintable() or err.rstrip("\n").isprintable()
    assert not [file for file in tmp_path.iterdir() if file != source]


def test_weights_that_are_no_numbers_are_not_exported(state: dict, tmp_path: Path, capsys) -> None:
    network = {k: v * float("nan") if v.is_floating_point() else v for k, v in state["network"].items()}
    checkpoint.save(state | {"network": network}, tmp_path / "best.pt")
    assert main(["export", str(tmp_path / "best.pt"), str(tmp_path / "a.safetensors"), "--licence", "CC0-1.0"]) == 1
    assert "holds numbers that are none" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("missing/mine.safetensors", "there is no folder"),
        ("mine.pt", "give a file whose name ends with .safetensors"),
        ("best.pt", "give a file whose name ends with .safetensors"),
        ("", "is no place for weights"),
        ("folder.safetensors", "is there already and is no file"),
    ],
)
def test_what_is_no_place_for_weights_is_a_sentence(
    target: str, said: str, state: dict, tmp_path: Path, capsys
) -> None:
    (tmp_path / "folder.safetensors").mkdir()
    checkpoint.save(state, tmp_path / "best.pt")
    before = (tmp_path / "best.pt").read_bytes()
    assert main(["export", str(tmp_path / "best.pt"), str(tmp_path / target), "--licence", "CC0-1.0"]) == 1
    assert said in capsys.readouterr().err
    assert (tmp_path / "best.pt").read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["best.pt", "folder.safetensors"]


BAD_NAMES = [
    "",
    " ",
    " a",
    "../evil",
    "a/b",
    "a\\b",
    ".hidden",
    "-x",
    "a\nb",
    "a\x1b[2J",
    "a\u202eb",
    "\udcff",
    "x" * 201,
]


@pytest.mark.parametrize("option", ["name", "title", "licence"])
def test_texts_that_cannot_be_shown_are_refused(option: str, state: dict, tmp_path: Path, capsys) -> None:
    checkpoint.save(state, tmp_path / "best.pt")
    for text in BAD_NAMES if option == "name" else ["", " ", "a\nb", "a\x1b[2J", "x" * 201]:
        texts = {"licence": "CC0-1.0", option: text}
        options = [f"--{name}={value}" for name, value in texts.items()]
        assert main(["export", str(tmp_path / "best.pt"), str(tmp_path / "a.safetensors"), *options]) == 1, repr(text)
        said = capsys.readouterr().err
        assert f"weights cannot have the {option} " in said
        assert said.rstrip("\n").isprintable()
    assert [file.name for file in tmp_path.iterdir()] == ["best.pt"]


def test_texts_of_other_languages_are_names(state: dict, tmp_path: Path) -> None:
    checkpoint.save(state, tmp_path / "best.pt")
    texts = {"name": "großmutters fotos", "title": "Großmutters Fotos: 日本", "licence": "CC BY 4.0"}
    options = [f"--{name}={value}" for name, value in texts.items()]
    assert main(["export", str(tmp_path / "best.pt"), str(tmp_path / "a.safetensors"), *options]) == 0
    record = weights.read_record(tmp_path / "a.safetensors")
    assert {"name": record.name, "title": record.title, "licence": record.licence} == texts
