"""Measure weights on photographs they never saw, side by side in one run.

Beside them stand gray, every pixel given the picture's true mean chroma (an oracle), and with --levin colorization by
optimization. Results: report.html (one self-contained page), table.csv (means and standard errors), pictures.csv (every
picture; a call that was stopped goes on from it), meta.json (command, machine, date).

With --strokes, one stroke of an odd colour is painted on a thing in each of N pictures, and a second on another thing:
does it fill its thing, does all else stay, how many strokes does the thing need. Beside the weights stand Levin 2004,
the bare network (its own answer to all strokes), and somebody who knows the true thing. A thing is a connected region
that a person drew, where a label map NAME.png lies beside a picture NAME.jpg or .webp, else one of one true colour.
Results: the report, strokes.md and strokes.csv (means and standard errors), strokes-pictures.csv (every picture), and
strokes/, pictures to judge by eye.

With --areas, automatic colours are measured in N pictures within what label maps show: whether things of one colour
are given one, whether neutral places stay so, and how far skin, clothes or whatever --label-names names are off.
Results: the report, and areas.csv (means and standard errors).
"""

import argparse
import datetime
import json
import platform
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import torch
from colorize_client import Options
from colorize_client.options import CAUTIOUS
from tqdm import tqdm

from colorize_training.commands.export import NETWORK_SIDE
from colorize_training.data import PackedPhotographs, add_list_options, chosen_lists, pack
from colorize_training.evaluation.areas import find_drawn, measure_areas, read_names
from colorize_training.evaluation.behaviour import behave, obedience
from colorize_training.evaluation.drawn import SHORT
from colorize_training.evaluation.features import Lpips, Recognizer
from colorize_training.evaluation.methods import Method, Served, baselines, cost, served
from colorize_training.evaluation.metrics import frechet, measure
from colorize_training.evaluation.protocols import PROTOCOLS
from colorize_training.evaluation.report import Strokes, write_report
from colorize_training.evaluation.strokes.cases import Case, find_cases
from colorize_training.evaluation.strokes.sheets import draw_case, save
from colorize_training.evaluation.strokes.table import compared, markdown, measure_cases, summarize_strokes
from colorize_training.evaluation.task import Task
from colorize_training.ranges import PICTURES_OR_NONE, Within
from colorize_training.tables import Table, write_rows
from colorize_training.writing import alone_in, write_text

TEMPERATURES = [CAUTIOUS, Options().temperature]  # the most cautious, and what the service does unasked


