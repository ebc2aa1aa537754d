"""Pictures that a text file names by their paths and URLs."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PIL import Image

from colorize_training.data.decoding import Unusable, decode, read_bytes
from colorize_training.data.download import check_sha256, download_all
from colorize_training.data.picture_source import Picture, Source

CHECKSUM = re.compile(r"\s+([0-9a-fA-F]{64})$")


@dataclass(frozen=True)
class Line:
    """A line of a list."""

    place: str
    sha256: str | None

    @classmethod
    def of(cls, text: str) -> "Line":
        """Of a line without white space around it."""
        place, *sha256 = CHECKSUM.split(text)
        return cls(place, sha256[0].lower() if sha256 else None)

    @property
    def remote(self) -> bool:
        return self.place.lower().startswith(("http://", "https://"))


class TextList(Source):
    """A text file of paths and URLs."""

    def lines(self) -> list[Line]:
        try:
            text = self.path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise ValueError(f"{self.path} is not a UTF-8 text: {error}") from error
        stripped = (line.strip() for line in text.splitlines())
        return list(dict.fromkeys(Line.of(line) for line in stripped if line and not line.startswith("#")))

    def files(self) -> list[Path]:
        return [self.path, *(self.path.parent / line.place for line in self.lines() if "://" not in line.place)]

    def pictures(self, downloads: Path) -> Iterator[Picture]:
        lines = self.lines()
        fetched = download_all({line.place: line.sha256 for line in lines if line.remote}, downloads)
        for line in lines:
            yield Picture(line.place, partial(self._load, line, fetched))

    def _load(self, line: Line, fetched: dict[str, Path | Unusable]) -> Image.Image:
        if line.remote:
            found = fetched[line.place]
            if isinstance(found, Unusable):
                raise found
            return decode(read_bytes(found))
        if "://" in line.place:
            raise Unusable("only http and https are fetched")
        data = read_bytes(self.path.parent / line.place)
        check_sha256(hashlib.sha256(data).hexdigest(), line.sha256)
        return decode(data)
