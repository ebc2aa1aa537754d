"""What the shipped network was trained on and what it is judged by, held apart (`training/results/manifests/`)."""

from pathlib import Path

MANIFESTS = Path(__file__).parents[2] / "training" / "results" / "manifests"


def fingerprints(name: str) -> list[str]:
    return (MANIFESTS / f"{name}.txt").read_text().split()


def test_no_photograph_is_trained_on_and_selection_metric() -> None:
    trained, judged = fingerprints("chroma-training"), fingerprints("chroma-validation")
    assert (len(trained), len(judged)) == (13_959, 500)
    assert all(len(set(names)) == len(names) for names in (trained, judged))
    assert not set(trained) & set(judged)


def test_the_photographs_that_the_tests_look_at_are_in_neither(packed) -> None:
    known = {*fingerprints("chroma-training"), *fingerprints("chroma-validation")}
    assert not {fingerprint[:12] for fingerprint in packed.fingerprints} & known
