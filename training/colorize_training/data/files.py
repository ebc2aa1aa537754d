"""Pictures in folders, tar shards and files of their own, with the label maps that lie beside them."""

import io
import os
import tarfile
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from PIL import Image

from colorize_training.data.decoding import Unusable, check_bytes, decode, read_bytes
from colorize_training.data.picture_source import SUFFIXES, Picture, Source, unusable
from colorize_training.data.things import SUFFIX, is_label_map, open_label_map


class PictureFile(Source):
    def files(self) -> list[Path]:
        return [self.path, *([self.label_map] if self.label_map else [])]

    def pictures(self, downloads: Path) -> Iterator[Picture]:
        beside = partial(_decode_labels, self.label_map) if self.label_map else None
        yield Picture(str(self.path), lambda: decode(read_bytes(self.path)), label_map=beside)

    @property
    def label_map(self) -> Path | None:
        """Where the picture's label map lies, if it has one."""
        beside = self.path.with_suffix(SUFFIX)
        own = beside != self.path and beside.is_file() and is_label_map(beside)
        return beside if own else None


def _decode_labels(path: Path) -> Image.Image:
    return open_label_map(io.BytesIO(read_bytes(path)))


class Shard(Source):
    """A tar; one that ends early gives what comes before. A picture's label map comes just before or after it."""

    def pictures(self, downloads: Path) -> Iterator[Picture]:
        try:
            with tarfile.open(self.path, "r:") as shard:
                for group in _groups(shard):
                    yield from self._of_one_name(shard, group)
                _check_end(shard)
        except (tarfile.TarError, OSError) as error:
            yield unusable(str(self.path), f"the shard cannot be read to its end ({error})")

    def _of_one_name(self, shard: tarfile.TarFile, members: list[tarfile.TarInfo]) -> Iterator[Picture]:
        beside = [m for m in members if m.name.lower().endswith(SUFFIX)] if len(members) > 1 else []
        label_map = next((m for m in beside if is_label_map(io.BytesIO(member_bytes(shard, m)))), None)
        load = partial(_decode_member_labels, shard, label_map) if label_map else None
        for member in members:
            if member is not label_map:
                picture = partial(_decode_member, shard, member)
                yield Picture(f"{self.path}/{member.name}", picture, label_map=load)


def _groups(shard: tarfile.TarFile) -> Iterator[list[tarfile.TarInfo]]:
    """Picture files that follow each other and have one name, but for its suffix. What reading raises comes last."""
    group: list[tarfile.TarInfo] = []
    try:
        for member in shard:
            shard.members = []  # type: ignore[attr-defined]  # unnamed in its stub; it would grow with the shard
            if not member.isfile() or Path(member.name).suffix.lower() not in SUFFIXES:
                continue
            if group and Path(member.name).with_suffix("") != Path(group[0].name).with_suffix(""):
                yield group
                group = []
            group.append(member)
    except (tarfile.TarError, OSError):
        yield group  # what follows it is damaged
        raise
    yield group


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


def _decode_member_labels(shard: tarfile.TarFile, member: tarfile.TarInfo) -> Image.Image:
    check_bytes(member.size)
    return open_label_map(io.BytesIO(member_bytes(shard, member)))


class Folder(Source):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.closed: list[OSError] = []

    def files(self) -> list[Path]:
        self.closed = []
        found = [Path(at) / name for at, _, names in os.walk(self.path, onerror=self.closed.append) for name in names]
        return sorted(p for p in found if (p.suffix.lower() in SUFFIXES or p.suffix == ".tar") and p.is_file())

    def pictures(self, downloads: Path) -> Iterator[Picture]:
        files = self.files()
        names = Counter(path.with_suffix("") for path in files)
        for path in files:
            if path.suffix == SUFFIX and names[path.with_suffix("")] > 1 and is_label_map(path):
                continue  # it belongs to the picture beside it
            yield from (Shard if path.suffix == ".tar" else PictureFile)(path).pictures(downloads)
        for error in self.closed:
            yield unusable(str(error.filename), str(error))
