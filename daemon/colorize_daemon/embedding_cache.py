"""The embeddings of the pictures seen last, within a byte budget, so that a changed stroke costs one light pass."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the engine imports torch, which takes seconds
    from colorize_engine.colorizer import Embedding


class EmbeddingCache:
    """Least recently used embeddings, by (picture key, weights' sha256). The newest stays even where it is alone
    larger than the budget: the user works on one picture at a time. Used by the worker thread only; `nbytes` and
    `len` may be read by others.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.nbytes = 0
        self._entries: OrderedDict[tuple[str, str], Embedding] = OrderedDict()

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
        """Keeps the picture used last alone, without what a next stroke on it can find again."""
        while len(self._entries) > 1:
            self._drop_oldest()
        for embedding in self._entries.values():
            embedding.rest()

    def clear(self) -> None:
        self._entries.clear()
        self.nbytes = 0

    def _drop_oldest(self) -> None:
        _, embedding = self._entries.popitem(last=False)
        self.nbytes -= embedding.nbytes

    def __len__(self) -> int:
        return len(self._entries)
