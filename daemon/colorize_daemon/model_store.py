"""The installed weights, loaded when first used and dropped when nobody has used them for a while."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from colorize_client.errors import BadWeights, NoWeights, UnknownModel
from colorize_engine.weights import visible

if TYPE_CHECKING:  # the engine imports torch, which takes seconds
    from colorize_engine.colorizer import Colorizer
    from colorize_engine.weights import WeightsRecord


log = logging.getLogger(__name__)

MAX_CARDS_CHARS = 40_000  # of all model cards in one reply, whose header is bounded


class ModelStore:
    """Finds weights by name and keeps what was loaded.

    Args:
        records: lists the installed weights, several of a name in the order in which they serve; called for
            every request, so that new files are seen.
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
        self._damaged: dict[Path, int] = {}  # files, with when they changed last
        self._noted: set[str] = set()
        self._loading = Lock()

    def find(self, name: str) -> WeightsRecord:
        """The weights of this name, "" for the default; UnknownModel or NoWeights."""
        records = [own[0] for own in self._by_name()]
        if not records:
            raise NoWeights
        if not name:
            return next((record for record in records if record.default), records[0])
        for record in records:
            if record.name == name:
                return record
        raise UnknownModel(f"{name!r} is not among {', '.join(record.name for record in records)}")

    def _by_name(self) -> list[list[WeightsRecord]]:
        """The installed weights by their names: first the one that serves, and behind it those that do not.

        What was found to be damaged stands behind what was not, as long as its file is the same.
        """
        names: dict[str, list[WeightsRecord]] = {}
        for record in self._records():
            own = names.setdefault(record.name, [])
            if record.path not in [each.path for each in own]:  # it may be given, and lie in a folder
                own.append(record)
        for own in names.values():
            own.sort(key=lambda record: self._damaged.get(record.path) == record.changed)
            for other in own[1:]:
                self._note(f"{other.path} is not used: {own[0].path} has the same name, {own[0].name!r}")
        return list(names.values())

    def _note(self, sentence: str) -> None:
        """To the log, once: files are looked at for every request."""
        if sentence not in self._noted:
            self._noted.add(sentence)
            log.warning("%s", visible(sentence))

    def is_loaded(self, record: WeightsRecord) -> bool:
        return record.name in self._loaded and self._loaded[record.name][0] == record.sha256

    def get(self, record: WeightsRecord) -> Colorizer:
        """The colorizer of these weights, loaded again where the file's content changed."""
        with self._loading:
            if not self.is_loaded(record):
                self._loaded[record.name] = (record.sha256, self._checked(record))
            return self._loaded[record.name][1]

    def _checked(self, record: WeightsRecord) -> Colorizer:
        try:
            return self._load(record)
        except BadWeights:
            self._damaged[record.path] = record.changed
            raise

    def has_other(self, record: WeightsRecord) -> bool:
        """Whether other weights of this name serve now, since these are damaged."""
        return self.find(record.name).path != record.path

    def unload(self) -> None:
        with self._loading:
            self._loaded.clear()
        gc.collect()
        self._release()

    def loaded(self) -> list[str]:
        return sorted(self._loaded)

    def descriptions(self) -> list[dict[str, Any]]:
        """The installed weights as maps for a reply."""
        described, room = [], MAX_CARDS_CHARS
        for first, *others in self._by_name():
            card = first.card if len(first.card) <= room else ""
            room -= len(card)
            described.append({**describe(first), "loaded": self.is_loaded(first), "card": card} | _note_of(others))
        return described


def describe(record: WeightsRecord) -> dict[str, Any]:
    """What a client is told about weights."""
    return {
        "name": record.name,
        "title": record.title,
        "recipe": record.recipe,
        "licence": record.licence,
        "sha256": record.sha256,
        "path": visible(str(record.path)),
        "default": record.default,
    }


def _note_of(others: Sequence[WeightsRecord]) -> dict[str, str]:
    """What is said beside weights whose name others have too."""
    paths = visible(", ".join(str(record.path) for record in others))
    return {"note": f"not used, since they have the same name: {paths}"} if others else {}
