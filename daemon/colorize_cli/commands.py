"""What `gimp-colorize` does, once its words are understood."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from colorize_client import Options, connect, stop_service
from colorize_client.errors import ColorizeError, ServiceNotRunning

from colorize_cli import CLIENT_NAME
from colorize_cli.plan import Job, LinkedFolder
from colorize_cli.problems import PictureError
from colorize_cli.terminal import STARTING, OutputGone, complain, say, say_json


def colorize(
    jobs: Sequence[Job],
    problems: Sequence[PictureError],
    options: Options,
    hints: Path | None,
    kept: Path | None,
    overwrite: bool,
    as_json: bool,
) -> int:
    """Colour the pictures; returns how many failed, with `problems` found before. Raises KeyboardInterrupt."""
    from colorize_cli.pipeline import Settings, colorize_all  # libvips loads here: `status` need not wait for it
    from colorize_cli.report import Report

    failed = sum(not isinstance(problem, LinkedFolder) for problem in problems)
    report = Report(len(jobs) + failed, as_json, options.model)
    try:
        for problem in problems:
            if isinstance(problem, LinkedFolder):
                report.passed_over(problem)
            else:
                report.failed(problem.path, problem.reason, "picture")
        colorize_all(list(jobs), Settings(options, hints, kept, overwrite), report)
        report.summarize()
    except PictureError as problem:
        report.refused(problem)
    except ColorizeError:  # reported with the picture that met it
        report.unreached()
    except OutputGone as gone:
        if not gone.unread:
            report.unreached()
        raise
    finally:
        report.close()
    return report.failures


def status(as_json: bool) -> int:
    """Say what the service does and holds; exit status 1 where it does not run."""
    try:
        with connect(client=CLIENT_NAME, launch=False) as service:
            found = service.status()
    except ServiceNotRunning:
        _tell({"state": "stopped"}, ["The service does not run; it starts when it is needed."], as_json)
        return 1
    _tell(found, _table(found), as_json)
    return 0


def models(as_json: bool) -> int:
    """List the installed models, starting the service if need be."""
    with connect(client=CLIENT_NAME, launch=True, on_start=lambda: _say_starting(as_json)) as service:
        found = service.models()
    _tell(found, [line for model in found for line in _lines_of(model)], as_json)
    return 0


def _say_starting(as_json: bool) -> None:
    if not as_json and sys.stderr.isatty():
        complain(STARTING)


def stop(as_json: bool) -> int:
    """End the service, by force where it does not answer; a service that does not run is no failure."""
    say("The service has stopped." if stop_service(client=CLIENT_NAME) else "The service does not run.")
    return 0


COMMANDS: dict[str, Callable[[bool], int]] = {"status": status, "models": models, "stop": stop}


# Names in the service's answers whose values are bytes.
_SIZES = ("rss", "peak_rss", "cache_bytes", "cache_budget", "bytes_in", "bytes_out")


def _tell(value: Any, lines: Sequence[str], as_json: bool) -> None:
    if as_json:
        say_json(value)
        return
    for line in lines:
        say(line)


def _lines_of(model: dict[str, Any]) -> list[str]:
    mark = "  (default)" if model.get("default") else ""
    return [f"{model.get('name', '')}{mark}", *_table(_without(model, "name", "default", "card"), "  ")]


def _without(values: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}


def _table(values: dict[str, Any], indent: str = "") -> list[str]:
    """One line per value, maps indented below their name."""
    lines = []
    for name, value in values.items():
        label = f"{indent}{name.replace('_', ' ')}"
        if isinstance(value, dict):
            lines += [f"{label}:", *_table(value, indent + "  ")]
        else:
            lines.append(f"{label}: {_size(value) if name in _SIZES else _text(value)}")
    return lines


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_text(item) for item in value) or "none"
    if isinstance(value, dict):
        return " ".join(f"{name} {_text(item)}" for name, item in value.items())
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def _size(count: Any) -> str:
    return f"{count / 1e6:.1f} MB" if isinstance(count, int | float) else _text(count)
