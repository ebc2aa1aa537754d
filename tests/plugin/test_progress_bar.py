"""The progress bar: it only moves forward, in steps worth a message to GIMP, whatever the service says."""

from __future__ import annotations

from itertools import pairwise

import pytest
from colorize_client import messages
from progress_bar import STAGES, STEP, WAITING, Progress


class Bar:
    """GIMP's progress bar: what it shows."""

    def __init__(self, requests: int = 1) -> None:
        self.texts: list[str] = []
        self.positions: list[float] = []
        self.progress = Progress(self.texts.append, self.positions.append, requests)


def test_every_stage_of_the_protocol_has_its_part() -> None:
    assert tuple(STAGES) == messages.STAGES
    parts = [(begin, end) for _text, begin, end in STAGES.values()]
    assert all(end == begin for (_, end), (begin, _) in pairwise(parts))
    assert parts[-1][1] < 1.0, "the step that changes the image comes after it"


def test_whole_run() -> None:
    bar = Bar()
    for stage in STAGES:
        for step in range(2001):
            bar.progress(stage, step / 2000)
    assert bar.texts == [text for text, _begin, _end in STAGES.values()]
    assert 80 <= len(bar.positions) <= 100
    assert all(later - earlier > 0.99 * STEP for earlier, later in pairwise(bar.positions))
    assert 0.98 - STEP < bar.positions[-1] <= 0.98


def test_never_goes_back() -> None:
    """A service that is asked again for a picture it has forgotten begins with an earlier stage."""
    bar = Bar()
    for stage, fraction in (("lift", 0.5), ("queued", 0.0), ("encode", 0.5), ("lift", 0.4), ("lift", 0.6)):
        bar.progress(stage, fraction)
    assert bar.positions == sorted(bar.positions)
    assert len(bar.positions) == 2


def test_two_requests_share_the_bar() -> None:
    bar = Bar(requests=2)
    for stage, fraction in (("encode", 1.0), ("lift", 1.0)):
        bar.progress(stage, fraction)
    bar.progress.next_request()
    for stage, fraction in (("queued", 0.0), ("hints", 1.0), ("polish", 1.0), ("lift", 1.0)):
        bar.progress(stage, fraction)
    assert bar.positions == pytest.approx([0.3, 0.49, 0.525, 0.825, 0.99])


def test_stage_of_a_newer_service() -> None:
    bar = Bar()
    for stage, fraction in (("encode", 1.0), ("polish", 0.0), ("polish", 1.0), ("lift", 0.5)):
        bar.progress(stage, fraction)
    assert bar.texts == [STAGES["encode"][0], WAITING, STAGES["lift"][0]]
    assert bar.positions == [0.6, 0.815]
