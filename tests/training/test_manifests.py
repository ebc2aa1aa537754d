"""What the shipped network was trained on and what it is judged by, held apart (`training/results/manifests/`)."""

import csv
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from colorize_engine import weights
from colorize_training.data import Lists, PackedPhotographs

MANIFESTS = Path(__file__).parents[2] / "training" / "results" / "manifests"


def fingerprints(name: str) -> list[str]:
    return (MANIFESTS / f"{name}.txt").read_text().split()


def test_no_photograph_is_trained_on_and_selection_metric() -> None:
    sets = [fingerprints(f"chroma-{name}") for name in ("training", "validation", "held-back")]
    assert [len(names) for names in sets] == [19_841, 500, 1999]
    assert len({name for names in sets for name in names}) == sum(map(len, sets))


def test_the_free_photographs_are_judged_by_others_and_sources_are_held_back_whole() -> None:
    free, people, foreign, historic, held_back, validation = (
        set(fingerprints(name))
        for name in ("chroma-free-training", "people", "foreign", "historic", "chroma-held-back", "chroma-validation")
    )
    assert people < free
    assert foreign | historic < held_back
    assert not foreign & historic
    assert not free & (held_back | validation)


def test_chroma_free_names_the_licence_and_the_source_of_every_photograph() -> None:
    with open(weights.SHIPPED / "chroma-free-sources.csv", encoding="utf-8", newline="") as file:
        sources = list(csv.DictReader(file))
    assert sorted(source["fingerprint"] for source in sources) == fingerprints("chroma-free-training")
    for source in sources:
        assert all(source.values())
        assert not re.search(r"\bN[CD]\b|non-?commercial|research", source["licence"], re.IGNORECASE)


def test_the_photographs_that_the_tests_look_at_are_in_none(packed) -> None:
    known = {name for path in MANIFESTS.glob("*.txt") for name in path.read_text().split()}
    assert not {fingerprint[:12] for fingerprint in packed.fingerprints} & known


@pytest.fixture
def lists(packed: PackedPhotographs, tmp_path: Path) -> Callable[..., Path]:
    def write(name: str, *numbers: int) -> Path:
        path = tmp_path / f"{name}.txt"
        path.write_text("".join(f"{packed.fingerprints[n][:12]}\n" for n in numbers))
        return path

    return write


def test_lists_say_which_photographs_are_used_and_how_often(packed, lists, capsys: pytest.CaptureFixture) -> None:
    chosen = Lists(only=[lists("a", 1, 4), lists("b", 5)], without=[lists("c", 4)]).of(packed)
    assert chosen.names == [packed.names[n] for n in (1, 5)]
    often = Lists(without=[lists("d", 0)], often=[lists("e", 0, 2)], times=3).of(packed)
    assert often.names == [*packed.names[1:], packed.names[2], packed.names[2]]
    assert Lists().of(packed) is packed
    assert not capsys.readouterr().out
    (absent := lists("f", 3)).write_text(packed.fingerprints[3][:12] + "\n" + "0" * 12)
    assert len(Lists(only=[absent]).of(packed)) == 1
    assert "1 of the listed photographs are not there" in capsys.readouterr().out


def test_a_list_that_is_none_or_leaves_nothing_is_an_error(packed, lists, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="leave none"):
        Lists(without=[lists("all", *range(len(packed)))]).of(packed)
    (other := tmp_path / "other.txt").write_text("cat.jpg\n")
    with pytest.raises(ValueError, match="is no list of fingerprints of 12 hexadecimal digits: it holds 'cat.jpg'"):
        Lists(only=[other]).of(packed)
