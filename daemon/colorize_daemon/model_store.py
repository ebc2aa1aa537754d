"""The installed weights, loaded when first used and dropped when nobody has used them for a while."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from colorize_client.errors import NoWeights, UnknownModel

if TYPE_CHECKING:  # the engine imports torch, which takes seconds
    from colorize_engine.colorizer import Colorizer
    from colorize_engine.weights import WeightsRecord


class ModelStore:
    """Finds weights by name and keeps what was loaded.

    Args:
        records: lists the installed weights; called for every request, so that new files are seen.
        load: makes a colorizer of one of them.
        release: called when all were dropped: gives back the memory that the engine keeps for the next ones.
    """

    def __init__(
        self,
        records: Callable[[], Sequence[WeightsRecord]],
        load: Callable[[WeightsRecord], Colorizer],
        release: Callable[[], None] = lambda: None,
    ) -> None:
        self._records, self._load, self._release = records, load, release
        self._loaded: dict[str, tuple[str, Colorizer]] = {}

    def find(self, name: str) -> WeightsRecord:
        """The weights of this name, "" for the default; UnknownModel or NoWeights."""
        records = self._records()
        if not records:
            raise NoWeights
        if not name:
            return next((record for record in records if record.default), records[0])
        for record in records:
            if record.name == name:
                return record
        raise UnknownModel(f"{name!r} is not among {', '.join(record.name for record in records)}")

    def is_loaded(self, record: WeightsRecord) -> bool:
        return record.name in self._loaded and self._loaded[record.name][0] == record.sha256

    def get(self, record: WeightsRecord) -> Colorizer:
        """The colorizer of these weights, loaded again where the file's content changed."""
        if not self.is_loaded(record):
            self._loaded[record.name] = (record.sha256, self._load(record))
        return self._loaded[record.name][1]

    def unload(self) -> None:
        self._loaded.clear()
        gc.collect()
        self._release()

    def loaded(self) -> list[str]:
        return sorted(self._loaded)

    def descriptions(self) -> list[dict[str, Any]]:
        """The installed weights as maps for a reply."""
        return [
            {**describe(record), "loaded": self.is_loaded(record), "card": record.card} for record in self._records()
        ]


def describe(record: WeightsRecord) -> dict[str, Any]:
    """What a client is told about weights."""
    return {
        "name": record.name,
        "title": record.title,
        "recipe": record.recipe,
        "licence": record.licence,
        "sha256": record.sha256,
        "path": str(record.path),
        "default": record.default,
    }
