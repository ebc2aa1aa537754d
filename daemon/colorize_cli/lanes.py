"""Work on several things at once, each in a thread; what came of them is told in order, in the caller's thread."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from queue import SimpleQueue
from time import monotonic
from typing import Generic, TypeVar

END_SECONDS = 2.0  # that a stop waits for what is broken off; for what is not, until its end
LOOK_SECONDS = 0.05

Item = TypeVar("Item")
Value = TypeVar("Value")


@dataclass(frozen=True)
class Outcome(Generic[Item, Value]):
    """What came of an item: a value, or the error that was raised instead."""

    item: Item
    value: Value | None = None
    error: Exception | None = None


class Lanes(Generic[Item, Value]):
    """Threads that take one item after the other, the first one first, until there are no more or `stop` is called.

    Args:
        items: all there is to do.
        worker: entered in each thread; gives what makes a value of an item there.
        count: of threads, at most.
    """

    def __init__(
        self, items: Sequence[Item], worker: Callable[[], AbstractContextManager[Callable[[Item], Value]]], count: int
    ) -> None:
        self._items, self._worker = items, worker
        self._numbers = iter(range(len(items)))
        self._events: SimpleQueue[Callable[[], None] | tuple[int, Outcome[Item, Value]]] = SimpleQueue()
        self._ended: dict[int, Outcome[Item, Value]] = {}
        self._lock = threading.Lock()
        self._whole = 0  # pieces of work under way that are not broken off
        self.stopping = False
        # Daemons: what is broken off is not waited for when the program ends.
        self._threads = [
            threading.Thread(target=self._work, name=f"picture-{n}", daemon=True) for n in range(min(count, len(items)))
        ]

    def tell(self, event: Callable[[], None]) -> None:
        """Has the caller's thread do something; for the workers."""
        self._events.put(event)

    @contextmanager
    def whole(self) -> Iterator[None]:
        """The block is not broken off by `stop`; for the workers."""
        with self._lock:
            self._whole += 1
        try:
            yield
        finally:
            with self._lock:
                self._whole -= 1

    def outcomes(self) -> Iterator[Outcome[Item, Value]]:
        """Starts the threads; each outcome comes once it is there, and those of all items before it came."""
        for thread in self._threads:
            thread.start()
        for number in range(len(self._items)):
            while number not in self._ended:
                self._take()
            yield self._ended.pop(number)

    def _take(self) -> None:
        event = self._events.get()
        if isinstance(event, tuple):
            self._ended[event[0]] = event[1]
        elif not self.stopping:
            event()

    def stop(self) -> list[Outcome[Item, Value]]:
        """Begins no further item, waits for what is not broken off, and gives the outcomes that did not come yet."""
        self.stopping = True
        deadline = monotonic() + END_SECONDS
        while alive := [thread for thread in self._threads if thread.is_alive()]:
            alive[0].join(LOOK_SECONDS)
            if not self._whole and monotonic() > deadline:
                break
        while not self._events.empty():
            self._take()
        return [self._ended[number] for number in sorted(self._ended)]

    def _work(self) -> None:
        with self._worker() as work:
            while (number := self._next()) is not None:
                self._events.put((number, _outcome(work, self._items[number])))

    def _next(self) -> int | None:
        with self._lock:
            return None if self.stopping else next(self._numbers, None)


def _outcome(work: Callable[[Item], Value], item: Item) -> Outcome[Item, Value]:
    try:
        return Outcome(item, work(item))
    except Exception as error:  # noqa: BLE001  the caller's thread is told of it
        return Outcome(item, error=error)
