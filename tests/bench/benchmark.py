"""How long each step takes, from GIMP's pixels to the coloured layer, beside the bare network and a plain copy.

Inside a real GIMP a photograph is coloured for the first time and again with a changed stroke; clocks around the
functions of the plug-in and of the service say where the time went. The reach of each number is in the last table;
nothing fails for being slow.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "gimp"))
import baselines  # noqa: E402
import live  # noqa: E402
import machine  # noqa: E402
import report  # noqa: E402
import scans  # noqa: E402
import starts  # noqa: E402
from colorize_client import ColorizeError  # noqa: E402
from host import SUITES, HostError  # noqa: E402
from sessions import (  # noqa: E402
    BenchmarkError,
    TimedService,
    client_pair,
    command_seconds,
    expect,
    gimp_runs,
    prepared,
    write_pictures,
)
from timeline import Span, divide, own_seconds  # noqa: E402

SIZES, QUICK_SIZES = (1.0, 12.0, 24.0), (1.0,)
DEEP_SIZE = 24.0  # measured once more with 16 bits
CLIENT_SIZE = 1.0  # measured once more without GIMP
REST_SIZE, AT_REST = 24.0, 60.0  # megapixels through the client only, and seconds until the service's memory is read
HUGE_SIZE = 100.0  # through the client only, for the service's memory
REPEATS, WARM_UPS = 3, 1
FOLDER_PICTURES, QUICK_PICTURES, FOLDER_SIZE = 24, 3, 1.0
TURN = "predict"  # before this step of the service the request travels, after it the bands do
KINDS = ("first", "again")
TERMINATED = 128 + signal.SIGTERM


@dataclass(frozen=True)
class Case:
    """One photograph in GIMP. Seconds are medians over the repetitions.

    Attributes:
        gimp: GIMP's version; height, width: of the photograph; bits: 8 or 16; repeats: how many.
        steps: for "first" and "again", seconds on the way of each step; together the run in one process.
        own: the same of the service's own steps, also where the plug-in worked at the same time.
        total: of the run in one process; procedure: of the whole call, the plug-in's process included.
        first_message: from the call to the first message at the service.
        daemon_predict: hints and prediction together, in the service.
        beside: the network's encode, decode, forward; copy, socket of a first run's and a re-run's bytes.
        above_idle: bytes of the service's peak memory after one first run and one re-run.
    """

    gimp: str
    height: int
    width: int
    bits: int
    repeats: int
    steps: dict[str, dict[str, float]]
    own: dict[str, dict[str, float]]
    total: dict[str, float]
    procedure: dict[str, float]
    first_message: float
    daemon_predict: float
    beside: dict[str, float]
    above_idle: int

    @property
    def megapixels(self) -> float:
        return round(self.height * self.width / 1e6, 1)


class Bench:
    """One suite's GIMP, a folder shared with it, and the bare network."""

    def __init__(self, suite: str, folder: Path, quick: bool) -> None:
        self.workshop = prepared(suite, folder)
        self.folder, self._state, self._number = folder, self.workshop.service.state, count()
        self.warm_ups, self.repeats = (0, 1) if quick else (WARM_UPS, REPEATS)
        self.network = baselines.BareNetwork()
        self.peak_was_reset = True

    @contextmanager
    def service(self) -> Iterator[TimedService]:
        with TimedService(self._state, next(self._number)) as service:
            self.peak_was_reset &= service.peak_was_reset
            yield service

    def case(self, service: TimedService, megapixels: float, *, deep: bool = False) -> Case:
        """All runs of one photograph in GIMP, the bare measurements taken right before and right after them.

        The service's memory is right where it has seen no other photograph.
        """
        gray = scans.scan(megapixels, deep=deep)
        warm_ups, repeats = (0, 1) if deep else (self.warm_ups, self.repeats)
        before = self._beside(gray)
        noted = gimp_runs(self.workshop, gray, warm_ups, repeats)
        beside = baselines.merged([before, self._beside(gray)])
        return _case(gray, noted, service, beside)

    def _beside(self, gray: np.ndarray) -> dict[str, list[float]]:
        down = 3 * gray.nbytes
        return {
            **self.network.seconds(*gray.shape),
            "copy first": baselines.copy_seconds(gray.nbytes + down),
            "copy again": baselines.copy_seconds(down),
            "socket first": baselines.socket_seconds(self.folder, gray.nbytes, down, 3 * gray.itemsize),
            "socket again": baselines.socket_seconds(self.folder, 0, down, 3 * gray.itemsize),
        }

    def client_seconds(self) -> dict[str, float]:
        """First run and hint re-run of a photograph through the client, without GIMP, by a running service; medians."""
        pairs = [client_pair(scans.scan(CLIENT_SIZE, number=n), n) for n in range(self.warm_ups + self.repeats)]
        return {kind: median(getattr(pair, kind) for pair in pairs[self.warm_ups :]) for kind in KINDS}

    def client_memory(self, megapixels: float) -> dict[str, float]:
        """Bytes of the service's peak above idle in one first run and one re-run through the client; their seconds."""
        gray = scans.scan(megapixels)
        with self.service() as service:
            pair = client_pair(gray, 1)
            return {"above_idle": service.above_idle(pair.begin, pair.end), "first": pair.first, "again": pair.again}


