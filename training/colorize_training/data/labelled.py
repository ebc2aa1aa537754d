"""Sets with a label for each picture: CIFAR-10 as torchvision reads it, and mosaics of small pictures."""

import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from colorize_training.data.decoding import UNREADABLE, decode
from colorize_training.data.files import member_bytes
from colorize_training.data.picture_source import SUFFIXES, Picture, Source

BATCHES = "cifar-10-batches-py"
PARTS = ("train", "test")


class Cifar10(Source):
    """The 50,000 training or 10,000 test pictures of CIFAR-10, 32x32, from the folder that torchvision unpacks.

    `cifar10:FOLDER[:train|test]`, train where nothing is said; FOLDER is cifar-10-batches-py or what holds it. The
    files are pickles, which could run anything: torchvision compares every one with the MD5 it knows before it reads
    the first, so only the published ones are unpickled. Nothing is downloaded.
    """

    def __init__(self, folder: Path, part: str = "train") -> None:
        super().__init__(folder if folder.name == BATCHES else folder / BATCHES)
        self.part = part

    @classmethod
    def of(cls, text: str) -> "Cifar10":
        rest = text.partition(":")[2]
        folder, _, part = rest.rpartition(":")
        return cls(Path(folder), part) if part in PARTS else cls(Path(rest))

    def files(self) -> list[Path]:
        return sorted(path for path in self.path.iterdir() if path.is_file())

    def pictures(self, downloads: Path) -> Iterator[Picture]:
        from torchvision.datasets import CIFAR10  # takes a second, and most sources need none of it

        try:
            found = CIFAR10(self.path.parent, train=self.part == "train", download=False)
        except RuntimeError as error:
            raise ValueError(f"{self.path} is not the whole, unchanged CIFAR-10 for Python ({error})") from error
        for number, (pixels, label) in enumerate(zip(found.data, found.targets, strict=True)):
            yield Picture(f"cifar10/{self.part}/{number:05d}", partial(Image.fromarray, pixels), int(label))


class Mosaic(Source):
    """Small square pictures of SIDE pixels, tiled without gaps in larger ones within a tar.

    `mosaic:FILE.tar:SIDE[:LABELS.npz]`. The numbers of the pictures run row by row through each mosaic, then go on in
    the next, in the order of the mosaics' names. Labels come from LABELS.npz, or from FILE.npz where it is there:
    from its array "labels", else from its only array of whole numbers; what it has beyond the last picture is not
    used. Any mosaic that cannot be read is an error, since the numbers of all that follow would be wrong.
    """

    def __init__(self, path: Path, side: int, labels: Path | None) -> None:
        super().__init__(path)
        if labels is not None and not labels.exists():
            raise FileNotFoundError(f"{labels}: no such file; it was named for the labels of {path}")
        beside = path.with_suffix(".npz")
        self.side, self.labels = side, labels or (beside if beside.exists() else None)

    @classmethod
    def of(cls, text: str) -> "Mosaic":
        rest, labels = text.partition(":")[2], None
        if rest.endswith(".npz"):
            rest, _, labels = rest.rpartition(":")
        path, _, side = rest.rpartition(":")
        if not path or not side.isdecimal() or int(side) == 0:
            raise ValueError(f"{text}: write mosaic:FILE.tar:SIDE or mosaic:FILE.tar:SIDE:LABELS.npz, SIDE in pixels")
        return cls(Path(path), int(side), Path(labels) if labels else None)

    def files(self) -> list[Path]:
        return [self.path, self.labels] if self.labels else [self.path]

    def pictures(self, downloads: Path) -> Iterator[Picture]:
        labels = read_labels(self.labels) if self.labels else None
        for number, tile in enumerate(self._tiles()):
            if labels is not None and number >= len(labels):
                raise ValueError(f"{self.labels} has {len(labels)} labels, fewer than {self.path} has pictures")
            label = None if labels is None else int(labels[number])
            yield Picture(f"{self.path}/{number:06d}", partial(Image.fromarray, tile), label)

    def _tiles(self) -> Iterator[np.ndarray]:
        with tarfile.open(self.path, "r:") as shard:
            members = [m for m in shard if m.isfile() and Path(m.name).suffix.lower() in SUFFIXES]
            for member in sorted(members, key=lambda m: m.name):
                try:
                    mosaic = np.asarray(decode(member_bytes(shard, member)))
                except (tarfile.TarError, *UNREADABLE) as error:
                    raise ValueError(f"{self.path}/{member.name}: {error}") from error
                yield from cut(mosaic, self.side)


def cut(mosaic: np.ndarray, side: int) -> np.ndarray:
    """Tiles (N, side, side, 3) of a mosaic (H, W, 3), row by row. Raises ValueError where they do not fill it."""
    rows, columns = (length // side for length in mosaic.shape[:2])
    if mosaic.shape[:2] != (rows * side, columns * side):
        raise ValueError(f"a mosaic of {mosaic.shape[1]}x{mosaic.shape[0]} pixels has no whole tiles of {side}")
    return mosaic.reshape(rows, side, columns, side, 3).swapaxes(1, 2).reshape(-1, side, side, 3)


def read_labels(path: Path) -> np.ndarray:
    """Labels (N,), whole numbers, of an .npz. Raises ValueError where it is not clear which array they are."""
    with np.load(path, allow_pickle=False) as arrays:
        whole = [name for name in arrays.files if arrays[name].ndim == 1 and arrays[name].dtype.kind in "iu"]
        name = "labels" if "labels" in whole else whole[0] if len(whole) == 1 else None
        if name is None:
            raise ValueError(f"{path} needs an array of whole numbers called labels; it has {', '.join(arrays.files)}")
        return arrays[name]
