"""What the user or the script reads while pictures are coloured: lines, a progress bar, or JSON."""

import sys
from pathlib import Path
from typing import Any

from colorize_client.printable import printable
from tqdm import tqdm

from colorize_cli import terminal
from colorize_cli.pipeline import Done
from colorize_cli.plan import Job, LinkedFolder
from colorize_cli.problems import PictureError, show


class Report:
    """Listener of the pipeline: results on stdout, complaints and the progress bar on stderr.

    With `as_json` stdout has one JSON object per picture and nothing else; see `gimp-colorize --help`.
    """

    def __init__(self, total: int, as_json: bool, model: str) -> None:
        self.failures = 0
        self.successes = 0
        self._there: list[Job] = []
        self._under_way: dict[Path, float] = {}  # pictures that are being coloured, and how far
        self._total = total
        self._as_json = as_json
        self._model = model
        self._bar = tqdm(
            total=total,
            unit="picture",
            disable=None,  # only where a user watches
            leave=False,
            bar_format="{l_bar}{bar}| {n:.1f}/{total} [{elapsed}<{remaining}]",
        )

    def starting(self) -> None:
        """A service is about to be started, which takes seconds."""
        self._wait_for(terminal.STARTING)

    def progress(self, job: Job, stage: str, fraction: float) -> None:
        if stage == "loading":
            self._wait_for(f"loading the model {printable(self._model)}".rstrip() + "…")
            return
        self._under_way[job.source] = fraction
        self._bar.set_description(printable(job.source.name), refresh=False)
        self._advance()

    def _wait_for(self, what: str) -> None:
        if not self._as_json:
            self._bar.set_description(what)

    def done(self, done: Done) -> None:
        self.successes += 1
        self._ended(done.job.source)
        if self._as_json:
            self._say_json(_fields_of(done))
            return
        self._say(f"{show(done.job.source)} -> {show(done.job.target)}")
        for note in done.notes:
            self._complain(f"{show(done.job.source)}: note: {note}")

    def skipped(self, job: Job) -> None:
        self._there.append(job)
        self._bar.total = self._total - len(self._there)  # nothing was done for it: the time that is left must not know
        self._ended(job.source)
        if self._as_json:
            names = {"input": show(job.source), "output": show(job.target)}
            self._say_json({**names, "status": "skipped", "reason": "the result is there already"})

    def passed_over(self, link: LinkedFolder) -> None:
        if self._as_json:
            self._say_json({"input": show(link.path), "output": None, "status": "skipped", "reason": link.reason})
        self._complain(f"{show(link.path)}: {link.reason}")

    def failed(self, source: Path, reason: str, code: str, detail: str = "") -> None:
        self.failures += 1
        self._ended(source)
        if self._as_json:
            failure = {"input": show(source), "status": "failed", "code": code, "error": reason, "detail": detail}
            self._say_json(failure)
        self._complain(f"{show(source)}: {reason}", *(f"    {line}" for line in detail.split("\n") if line))

    def refused(self, problem: PictureError) -> None:
        """Say once what keeps every picture from being coloured."""
        self._total += 1
        self.failed(problem.path, problem.reason, "picture")
        self.unreached()

    def unreached(self) -> None:
        """Say how many pictures the work did not come to, since the service gave up."""
        left = self._total - self.failures - self.successes - len(self._there)
        if left:
            self._complain(f"stopped; {left} more {'picture was' if left == 1 else 'pictures were'} not tried")

    def summarize(self) -> None:
        """Say what was left as it was, and how to have it made again."""
        if self._total == len(self._there) == 1:
            self._complain(f"{show(self._there[0].target)} is there already; --overwrite makes it again")
        elif self._there:
            failures = f", {self.failures} failed" if self.failures else ""
            counts = f"{self.successes} done{failures}, {len(self._there)} there already"
            self._complain(f"{counts}; --overwrite makes those again")

    def close(self) -> None:
        self._bar.close()

    def _ended(self, source: Path) -> None:
        self._under_way.pop(source, None)
        self._advance()

    def _advance(self) -> None:
        self._bar.n = self.failures + self.successes + sum(self._under_way.values())
        self._bar.refresh()

    def _say(self, line: str) -> None:
        with tqdm.external_write_mode(file=sys.stdout):
            terminal.say(line)

    def _say_json(self, value: dict[str, Any]) -> None:
        with tqdm.external_write_mode(file=sys.stdout):
            terminal.say_json(value)

    def _complain(self, *lines: str) -> None:
        with tqdm.external_write_mode(file=sys.stderr):
            terminal.complain(*lines)


def _fields_of(done: Done) -> dict[str, Any]:
    return {
        "input": show(done.job.source),
        "output": show(done.job.target),
        "status": "done",
        "format": done.job.format,
        "width": done.width,
        "height": done.height,
        "bits": done.depth,
        "seconds": round(done.seconds, 3),
        "model": done.summary.get("model"),
        "device": done.summary.get("device"),
        "hint_cells": done.summary.get("hint_cells"),
        "timings": done.summary.get("timings"),
        "notes": list(done.notes),
    }
