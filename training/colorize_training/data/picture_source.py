"""What a source of pictures is."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, NoReturn

from PIL import Image

from colorize_training.data.decoding import Unusable
from colorize_training.data.things import LabelMap

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif"}


class Picture(NamedTuple):
    """A picture that a source offers; `load` decodes it, or says by its exception why not.

    `load` must be called before the source is asked for the next one. A picture with a label belongs to a set that is
    kept whole: neither gray nor double ones are left out, so that an accuracy can be compared with others'.
    `label_map` decodes the map of the things that people drew in it, where there is one (see `things`).
    """

    name: str
    load: Callable[[], Image.Image]
    label: int | None = None
    label_map: LabelMap | None = None


class Source(ABC):
    """A place with pictures."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise FileNotFoundError(
                f"{path}: no such file or folder; --data takes folders, .tar shards, pictures, .txt lists, "
                "cifar10:FOLDER and mosaic:FILE.tar:SIDE"
            )
        self.path = path

    def files(self) -> list[Path]:
        """All files that the pictures depend on: a change in one of them asks for a new pack."""
        return [self.path]

    @abstractmethod
    def pictures(self, downloads: Path) -> Iterator[Picture]:
        """In an order that follows from names alone; `downloads` keeps what a list's URLs give."""


def unusable(name: str, reason: str) -> Picture:
    """Something that is no picture, so that its name and reason reach the list of what was skipped."""

    def fail() -> NoReturn:
        raise Unusable(reason)

    return Picture(name, fail)
