"""The tables: what each step took, what it was measured beside, and what was reached."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from machine import QUIET_LOAD
from timeline import DOWN, UP

if TYPE_CHECKING:
    from benchmark import Case
    from live import Live

MEGA = 1e6
SMALL = 2.0  # megapixels: below, Live Colours is to follow faster
STEPS = (
    "read the gray plane",
    "read the hint tiles",
    "hash",
    "connect, handshake, close",
    UP,
    "find the model",
    "check the upload",
    "encode",
    "hints",
    "predict",
    "lift",
    DOWN,
    "write pixels",
    "finish with undo step",
    "show progress",
    "other, in the plug-in",
)
COMPARED = {"encode": "encode", "predict": "decode"}  # a step of the service: the bare network's
EXPLANATION = """\
seconds and share: on the way, they add up to the total. Steps of the service (find the model … lift) count where the
plug-in waits for them; `own` is their whole time, also where the plug-in was writing meanwhile. Transport is what is
left of the plug-in's waiting when the service is in no step of its own: messages under way, queues, copies, checks.
"""


@dataclass(frozen=True)
class Row:
    """A promise, reached where `measured` is at most, or at least, `reach`; None where it was not measured."""

    what: str
    reach: float
    unit: str
    measured: float | None
    at_least: bool = False

    @property
    def verdict(self) -> str:
        if self.measured is None:
            return "not measured"
        return "met" if (self.measured >= self.reach if self.at_least else self.measured <= self.reach) else "MISSED"


def print_machine(facts: dict[str, Any]) -> None:
    found, network = facts["machine"], facts["network"]
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    print(f"{found['date']}   commit {found['commit']}   weights {network['weights'][:12]} on {network['device']}")
    print(f"{found['cpu']}, {found['cores']} cores, {found['ram_gib']} GiB, GPU: {found['gpu'] or 'none'}")
    print(f"{found['system']}, Python {found['python']}, {versions}, {found['torch_threads']} threads of torch")
    load = found["load"][0]
    print(f"load average at the start: {load:.2f}; other programs that are kept busy: {found['busy']}")
    if load > QUIET_LOAD:
        print(f"WARNING: something else is running (load above {QUIET_LOAD}): only ratios mean something, if anything")
    print(f"\n{EXPLANATION}", flush=True)


def print_case(case: Case) -> None:
    """The steps of a photograph's first run and hint re-run, side by side, and what was measured beside them."""
    size = f"{case.megapixels:g} megapixels ({case.width} x {case.height}), {case.bits} bits"
    print(f"== {size}, GIMP {case.gimp}, median of {case.repeats} ==")
    print(f"{'':28}{'first run':^26}   {'hint re-run':^26}")
    print(f"{'step':28}" + 2 * f"{'seconds':>9}{'share':>8}{'own':>9}   ")
    for line in _step_lines(case):
        print(line)
    _print_beside(case)
    print(flush=True)


def _step_lines(case: Case) -> Iterator[str]:
    for step in STEPS:
        yield f"{step:28}" + "".join(_cell(case, kind, step) for kind in case.steps)
    yield f"{'total, in one process':28}" + "".join(
        f"{case.total[kind]:9.3f}{'100 %':>8}{'':12}" for kind in case.total
    )
    yield f"{'the procedure, own process':28}" + "".join(
        f"{seconds:9.3f}{'':20}" for seconds in case.procedure.values()
    )


def _cell(case: Case, kind: str, step: str) -> str:
    seconds, own = case.steps[kind].get(step), case.own[kind].get(step)
    if seconds is None:
        return f"{'-':>9}{'':20}"
    whole = f"{own:9.3f}" if own is not None else f"{'':9}"
    return f"{seconds:9.3f}{100 * seconds / case.total[kind]:6.1f} %{whole}   "


def _print_beside(case: Case) -> None:
    """Bare measurements, and how many times as long ours took."""
    beside = case.beside
    print(f"{'beside it':28}{'seconds':>9}   ours / bare")
    ratios = {kind: case.total[kind] / beside["forward"] for kind in case.total}
    whole = f"first run {ratios['first']:.1f} x, hint re-run {ratios['again']:.1f} x"
    print(f"{'network alone, forward':28}{beside['forward']:9.3f}   {whole}")
    for step, bare in COMPARED.items():
        kind = "first" if step == "encode" else "again"
        ratio = case.own[kind].get(step, 0.0) / beside[bare]
        print(f"{f'  its {bare}':28}{beside[bare]:9.3f}   our {step} {ratio:.2f} x")
    for kind, name in (("first", "first run"), ("again", "hint re-run")):
        transport, total = transport_seconds(case, kind), case.total[kind]
        copy, socket = beside[f"copy {kind}"], beside[f"socket {kind}"]
        print(f"{f'plain copy, {name}':28}{copy:9.4f}   transport {transport / copy:.2f} x, total {total / copy:.0f} x")
        print(f"{f'bare ipc socket, {name}':28}{socket:9.4f}   transport {transport / socket:.2f} x")


