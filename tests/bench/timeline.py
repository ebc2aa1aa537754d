"""When each step began and ended, on the one clock that all processes of a machine share. Standard library only.

Spans of two processes, the plug-in's and the service's, are laid over each other: the plug-in's thread is always in
exactly one step, and while it waits for the service the time belongs to the step that the service is in.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

Span = tuple[str, float, float]  # name, begin, end in seconds of the monotonic clock

WAITING = "waiting for the service"  # a span of the plug-in; its time is divided among the service's steps
UP, DOWN = "transport, up", "transport, bands down"


class Recorder:
    """Collects spans; may be used by several threads."""

    def __init__(self) -> None:
        self._spans: list[Span] = []

    @contextmanager
    def span(self, name: str) -> Iterator[None]:
        begin = time.monotonic()
        try:
            yield
        finally:
            self.add(name, begin, time.monotonic())

    def add(self, name: str, begin: float, end: float) -> None:
        self._spans.append((name, begin, end))

    def timed(self, name: str, function: Callable) -> Callable:
        """The function, each call of it a span."""

        def measured(*arguments: object, **options: object) -> object:
            with self.span(name):
                return function(*arguments, **options)

        return measured

    def take(self) -> list[Span]:
        """What was collected since the last time."""
        spans, self._spans = self._spans, []
        return spans


def divide(run: Span, plug_in: Iterable[Span], service: Iterable[Span], turning_point: str) -> dict[str, float]:
    """Seconds of each step on the way from the begin to the end of a run; together they are the run's length.

    Args:
        run: the whole; time in none of the plug-in's spans keeps its name.
        plug_in: spans of the thread that asks, nested ones within their parents; the innermost counts.
        service: spans of the thread that works, likewise; they count where the plug-in is WAITING.
        turning_point: the service's step before which time in no step of either is UP, and after which DOWN.
    """
    _, begin, end = run
    asking, working = [run, *_within(plug_in, run)], list(_within(service, run))
    turned = min((start for name, start, _ in working if name == turning_point), default=end)
    seconds: dict[str, float] = defaultdict(float)
    edges = sorted({edge for _, *both in (*asking, *working) for edge in both})
    for left, right in zip(edges, edges[1:], strict=False):
        name = _innermost(asking, left, right)
        if name == WAITING:
            name = _innermost(working, left, right) or (UP if left < turned else DOWN)
        seconds[name] += right - left
    return dict(seconds)


def own_seconds(run: Span, spans: Iterable[Span]) -> dict[str, float]:
    """Seconds of each step of one process within a run, whether or not another process worked at the same time."""
    inside = list(_within(spans, run))
    seconds: dict[str, float] = defaultdict(float)
    edges = sorted({edge for _, *both in inside for edge in both})
    for left, right in zip(edges, edges[1:], strict=False):
        name = _innermost(inside, left, right)
        if name:
            seconds[name] += right - left
    return dict(seconds)


def _within(spans: Iterable[Span], run: Span) -> Iterator[Span]:
    """Spans that touch the run, cut to it."""
    for name, begin, end in spans:
        if begin < run[2] and end > run[1]:
            yield name, max(begin, run[1]), min(end, run[2])


def _innermost(spans: Iterable[Span], left: float, right: float) -> str:
    """The shortest span around left..right, "" where there is none."""
    around = [(end - begin, name) for name, begin, end in spans if begin <= left and end >= right]
    return min(around)[1] if around else ""
