"""Pictures in folders, tar shards and files of their own."""

import os
import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from PIL import Image

from colorize_training.data.decoding import Unusable, check_bytes, decode, read_bytes
from colorize_training.data.picture_source import SUFFIXES, Picture, Source, unusable


class PictureFile(Source):
    def pictures(self, downloads: Path) -> Iterator[Picture]:
        yield Picture(str(self.path), lambda: decode(read_bytes(self.path)))


class Shard(Source):
    """A tar; one that ends early gives what comes before."""

    def pictures(self, downloads: Path) -> Iterator[Picture]:
        try:
            with tarfile.open(self.path, "r:") as shard:
                for member in shard:
                    shard.members = []  # type: ignore[attr-defined]  # unnamed in its stub; it would grow with the shard
                    if member.isfile() and Path(member.name).suffix.lower() in SUFFIXES:
                        yield Picture(f"{self.path}/{member.name}", partial(_decode_member, shard, member))
                _check_end(shard)
        except (tarfile.TarError, OSError) as error:
            yield unusable(str(self.path), f"the shard cannot be read to its end ({error})")


def _check_end(shard: tarfile.TarFile) -> None:
    """Raises tarfile.ReadError where no end mark follows: tarfile takes a damaged or missing header for the end."""
    shard.fileobj.seek(shard.offset)
    if shard.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError(f"no end mark, nor another header, at byte {shard.offset}")


def member_bytes(shard: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    """What a file within a tar holds. Raises tarfile.TarError, OSError."""
    file = shard.extractfile(member)
    if file is None:
        raise tarfile.ReadError(f"{member.name} is no file")
    return file.read()


def _decode_member(shard: tarfile.TarFile, member: tarfile.TarInfo) -> Image.Image:
    check_bytes(member.size)
    try:
        return decode(member_bytes(shard, member))
    except tarfile.TarError as error:
        raise Unusable(f"the shard ends within it ({error})") from error


class Folder(Source):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.closed: list[OSError] = []

    def files(self) -> list[Path]:
        self.closed = []
        found = [Path(at) / name for at, _, names in os.walk(self.path, onerror=self.closed.append) for name in names]
        return sorted(p for p in found if (p.suffix.lower() in SUFFIXES or p.suffix == ".tar") and p.is_file())

    def pictures(self, downloads: Path) -> Iterator[Picture]:
        for path in self.files():
            yield from (Shard if path.suffix == ".tar" else PictureFile)(path).pictures(downloads)
        for error in self.closed:
            yield unusable(str(error.filename), str(error))
