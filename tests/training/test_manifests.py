"""What the shipped network was trained on and what it is judged by, held apart (`training/results/manifests/`)."""

from pathlib import Path

MANIFESTS = Path(__file__).parents[2] / "training" / "results" / "manifests"


def fingerprints(name: str) -> list[str]:
    return (MANIFESTS / f"{name}.txt").read_text().split()


def test_no_photograph_is_trained_on_and_selection_metric() -> None:
    sets = [fingerprints(f"chroma-{name}") for name in ("training", "validation", "held-back")]
    assert [len(names) for names in sets] == [19_841, 500, 1999]
    assert len({name for names in sets for name in names}) == sum(map(len, sets))


def test_the_photographs_that_the_tests_look_at_are_in_none(packed) -> None:
    known = {name for path in MANIFESTS.glob("*.txt") for name in path.read_text().split()}
    assert not {fingerprint[:12] for fingerprint in packed.fingerprints} & known