def folder_rate(folder: Path, network: baselines.BareNetwork, pictures: int) -> dict[str, float]:
    """Pictures per second of gimp-colorize by a running service, and of the bare network before and after it."""
    album = write_pictures(folder / "album", range(pictures), FOLDER_SIZE)
    single = write_pictures(folder / "single", [pictures], FOLDER_SIZE)
    before = network.rate(*scans.size_of(FOLDER_SIZE))
    whole = command_seconds(album, folder / "coloured")
    after = network.rate(*scans.size_of(FOLDER_SIZE))
    one = command_seconds(single, folder / "coloured")
    running = (pictures - 1) / (whole - one) if whole > one else float("nan")
    bare = (before + after) / 2
    return {"pictures": pictures, "command": pictures / whole, "running": running, "network": bare, "one": one}


def _case(gray: np.ndarray, noted: dict[str, Any], service: TimedService, beside: dict[str, float]) -> Case:
    runs = [run for run in noted["runs"] if not run["warm_up"]]
    spans = _service_spans(service, noted["runs"])
    for run in noted["runs"]:
        if run["summary"]:
            expect(run["summary"], first=run["kind"] == "first")
    stepwise = {kind: [run for run in runs if (run["kind"], run["way"]) == (kind, "steps")] for kind in KINDS}
    called = {kind: [run for run in runs if (run["kind"], run["way"]) == (kind, "procedure")] for kind in KINDS}
    pair = noted["runs"][:2]  # the service has then seen this photograph and no other
    return Case(
        gimp=noted["gimp"],
        height=gray.shape[0],
        width=gray.shape[1],
        bits=8 * gray.itemsize,
        repeats=len(stepwise["first"]),
        steps={kind: _medians([_divided(run, spans) for run in stepwise[kind]]) for kind in KINDS},
        own={kind: _medians([_own(run, spans) for run in stepwise[kind]]) for kind in KINDS},
        total={kind: median(map(_length, stepwise[kind])) for kind in KINDS},
        procedure={kind: median(map(_length, called[kind])) for kind in KINDS},
        first_message=median(_first_message(run, spans) for kind in KINDS for run in called[kind]),
        daemon_predict=median(_predict(run, spans) for run in stepwise["again"]),
        beside=beside,
        above_idle=service.above_idle(pair[0]["begin"], pair[1]["end"]),
    )


def _service_spans(service: TimedService, runs: list[dict[str, Any]]) -> list[Span]:
    events = service.events(runs[0]["begin"], runs[-1]["end"])
    return [tuple(span) for event in events for span in event["spans"]]


def _whole(run: dict[str, Any]) -> Span:
    return "other, in the plug-in", run["begin"], run["end"]


def _length(run: dict[str, Any]) -> float:
    return run["end"] - run["begin"]


def _steps_of(spans: list[Span]) -> list[Span]:
    return [span for span in spans if not span[0].startswith("message ")]


def _divided(run: dict[str, Any], spans: list[Span]) -> dict[str, float]:
    return divide(_whole(run), [tuple(span) for span in run["spans"]], _steps_of(spans), TURN)


def _own(run: dict[str, Any], spans: list[Span]) -> dict[str, float]:
    return own_seconds(_whole(run), _steps_of(spans))


def _predict(run: dict[str, Any], spans: list[Span]) -> float:
    """Length of the service's step `predict`, in which `hints` is nested."""
    return sum(end - begin for name, begin, end in spans if name == TURN and run["begin"] <= begin <= run["end"])


def _first_message(run: dict[str, Any], spans: list[Span]) -> float:
    came = [begin for name, begin, _ in spans if name.startswith("message ") and begin >= run["begin"]]
    return min(came) - run["begin"]


def _medians(runs: list[dict[str, float]]) -> dict[str, float]:
    names = {name for run in runs for name in run}
    return {name: median(run.get(name, 0.0) for run in runs) for name in names}


def memory_at_rest(folder: Path) -> dict[str, int]:
    """Bytes of a service that is started for it, a minute after a first run and a hint re-run through the client."""
    state = folder / "state-at-rest"
    state.mkdir(mode=0o700)
    with TimedService(state, 0) as service:
        client_pair(scans.scan(REST_SIZE), 1)
        time.sleep(AT_REST)
        return service.memory_now()


