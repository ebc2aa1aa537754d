"""Where pictures come from: what `--data` takes.

- a folder: every picture file in it and below, and every .tar in it
- a webdataset-style shard (.tar): every picture file in it
- a picture file
- a list (.txt): a path or an http(s) URL a line, then, if it is known, white space and the file's SHA-256; relative
  paths start at the list's folder, lines that start with # are comments
- cifar10:FOLDER[:train|test], or the folder cifar-10-batches-py itself: see `labelled.Cifar10`
- mosaic:FILE.tar:SIDE[:LABELS.npz]: see `labelled.Mosaic`
"""

from pathlib import Path

from colorize_training.data.files import Folder, PictureFile, Shard
from colorize_training.data.labelled import BATCHES, Cifar10, Mosaic
from colorize_training.data.lists import TextList
from colorize_training.data.picture_source import Source


def source_of(text: str | Path) -> Source:
    """The source that `--data` names. Raises FileNotFoundError, ValueError."""
    kind, colon, _ = str(text).partition(":")
    if colon and kind in ("cifar10", "mosaic"):
        return (Cifar10 if kind == "cifar10" else Mosaic).of(str(text))
    path = Path(text)
    if path.is_dir():
        return Cifar10(path) if path.name == BATCHES else Folder(path)
    kinds = {".tar": Shard, ".txt": TextList}
    return kinds.get(path.suffix.lower(), PictureFile)(path)
