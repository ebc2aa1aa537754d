"""Lists of photographs by the first digits of their fingerprints, for photographs that may not be passed on."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from colorize_training.data.photographs import PackedPhotographs
from colorize_training.ranges import Within

DIGITS = 12


@dataclass(frozen=True)
class Lists:
    """Which photographs are used: those in one of `only`, where there are any, and in none of `without`; those in one
    of `often` are used `times`."""

    only: Sequence[Path] = ()
    without: Sequence[Path] = ()
    often: Sequence[Path] = ()
    times: int = 3

    def of(self, photographs: PackedPhotographs) -> PackedPhotographs:
        """In the old order, the repeated ones at the end. Prints how many of `only` are not among the photographs.

        Raises ValueError where none is left, and where a list is none.
        """
        own = np.array([fingerprint[:DIGITS] for fingerprint in photographs.fingerprints])
        only, without, often = (_union(lists) for lists in (self.only, self.without, self.often))
        kept = np.isin(own, only) if self.only else np.ones(len(own), bool)
        kept &= ~np.isin(own, without)
        if not kept.any():
            raise ValueError("the lists leave none of the photographs")
        if missing := len(np.setdiff1d(only, own)):
            print(f"{missing} of the listed photographs are not there", flush=True)
        again = np.tile(np.flatnonzero(kept & np.isin(own, often)), self.times - 1)
        return photographs if kept.all() and not len(again) else photographs.subset([*np.flatnonzero(kept), *again])


def read_manifest(path: Path) -> frozenset[str]:
    """The fingerprints in a list, one a line, DIGITS of each. Raises ValueError where it holds anything else."""
    lines = path.read_text(encoding="utf-8").split()
    for line in lines:
        if len(line) < DIGITS or set(line) - set("0123456789abcdef"):
            raise ValueError(
                f"{path} is no list of fingerprints of {DIGITS} hexadecimal digits: it holds {line[:40]!r}"
            )
    return frozenset(line[:DIGITS] for line in lines)


def _union(lists: Sequence[Path]) -> np.ndarray:
    return np.array(sorted(frozenset[str]().union(*map(read_manifest, lists))), dtype=f"<U{DIGITS}")


def add_list_options(parser: argparse._ActionsContainer, often: bool = False) -> None:
    """Options for `chosen_lists`."""
    text = "lists of fingerprints, as in training/results/manifests: "
    parser.add_argument("--only", nargs="+", type=Path, default=[], help=text + "of DATA only what is in one of them")
    parser.add_argument("--without", nargs="+", type=Path, default=[], help=text + "of DATA nothing of these")
    if often:
        parser.add_argument("--often", nargs="+", type=Path, default=[], help=text + "these are seen TIMES an epoch")
        parser.add_argument("--times", type=Within(int, 1, 100), default=Lists.times, help="times an epoch, for OFTEN")


def chosen_lists(arguments: argparse.Namespace) -> Lists:
    return Lists(**{field.name: getattr(arguments, field.name) for field in fields(Lists) if field.name in arguments})
