"""The embeddings of the pictures seen last, within a byte budget, so that a changed stroke costs one light pass."""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the engine imports torch, which takes seconds
    from colorize_engine.colorizer import Embedding


HOLD_SECONDS = 300.0  # that a picture in a session stays for after each sign of life of its client
MOST_HELD = 2  # pictures


class EmbeddingCache:
    """Least recently used embeddings, by (picture key, weights' sha256). The newest stays even where it is alone
    larger than the budget: the user works on one picture at a time. Pictures that are held go last, those in use stay.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.nbytes = 0
        self._entries: OrderedDict[tuple[str, str], Embedding] = OrderedDict()
        self._held: dict[tuple[str, str], float] = {}  # until when
        self._used: Counter[tuple[str, str]] = Counter()  # by how many
        self._lock = RLock()

    @contextmanager
    def using(self, picture: str, weights: str) -> Iterator[None]:
        """In the block the picture stays, if it is there or comes."""
        with self._lock:
            self._used[picture, weights] += 1
        try:
            yield
        finally:
            with self._lock:
                self._used -= Counter([(picture, weights)])

    def hold(self, picture: str, weights: str) -> None:
        """Keeps a picture for `HOLD_SECONDS` while there is any other to drop; of those held, the last `MOST_HELD`."""
        with self._lock:
            self._held.pop((picture, weights), None)
            self._held[picture, weights] = time.monotonic() + HOLD_SECONDS
            for key in list(self._held)[:-MOST_HELD]:
                del self._held[key]

    def _is_held(self, key: tuple[str, str]) -> bool:
        return self._held.get(key, 0.0) > time.monotonic()

    def get(self, picture: str, weights: str) -> Embedding | None:
        with self._lock:
            entry = self._entries.get((picture, weights))
            if entry is not None:
                self._entries.move_to_end((picture, weights))
            return entry

    def put(self, picture: str, weights: str, embedding: Embedding) -> None:
        with self._lock:
            self._entries[picture, weights] = embedding
            self.nbytes += embedding.nbytes
            while self.nbytes > self.budget and (oldest := self._oldest(list(self._entries)[:-1])):
                self._drop(oldest)

    def make_room(self, nbytes: int) -> None:
        """Drops old embeddings until so many bytes fit, before they are taken and not after."""
        with self._lock:
            while self.nbytes + nbytes > self.budget and (oldest := self._oldest(list(self._entries))):
                self._drop(oldest)

    def rest(self) -> None:
        """Keeps the picture used last and those held, without what a next stroke on them can find again."""
        with self._lock:
            for key in list(self._entries)[:-1]:
                if not self._is_held(key):
                    self._drop(key)
            for embedding in self._entries.values():
                embedding.rest()

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()
            self.nbytes = 0

    def _oldest(self, keys: list[tuple[str, str]]) -> tuple[str, str] | None:
        """Which of these to drop: the newest last; before it, those held; never one in use."""
        newest = next(reversed(self._entries), None)
        unused = [key for key in keys if not self._used[key]]
        return min(unused, key=lambda key: (key == newest, self._is_held(key)), default=None)

    def _drop(self, key: tuple[str, str]) -> None:
        self.nbytes -= self._entries.pop(key).nbytes

    def __len__(self) -> int:
        return len(self._entries)
