"""Several pictures at once: their order, what an interruption leaves, and one that ends the service."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from colorize_cli.lanes import Lanes
from colorize_cli.retry import Turns
from PIL import Image

PATIENCE = 60.0  # seconds; only what hangs takes so long


def lanes_of(items: list[int], work: Callable[[int], int], count: int = 3) -> Lanes[int, int]:
    @contextmanager
    def worker() -> Iterator[Callable[[int], int]]:
        yield work

    return Lanes(items, worker, count)


def test_items_are_worked_on_together_and_told_in_their_order() -> None:
    together, second = threading.Barrier(3), threading.Event()

    def work(item: int) -> int:
        if item < 3:
            together.wait(PATIENCE)
        if item == 0:
            assert second.wait(PATIENCE)  # the first one ends after the one behind it
        if item == 1:
            second.set()
        return 10 * item

    outcomes = list(lanes_of([0, 1, 2, 3, 4], work).outcomes())
    assert [(outcome.item, outcome.value) for outcome in outcomes] == [(n, 10 * n) for n in range(5)]


def test_an_error_is_one_items_own() -> None:
    first, second = lanes_of([0, 1], lambda item: 1 // item).outcomes()
    assert isinstance(first.error, ZeroDivisionError)
    assert (second.value, second.error) == (1, None)


def test_what_workers_tell_is_heard_in_the_callers_thread() -> None:
    heard: list[threading.Thread] = []
    lanes = lanes_of([0], lambda item: lanes.tell(lambda: heard.append(threading.current_thread())) or item)
    assert [outcome.value for outcome in lanes.outcomes()] == [0]
    assert heard == [threading.current_thread()]


def test_a_stop_begins_nothing_and_waits_for_what_is_whole() -> None:
    begun, writing, go_on = list[int](), threading.Event(), threading.Event()

    def work(item: int) -> int:
        begun.append(item)
        if item == 1:
            with lanes.whole():
                writing.set()
                assert go_on.wait(PATIENCE)
        return item

    lanes = lanes_of([0, 1, 2, 3], work, count=1)
    outcomes = lanes.outcomes()
    assert next(outcomes).value == 0
    assert writing.wait(PATIENCE)
    threading.Timer(0.2, go_on.set).start()
    assert [outcome.value for outcome in lanes.stop()] == [1]
    assert begun == [0, 1]


def test_a_turn_alone_has_nobody_beside_it() -> None:
    turns, beside, asked = Turns(), threading.Event(), list[str]()

    def share() -> None:
        with turns.shared():
            asked.append("shared")

    with turns.shared(), turns.shared():
        alone = threading.Thread(target=lambda: _alone(turns, beside, asked))
        alone.start()
        assert not beside.wait(0.1)
    assert beside.wait(PATIENCE)
    sharing = threading.Thread(target=share)
    sharing.start()
    asked.append("others wait")
    beside.clear()
    for thread in (alone, sharing):
        thread.join(PATIENCE)
    assert asked == ["others wait", "alone", "shared"]


def _alone(turns: Turns, beside: threading.Event, asked: list[str]) -> None:
    with turns.alone():
        beside.set()
        while beside.is_set():
            continue
        asked.append("alone")


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_picture_that_ends_the_service_does_not_fail_those_beside_it(
    tmp_path: Path, run: Callable, position: int
) -> None:
    for number in range(3):
        width = 35 if number == position else 64  # the stand-in's deadly width
        Image.fromarray(np.full((48, width), 90, np.uint8)).save(tmp_path / f"{number}.png")
    done = run(tmp_path, "--json")
    assert done.status == 1
    statuses = {Path(item["input"]).stem: item["status"] for item in done.objects}
    assert statuses[str(position)] == "failed"
    assert all(statuses[str(number)] == "done" for number in range(position))
    for number in range(3):
        written = (tmp_path / f"{number}-colorized.png").exists()
        assert written == (statuses.get(str(number)) == "done")  # nothing that was made is left unsaid