def add_command(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = command.add_argument
    add("weights", type=Path, nargs="+", help="the .safetensors files")
    add("--data", nargs="+", required=True, help="folders, tar shards, pictures, lists")
    add_list_options(command.add_argument_group("Lists", "of the PICTURES; strokes and areas are tried in all of DATA"))
    add("--out", type=Path, required=True, help="folder of the report and the tables")
    add("--cache", type=Path, help="folder for decoded photographs (default: OUT/cache)")
    add("--protocol", choices=PROTOCOLS, default="icolorit", help="how hints are simulated (default: icolorit)")
    add("--hints", type=Within(int, 0, 10_000), nargs="+", help="hint counts (default: the protocol's)")
    add(
        "--pictures",
        type=PICTURES_OR_NONE,
        default=500,
        help="how many photographs, evenly spread over them; 0: strokes or areas alone (default: 500)",
    )
    add(
        "--side",
        type=lambda text: 0 if text == "own" else NETWORK_SIDE(text),
        nargs="+",
        help="sides of the network's picture, or own: as the file says (default: as what is measured)",
    )
    add(
        "--temperature",
        type=Within(float, *Options.limits("temperature")),
        nargs="+",
        default=TEMPERATURES,
        help=f"default: {TEMPERATURES[0]:g} {TEMPERATURES[1]:g}",
    )
    add("--alike", action="store_true", help="also with hints that mean everything like what they lie on")
    add("--levin", action="store_true", help="also Levin 2004, which takes about a second a picture and hint count")
    add("--fid", metavar="NAME[:FILE]", help="feature network of the FID, as mobilenet_v2:FILE")
    add("--lpips", type=Path, metavar="FILE", help="weights of LPIPS 0.1 on AlexNet")
    add("--classifier", metavar="NAME[:FILE]", help="network that is asked what it recognizes, as vgg16")
    add(
        "--behaviour",
        type=PICTURES_OR_NONE,
        default=0,
        metavar="N",
        help="pictures in which strokes are tried (default: 0)",
    )
    add(
        "--strokes",
        type=PICTURES_OR_NONE,
        default=0,
        metavar="N",
        help="pictures in which things are filled (default: 0)",
    )
    add(
        "--areas",
        type=PICTURES_OR_NONE,
        default=0,
        metavar="N",
        help="pictures with label maps whose areas are measured",
    )
    add("--label-names", type=Path, metavar="TSV", help="what labels show: columns name, and labels as 1=skin;2=coat")
    add("--sheets", type=PICTURES_OR_NONE, default=30, metavar="N", help="pictures that the report shows (default: 30)")
    command.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    if not (arguments.pictures or arguments.strokes or arguments.areas):
        raise ValueError("nothing is measured without pictures: give --pictures, --strokes or --areas a number")
    with alone_in(arguments.out):
        return _evaluate(arguments)


def _evaluate(arguments: argparse.Namespace) -> int:
    protocol = PROTOCOLS[arguments.protocol]
    own = _served_as(arguments, protocol.size, None, arguments.alike)
    photographs = _photographs(arguments, protocol.size)
    task = Task(
        photographs,
        len(photographs) if arguments.pictures else 0,
        protocol,
        tuple(arguments.hints or protocol.counts),
        [*baselines(arguments.levin), *own],
        Lpips(arguments.lpips) if arguments.lpips else None,
        Recognizer(arguments.classifier) if arguments.classifier else None,
    )
    meta = _describe(task, own, arguments)
    scores = measure_all(task, table_of(arguments.out, "pictures.csv", meta))
    rows = summarize(scores, _extras(task, own, arguments)) if task.count else []
    write_rows(rows, arguments.out / "table.csv")
    strokes = _strokes(arguments, meta) if arguments.strokes else None
    areas = _areas(arguments) if arguments.areas else []
    write_report(arguments.out / "report.html", task, rows, scores, meta, arguments.sheets, strokes, areas)
    _print(rows)
    return 0


def _photographs(arguments: argparse.Namespace, short_side: int) -> PackedPhotographs:
    """Those that are measured: of all that the lists leave, PICTURES."""
    found = chosen_lists(arguments).of(pack(arguments.data, _cache(arguments), short_side))
    if not 0 < arguments.pictures < len(found):
        return found
    return found.subset(np.linspace(0, len(found) - 1, arguments.pictures).round().astype(int))


def _cache(arguments: argparse.Namespace) -> Path:
    return arguments.cache or arguments.out / "cache"


def _extras(task: Task, own: list[Served], arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    """What is measured once for a method, not for every hint count."""
    costs = {m.name: cost(m, m.colorizer.record.side) if arguments.side else cost(m) for m in own}
    return _merged(costs | _fids(task, arguments.fid), _behaviours(task, own, arguments.behaviour))


def _areas(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """The rows of areas.csv."""
    names = read_names(arguments.label_names) if arguments.label_names else {}
    drawn = find_drawn(arguments.data, arguments.areas, _cache(arguments) / "downloads", names)
    rows = measure_areas(drawn, [*baselines(levin=False), *_served_as(arguments, SHORT, 0)])
    write_rows(rows, arguments.out / "areas.csv")
    for row in rows:
        measures = [name.removesuffix("_count") for name in row if name.endswith("_count")]
        parts = (f"{name} {row[name]:.2f} ± {row[f'{name}_error']:.2f}" for name in measures)
        print(f"{row['method']:24} {'  '.join(parts)}", flush=True)
    return rows


def _strokes(arguments: argparse.Namespace, meta: dict[str, Any]) -> Strokes:
    """Every stroke's measures, written to the report's folder, and what the page shows of them."""
    out = arguments.out
    cases = find_cases(arguments.data, arguments.strokes, _cache(arguments) / "downloads")
    own = _served_as(arguments, SHORT, 0)
    methods, shown = compared(own), own[len(arguments.temperature) - 1]
    scores = measure_cases(cases, methods, shown, table_of(out, "strokes-pictures.csv", _alike(meta, cases, own)))
    rows = summarize_strokes(scores)
    write_rows(rows, out / "strokes.csv")
    write_text(out / "strokes.md", markdown(rows, meta))
    print(markdown(rows, meta), flush=True)
    return Strokes(rows, shown.name, _sheets(cases[: arguments.sheets], shown, methods, out / "strokes"))


def _alike(meta: dict[str, Any], cases: list[Case], own: list[Served]) -> dict[str, Any]:
    """What must be the same where measuring strokes goes on."""
    weights = [[method.name, method.colorizer.record.sha256] for method in own]
    return meta | {"same": {"weights": weights, "cases": [[c.name, c.digest] for c in cases]}}


def _sheets(cases: list[Case], shown: Served, methods: list[Method], folder: Path) -> list[tuple[str, np.ndarray]]:
    """A sheet of each case by its name; each is a file too."""
    sheets = []
    for case in tqdm(cases, desc="sheets of strokes", unit="img"):
        name, sheet = PurePath(case.name).name, draw_case(case, shown, methods)
        save(sheet, folder / f"{PurePath(name).stem}.webp")
        sheets.append((name, sheet))
    return sheets


def _served_as(arguments: argparse.Namespace, measured: int, unasked: int | None, alike: bool = False) -> list[Served]:
    """The weights at each side (`unasked`, where none was asked for; see `methods.served`) and temperature."""
    temperatures = tuple(arguments.temperature)
    pairs = [(path, side) for path in arguments.weights for side in arguments.side or [unasked]]
    return [m for path, side in pairs for m in served(path, measured, temperatures, side, alike=alike)]


def measure_all(task: Task, table: Table) -> list[dict[str, str]]:
    """A row for every picture, method and hint count; pictures that the table has are not measured again."""
    found = Counter(row["picture"] for row in table.rows)
    runs = list(_runs(task))
    table.keep(lambda row: found[row["picture"]] == len(runs))  # one that was stopped in between is measured again
    done = {int(row["picture"]) for row in table.rows}
    for number in tqdm([n for n in range(task.count) if n not in done], desc="evaluating", unit="img"):
        rgb = task.protocol.picture(task.photographs[number])
        seen = task.classifier.classes(rgb) if task.classifier else None
        for method, count in runs:
            table.add(**_score(task, rgb, number, method, count, seen))
    return table.rows


def _runs(task: Task) -> Iterator[tuple[Method, int]]:
    for method in task.methods:
        for count in task.counts if method.takes_hints else (0,):
            yield method, count


def _score(
    task: Task, rgb: np.ndarray, number: int, method: Method, count: int, seen: int | None
) -> dict[str, float | str]:
    hints = task.protocol.hints(rgb, count, number)
    image = method.colorize(rgb, hints)
    row: dict[str, Any] = {"picture": number, "method": method.name, "hints": count}
    row |= measure(image, rgb, method.space)
    row["obedience"] = float(np.median(obedience(image, hints))) if count else float("nan")
    if task.lpips:
        row["lpips"] = task.lpips(image, rgb)
    if task.classifier and count == 0:
        found = task.classifier.classes(image)
        row["same_class"] = float(found == seen)
        if task.photographs.labels is not None:
            row["right_class"] = float(found == task.photographs.labels[number])
    return row


def summarize(scores: list[dict[str, str]], extras: dict[str, dict[str, float]]) -> list[dict[str, Any]]:
    """A row for each method and hint count: means, the standard error of the PSNR, the number of pictures."""
    groups: dict[tuple[str, int], list[dict[str, str]]] = {}
    for score in scores:
        groups.setdefault((score["method"], int(score["hints"])), []).append(score)
    rows = []
    for (method, hints), group in groups.items():
        names = [name for name in group[0] if name not in ("picture", "method", "hints")]
        means = {name: _mean([float(score[name]) for score in group if score.get(name)]) for name in names}
        error = float(np.std([float(score["psnr"]) for score in group]) / len(group) ** 0.5)
        row: dict[str, Any] = {"method": method, "hints": hints, "pictures": len(group), **means, "psnr_error": error}
        rows.append(row | (extras.get(method, {}) if hints == 0 else {}))
    return rows


def _mean(values: list[float]) -> float:
    finite = [v for v in values if np.isfinite(v)]
    return float(np.mean(finite)) if finite else float("nan")


def _fids(task: Task, choice: str | None) -> dict[str, dict[str, float]]:
    """Frechet distance of each method's automatic pictures to the true ones."""
    if not choice:
        return {}
    recognizer = Recognizer(choice)
    truths = [task.protocol.picture(task.photographs[n]) for n in range(task.count)]
    wanted = np.stack([recognizer.features(rgb) for rgb in tqdm(truths, desc="FID: truth", unit="img")])
    if len(wanted) <= wanted.shape[1]:
        print(
            f"FID: {len(wanted)} pictures for {wanted.shape[1]} features: covariances are not of full rank and the "
            "distances are too large; compare them within this run alone",
            flush=True,
        )
    found = {}
    for method in task.methods:
        bar = tqdm(list(enumerate(truths)), desc=f"FID: {method.name}", unit="img")
        own = [recognizer.features(method.colorize(rgb, task.protocol.hints(rgb, 0, n))) for n, rgb in bar]
        found[method.name] = {"fid": frechet(np.stack(own), wanted)}
    return found


def _behaviours(task: Task, methods: list[Served], count: int) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for method in methods if count else ():
        bar = tqdm(range(min(count, task.count)), desc=f"strokes: {method.name}", unit="img")
        results = [behave(method, task.protocol.picture(task.photographs[n]), n) for n in bar]
        found[method.name] = {f"stroke_{k}": _mean([r[k] for r in results]) for k in results[0]}
    return found


def _merged(some: dict[str, dict], others: dict[str, dict]) -> dict[str, dict]:
    return {name: some.get(name, {}) | others.get(name, {}) for name in {*some, *others}}


def _describe(task: Task, own: list[Served], arguments: argparse.Namespace) -> dict[str, Any]:
    same = {
        "photographs": task.photographs.digest,
        "protocol": task.protocol.name,
        "hints": list(task.counts),
        "methods": [method.name for method in task.methods],
        "weights": [method.colorizer.record.sha256 for method in own],
        "lpips": arguments.lpips.name if arguments.lpips else "",
        "classifier": arguments.classifier or "",
    }
    return {
        "same": same,
        "fid": arguments.fid or "",
        "command": " ".join(["gimp-colorize-train", *sys.argv[1:]]),
        "date": datetime.date.today().isoformat(),
        "machine": f"{_processor()}, {torch.get_num_threads()} threads, {own[-1].colorizer.device}",
        "versions": f"Python {platform.python_version()}, torch {torch.__version__}",
    }


def _processor() -> str:
    """The processor's name, as Linux tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def table_of(out: Path, name: str, meta: dict[str, Any]) -> Table:
    """The table of an earlier call with the same settings, or a new one; what it was measured with lies beside it."""
    path, described = out / name, out / name.replace("pictures.csv", "meta.json")
    if path.exists() and (not described.exists() or json.loads(described.read_text())["same"] != meta["same"]):
        raise ValueError(f"{path} was measured with other weights, pictures or settings; choose another --out")
    write_text(described, json.dumps(meta, indent=2) + "\n")
    return Table(path)


def _print(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        print(
            f"{row['method']:24} {row['hints']:4d} hints  PSNR {row['psnr']:6.2f} ± {row['psnr_error']:.2f} dB  "
            f"CIEDE2000 {row['ciede2000']:5.2f}  colourfulness {row['colourfulness']:5.1f} "
            f"({row['colourfulness_difference']:+.1f})",
            flush=True,
        )