def measure_rest(_: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The service's memory at rest alone, printed."""
    rest = memory_at_rest(folder)
    print(f"a minute after {REST_SIZE:g} MP: " + ", ".join(f"{k} {v / report.MEGA:.0f} MB" for k, v in rest.items()))
    return {"machine": machine.facts(), "rest": rest}


def measure_start(_: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The first colours of a service that has to be started alone, printed."""
    start = starts.first_colours(folder)
    print(f"first colours of {starts.SIZE:g} MP, service not running: {start['service']:.2f} s;", end=" ")
    print(f"a bare process with torch, weights and one pass: {start['bare']:.2f} s, load {os.getloadavg()[0]:.2f}")
    return {"machine": machine.facts(), "start": start}


def measure_folder(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """A folder through the command alone, printed."""
    state = folder / "state"
    state.mkdir(mode=0o700)
    with TimedService(state, 0):
        rate = folder_rate(folder, baselines.BareNetwork(), QUICK_PICTURES if options.quick else FOLDER_PICTURES)
    report.print_folder(rate)
    print(f"load average at the end: {os.getloadavg()[0]:.2f}")
    return {"machine": machine.facts(), "folder": rate}


def measure_live(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Live Colours alone, printed."""
    bench = Bench(options.suite, folder, options.quick)
    found = []
    for megapixels in options.megapixels:
        with bench.service() as service:
            found.append(live.follow(bench.workshop, service, megapixels))
            report.print_live(found[-1])
    print(f"load average at the end: {os.getloadavg()[0]:.2f}")
    return {"machine": machine.facts() | {"busy": options.busy}, "live": [asdict(each) for each in found]}


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Runs everything and prints each table as soon as it is there; all numbers come back."""
    facts = {"machine": machine.facts() | {"busy": options.busy}, "suite": options.suite}
    bench = Bench(options.suite, folder, options.quick)
    facts["network"] = {"device": bench.network.device, "weights": bench.network.record.sha256}
    report.print_machine(facts)
    cases, client, rate = [], None, None
    for megapixels, deep in _planned(options):
        with bench.service() as service:
            cases.append(bench.case(service, megapixels, deep=deep))
            report.print_case(cases[-1])
            if rate is None:  # with the same service, since each start of one takes seconds
                client = bench.client_seconds()
                rate = folder_rate(folder, bench.network, QUICK_PICTURES if options.quick else FOLDER_PICTURES)
    huge = None if options.quick else bench.client_memory(HUGE_SIZE)
    rest = None if options.quick else memory_at_rest(folder)
    start = None if options.quick else starts.first_colours(folder)
    rows = report.speed_rows(cases, client, huge, rest, start, rate, bench.network.device)
    report.print_speed(rows, rate, bench.peak_was_reset)
    print(f"load average at the end: {os.getloadavg()[0]:.2f}")
    measured = {"cases": [asdict(case) for case in cases], "client": client, "huge": huge, "rest": rest, "folder": rate}
    measured["start"] = start
    return {**facts, **measured, "speed": [asdict(row) for row in rows]}


def _planned(options: argparse.Namespace) -> Iterator[tuple[float, bool]]:
    for megapixels in options.megapixels:
        yield megapixels, False
    if DEEP_SIZE in options.megapixels and not options.quick:
        yield DEEP_SIZE, True


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tests/bench/run", description=__doc__)
    add = parser.add_argument
    add("--suite", choices=SUITES, default="trixie", help="whose GIMP: trixie has 3.0, forky 3.2")
    add("--megapixels", type=float, nargs="+", metavar="N", help="sizes; default 1 12 24, with --quick 1")
    add("--json", type=Path, metavar="FILE", help="write all numbers there")
    add("--busy", type=int, default=0, metavar="N", help="beside N other programs that always want a processor")
    add("--rest", action="store_true", help="only the service's memory a minute after its work, without GIMP")
    add("--start", action="store_true", help="only the first colours of a service that has to be started, without GIMP")
    add("--folder", action="store_true", help="only the command line's rate on a folder, without GIMP")
    add("--live", action="store_true", help="only Live Colours, in GIMP's window")
    add("--quick", action="store_true", help="each run once, no warm-up, no 16 bits, no 100 megapixels")
    return parser


def _asked_for(options: argparse.Namespace) -> Callable[[argparse.Namespace, Path], dict[str, Any]]:
    alone = {"rest": measure_rest, "start": measure_start, "folder": measure_folder, "live": measure_live}
    return next((function for name, function in alone.items() if getattr(options, name)), measure)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))  # so that the service is stopped, too
    options.megapixels = options.megapixels or (QUICK_SIZES if options.quick else SIZES)
    try:
        # a socket's path must be short
        with tempfile.TemporaryDirectory(prefix="gc-bench-", dir="/tmp") as folder, machine.busy(options.busy):
            numbers = _asked_for(options)(options, Path(folder))
    except (BenchmarkError, HostError) as error:
        print(f"tests/bench/run: {error}", file=sys.stderr)
        return 1
    except ColorizeError as error:
        print(f"tests/bench/run: {error.report()}", file=sys.stderr)
        return 1
    if options.json:
        options.json.write_text(json.dumps(numbers, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
