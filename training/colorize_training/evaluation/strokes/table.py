"""Strokes tried by many methods on the same pictures, and the table of what came of it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from colorize_training.evaluation.methods import Bare, Levin, Method, Served, takes_hints
from colorize_training.evaluation.strokes.cases import Case
from colorize_training.evaluation.strokes.measures import choose_strokes, measure_strokes
from colorize_training.evaluation.strokes.oracle import TrueThing
from colorize_training.tables import Table

TITLES = {  # of the measures, in the table's order
    "fill": "fill",
    "tenth": "its lowest tenth",
    "near": "near",
    "far": "far",
    "moved": "moved (ab)",
    "obedience": "CIE76 under the stroke",
    "strokes": "strokes needed",
    "done": "done with 10",
}
EXPLAINED = """\
fill: share of the asked change that arrives in the thing, and what its lowest tenth gets; near, far: mean change of all
else within a tenth of the short side around the thing and beyond, as share of the asked change; moved: change of the
first thing when a second stroke is painted on another; strokes needed: by a simulated user, until 85 % of the thing is
within 10 ab of what was asked, as far as sRGB has it at that lightness, and the rest has moved by at most 5 on its
mean; one who gives up counts as 10. Means over things, with their standard errors."""


def compared(own: Sequence[Served]) -> list[Method]:
    """Levin 2004, the weights' own networks without the engine's composition, and the weights as they are served."""
    bare: dict[str, Method] = {}
    for method in own:
        name = f"{method.name.rpartition(' T=')[0]} bare network"
        if name not in bare and takes_hints(method.colorizer.network):
            bare[name] = Bare(method.engine, name)
    return [Levin("Levin 2004"), *bare.values(), *own]


def measure_cases(cases: Sequence[Case], methods: Sequence[Method], base: Method, table: Table) -> list[dict[str, str]]:
    """A row for every case and method, the oracle first; cases that the table has are not measured again.

    base: gives the oracle the picture without strokes.
    """
    found = Counter(row["picture"] for row in table.rows)
    table.keep(lambda row: found[row["picture"]] == len(methods) + 1)
    done = {row["picture"] for row in table.rows}
    for case in tqdm([case for case in cases if case.name not in done], desc="strokes", unit="img"):
        for row in _rows(case, methods, base):
            table.add(**row)
    return table.rows


def _rows(case: Case, methods: Sequence[Method], base: Method) -> Iterator[dict[str, Any]]:
    strokes = choose_strokes(case, methods)
    for method in (TrueThing(case, base), *methods):
        yield {"picture": case.name, "method": method.name} | measure_strokes(method, case, strokes)


def summarize_strokes(scores: Sequence[dict[str, str]]) -> list[dict[str, Any]]:
    """A row for each method: the number of things, and each measure's mean and standard error."""
    rows = []
    for method in dict.fromkeys(score["method"] for score in scores):
        own = [score for score in scores if score["method"] == method]
        row: dict[str, Any] = {"method": method, "things": len(own)}
        for name in TITLES:
            row[name], row[f"{name}_error"] = mean_and_error([float(score[name]) for score in own])
        rows.append(row)
    return rows


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard error of those that are not NaN; NaN where too few are left."""
    known = np.array([v for v in values if np.isfinite(v)])
    mean = float(known.mean()) if len(known) else float("nan")
    return mean, float(known.std(ddof=1) / len(known) ** 0.5) if len(known) > 1 else float("nan")


def markdown(rows: Sequence[dict[str, Any]], meta: dict[str, Any]) -> str:
    """The table as text, under the command, machine and date that it comes from."""
    head = [f"| method | things | {' | '.join(TITLES.values())} |", "|---" * (len(TITLES) + 2) + "|"]
    lines = [f"| {row['method']} | {row['things']} | {' | '.join(_cell(row, n) for n in TITLES)} |" for row in rows]
    origin = f"{meta['date']}, {meta['machine']}, {meta['versions']}"
    return "\n".join([f"```\n{meta['command']}\n```\n", f"{origin}\n", *head, *lines, "", EXPLAINED, ""])


def _cell(row: dict[str, Any], name: str) -> str:
    """As "0.85 ± 0.02", with as many digits as the error has a use for."""
    mean, error = row[name], row[f"{name}_error"]
    if mean != mean:
        return ""
    digits = 1 if name in ("moved", "obedience", "strokes") else 3 if name in ("near", "far") else 2
    return f"{mean:.{digits}f}" + (f" ± {error:.{digits}f}" if error == error else "")
