"""The embeddings of the pictures seen last, within a byte budget, so that a changed stroke costs one light pass."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the engine imports torch, which takes seconds
    from colorize_engine.colorizer import Embedding


HOLD_SECONDS = 300.0  # that a picture in a session stays for after each sign of life of its client
MOST_HELD = 2  # pictures


class EmbeddingCache:
    """Least recently used embeddings, by (picture key, weights' sha256). The newest stays even where it is alone
    larger than the budget: the user works on one picture at a time. Pictures that are held go last. Used by the worker
    thread only; `nbytes` and `len` may be read by others.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.nbytes = 0
        self._entries: OrderedDict[tuple[str, str], Embedding] = OrderedDict()
        self._held: dict[tuple[str, str], float] = {}  # until when

    def hold(self, picture: str, weights: str) -> None:
        """Keeps a picture for `HOLD_SECONDS` while there is any other to drop; of those held, the last `MOST_HELD`."""
        self._held.pop((picture, weights), None)
        self._held[picture, weights] = time.monotonic() + HOLD_SECONDS
        for key in list(self._held)[:-MOST_HELD]:
            del self._held[key]

    def _is_held(self, key: tuple[str, str]) -> bool:
        return self._held.get(key, 0.0) > time.monotonic()

    def get(self, picture: str, weights: str) -> Embedding | None:
        entry = self._entries.get((picture, weights))
        if entry is not None:
            self._entries.move_to_end((picture, weights))
        return entry

    def put(self, picture: str, weights: str, embedding: Embedding) -> None:
        self._entries[picture, weights] = embedding
        self.nbytes += embedding.nbytes
        while self.nbytes > self.budget and len(self._entries) > 1:
            self._drop_oldest()

    def make_room(self, nbytes: int) -> None:
        """Drops old embeddings until so many bytes fit, before they are taken and not after."""
        while self._entries and self.nbytes + nbytes > self.budget:
            self._drop_oldest()

    def rest(self) -> None:
        """Keeps the picture used last and those held, without what a next stroke on them can find again."""
        for key in list(self._entries)[:-1]:
            if not self._is_held(key):
                self._drop(key)
        for embedding in self._entries.values():
            embedding.rest()

    def clear(self) -> None:
        self._entries.clear()
        self.nbytes = 0

    def _drop_oldest(self) -> None:
        """The newest last; before it, those held."""
        older = list(self._entries)[:-1]
        free = [key for key in older if not self._is_held(key)]
        self._drop((free or older or list(self._entries))[0])

    def _drop(self, key: tuple[str, str]) -> None:
        self.nbytes -= self._entries.pop(key).nbytes

    def __len__(self) -> int:
        return len(self._entries)