def transport_seconds(case: Case, kind: str) -> float:
    return case.steps[kind].get(UP, 0.0) + case.steps[kind].get(DOWN, 0.0)


def speed_rows(
    cases: list[Case],
    client: dict[str, float] | None,
    huge: dict[str, float] | None,
    rest: dict[str, int] | None,
    start: dict[str, float] | None,
    rate: dict[str, float],
    device: str,
) -> list[Row]:
    """The promises of the product, with what was measured of each."""
    smallest = min(cases, key=lambda case: case.megapixels)
    on_cpu = device == "cpu"
    rows = [_predict_row(case, on_cpu) for case in cases]
    rows.append(Row("first colorize of 1 MP, service warm, through the client", 0.5, "s", client["first"]))
    inside = _find(cases, 1.0)
    rows.append(Row("  the same inside GIMP, whole procedure", 0.5, "s", inside and inside.procedure["first"]))
    for bits in (8, 16):
        rows += _large_rows(_find(cases, 24.0, bits), bits)
    rows.append(Row("service's peak memory above idle, 100 MP, client", 1500, "MB", huge and huge["above_idle"] / MEGA))
    rows.append(Row("service's memory (RSS) a minute after 24 MP, client", 450, "MB", rest and rest["rss"] / MEGA))
    rows.append(Row("first colours of 1 MP, service not running, client", 3.0, "s", start and start["service"]))
    rows.append(Row("  a bare process: torch, weights, one pass", 3.0, "s", start and start["bare"]))
    what = f"plug-in start to first request, {smallest.megapixels:g} MP"
    rows.append(Row(what, 0.4, "s", smallest.first_message))
    share = 100 * rate["command"] / rate["network"]
    rows.append(Row("gimp-colorize on a folder, of the bare network's rate", 80, "%", share, at_least=True))
    return rows


def _predict_row(case: Case, on_cpu: bool) -> Row:
    what = f"hint re-run in the service, {case.megapixels:g} MP of {case.bits} bits"
    return Row(what, 50 if on_cpu else 10, "ms", 1000 * case.daemon_predict)


def _large_rows(case: Case | None, bits: int) -> list[Row]:
    name = f"24 MP of {bits} bits"
    return [
        Row(f"hint re-run inside GIMP, whole procedure, {name}", 1.5, "s", case and case.procedure["again"]),
        Row("  of which transport", 0.15, "s", case and transport_seconds(case, "again")),
        Row(f"service's peak memory above idle, {name}", 700, "MB", case and case.above_idle / MEGA),
    ]


def _find(cases: list[Case], megapixels: float, bits: int = 8) -> Case | None:
    return next((case for case in cases if (case.megapixels, case.bits) == (megapixels, bits)), None)


def print_live(live: Live) -> None:
    """How the colours of a photograph followed the brush."""
    small = live.megapixels < SMALL
    rows = [
        Row("first change on the canvas after a stroke's first dab", 100 if small else 150, "ms", 1000 * live.first),
        Row("complete, after its last dab", 400, "ms", 1000 * live.complete),
        Row("idle, of a processor", 2, "%", 100 * live.idle),
    ]
    print(f"== Live Colours, {live.megapixels:g} megapixels ==")
    for row in rows:
        reach = f"<= {row.reach:g}"
        print(f"{row.what:62}{reach:>10}{row.measured:>9.3g} {row.unit:2}   {row.verdict}")
    early, late = (1000 * wait for wait in live.dabs)
    print(
        f"20 dabs, 4 a second: a change after {early:.0f} ms in the first ten, {late:.0f} ms in the last ten,", end=" "
    )
    print(f"all of it {1000 * live.last:.0f} ms after the last")
    ways = ", ".join(f"{name} {1000 * seconds:.0f}" for name, seconds in live.steps.items())
    print(f"on the way to a first change, ms: {ways}\n", flush=True)


def print_speed(rows: list[Row], rate: dict[str, float], peak_was_reset: bool) -> None:
    print(f"{'what':62}{'reach':>10}{'measured':>12}   verdict")
    for row in rows:
        measured = (
            "-" if row.measured is None else f"{row.measured:.3g}" if row.measured < 100 else f"{row.measured:.0f}"
        )
        reach = f"{'>=' if row.at_least else '<='} {row.reach:g}"
        print(f"{row.what:62}{reach:>10}{measured:>9} {row.unit:2}   {row.verdict}")
    print_folder(rate)
    if not peak_was_reset:
        print("memory: the peak could not be reset here, so it includes the service's start")


def print_folder(rate: dict[str, float]) -> None:
    """What the command did in a second, and the bare network."""
    print(
        f"folder: {rate['pictures']} JPEG files of 1 MP, {rate['command']:.2f} pictures/s from the command's start to"
        f" its end ({rate['running']:.2f}/s once it runs), bare network {rate['network']:.2f}/s"
    )
