"""Photographs decoded once into one memory-mapped file.

A small machine cannot decode and train at once, so `pack` writes every photograph as raw RGB beside an index; the loop
then only crops. What cannot be used is skipped with its reason, counted, and listed in skipped.tsv beside the pack.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from colorize_training.data.data_option import source_of
from colorize_training.data.decoding import UNREADABLE, Skipped, Unusable, check_colour
from colorize_training.data.photographs import PackedMasks, PackedPhotographs, fingerprint, mapped
from colorize_training.data.picture_source import Picture, Source
from colorize_training.data.regions import with_regions
from colorize_training.data.things import MASK_STRIDE, masks_of
from colorize_training.writing import explained, locked, make_folder, replacing, write_text

FORMAT = 3  # of a pack, and of the rules by which pictures are chosen: raise it when either changes


class Photograph(NamedTuple):
    """A decoded photograph: RGB (H, W, 3) uint8, and masks (M, H // 2, W // 2) bool of the things drawn in it."""

    name: str
    pixels: np.ndarray
    fingerprint: str
    label: int | None
    masks: np.ndarray


def read_photographs(
    sources: Sequence[str | Path], skipped: Skipped, downloads: Path, short_side: int
) -> Iterator[Photograph]:
    """Every usable photograph of `sources` (see data.data_option), in their order; all others go to `skipped`."""
    return _usable([source_of(source) for source in sources], skipped, downloads, short_side)


def _usable(sources: list[Source], skipped: Skipped, downloads: Path, short_side: int) -> Iterator[Photograph]:
    known: dict[str, str] = {}
    for picture in (p for source in sources for p in source.pictures(downloads)):
        try:
            photograph = _photograph(picture, short_side, skipped)
            if picture.label is None:
                _check(photograph, known)
        except UNREADABLE as error:
            skipped.note(picture.name, error)
        else:
            yield photograph


def _photograph(picture: Picture, short_side: int, skipped: Skipped) -> Photograph:
    image = picture.load()
    pixels = np.asarray(_reduce(image, short_side))
    masks = _masks(picture, image.size, pixels, skipped)
    return Photograph(picture.name, pixels, fingerprint(pixels), picture.label, masks)


def _masks(picture: Picture, size: tuple[int, int], pixels: np.ndarray, skipped: Skipped) -> np.ndarray:
    """What the picture's label map shows; one that cannot be used is noted, and the photograph kept."""
    height, width = pixels.shape[:2]
    if picture.label_map is not None:
        try:
            return masks_of(picture.label_map(), size, width, height)
        except UNREADABLE as error:
            skipped.note(f"{picture.name}: label map", error)
    return np.zeros((0, height // MASK_STRIDE, width // MASK_STRIDE), bool)


def _check(photograph: Photograph, known: dict[str, str]) -> None:
    check_colour(photograph.pixels)
    if photograph.fingerprint in known:
        raise Unusable(f"the same picture as {known[photograph.fingerprint]}")
    known[photograph.fingerprint] = photograph.name


def _reduce(image: Image.Image, short_side: int) -> Image.Image:
    scale = short_side / min(image.size)
    if scale >= 1:
        return image
    width, height = (max(1, round(side * scale)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BOX if scale < 0.5 else Image.Resampling.LANCZOS)


def pack(
    sources: Sequence[str | Path], folder: Path, short_side: int = 176, regions: bool = False
) -> PackedPhotographs:
    """Decode `sources` (see data.data_option) into `folder`, or open what an earlier call packed from the same files.

    Photographs whose short side is larger than `short_side` are reduced to it. What a stopped call began the next one
    makes again, with the downloads that there are. Several processes may ask for the same pack: one makes it, the
    others wait. With `regions` they have those of `data.regions`. Raises FileNotFoundError for a source that is not
    there, ValueError where no photograph can be used.
    """
    found = [source_of(source) for source in sources]
    target = folder / _key(sources, found, short_side)
    make_folder(target)
    with locked(target / "lock"):
        if not (target / "index.json").exists():
            _write_pack(found, target, folder / "downloads", short_side)
        photographs = _open(target)
        return with_regions(photographs, target) if regions else photographs


def _key(texts: Sequence[str | Path], sources: list[Source], short_side: int) -> str:
    """What a pack depends on, as the name of its folder."""
    described = [[str(text), [_stamp(path) for path in s.files()]] for text, s in zip(texts, sources, strict=True)]
    return hashlib.blake2b(json.dumps([FORMAT, short_side, described]).encode(), digest_size=8).hexdigest()


def _stamp(path: Path) -> tuple[str, int, int]:
    """Place, size and time of a file; zeros where a list names one that is not there."""
    if not path.exists():
        return str(path.absolute()), 0, 0
    state = path.stat()
    return str(path.resolve()), state.st_size, state.st_mtime_ns


def _open(target: Path) -> PackedPhotographs:
    meta = json.loads((target / "index.json").read_text())
    pixels = mapped(target / "pixels.u8")
    labels = None if meta["labels"] is None else np.array(meta["labels"], dtype=np.int64)
    index, masks = np.array(meta["index"], dtype=np.int64), None
    if meta["masks"] is not None:
        masks = PackedMasks(mapped(target / "masks.u1"), np.array(meta["masks"], dtype=np.int64))
    return PackedPhotographs(pixels, index, meta["names"], meta["digest"], meta["fingerprints"], labels, masks)


def _write_pack(sources: list[Source], target: Path, downloads: Path, short_side: int) -> None:
    skipped, table = Skipped(), _Table()
    with replacing(target / "pixels.u8") as pixels, replacing(target / "masks.u1") as masks:
        with explained(target), open(pixels, "wb") as out, open(masks, "wb") as bits:
            found = _usable(sources, skipped, downloads, short_side)
            for photograph in tqdm(found, desc="decoding photographs", unit="img"):
                table.add(photograph, out, bits)
        skipped.write(target / "skipped.tsv")
        if not table.names:
            raise ValueError(f"no colour photograph in {', '.join(str(s.path) for s in sources)}\n{skipped}")
        if skipped.reasons:
            print(f"{skipped}\n  listed in {target / 'skipped.tsv'}", flush=True)
    write_text(target / "index.json", json.dumps(table.described()))


@dataclass
class _Table:
    """The index of a pack while it is written."""

    index: list[tuple[int, int, int]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    fingerprints: list[str] = field(default_factory=list)
    labels: list[int | None] = field(default_factory=list)
    masks: list[tuple[int, int, int, int]] = field(default_factory=list)
    offset: int = 0
    mask_offset: int = 0
    mask_digest: Any = field(default_factory=lambda: hashlib.blake2b(digest_size=16))

    def add(self, photograph: Photograph, out: BinaryIO, bits: BinaryIO) -> None:
        self.index.append((self.offset, *photograph.pixels.shape[:2]))
        self.names.append(photograph.name)
        self.fingerprints.append(photograph.fingerprint)
        self.labels.append(photograph.label)
        self.offset += out.write(photograph.pixels.tobytes())
        packed, count = np.packbits(photograph.masks), len(photograph.masks)
        self.masks.append((self.mask_offset, count, *photograph.masks.shape[1:]))
        self.mask_digest.update(repr(photograph.masks.shape).encode() + packed.tobytes())
        self.mask_offset += bits.write(packed)

    def described(self) -> dict[str, Any]:
        labels = None if None in self.labels else self.labels
        if labels is None and any(label is not None for label in self.labels):
            print("only some of the photographs have labels: they are packed without", flush=True)
        masks = self.masks if self.mask_offset else None
        contents = [self.fingerprints, labels, *([self.mask_digest.hexdigest()] if masks else [])]
        digest = hashlib.blake2b(json.dumps(contents).encode(), digest_size=16).hexdigest()
        return {
            "index": self.index,
            "names": self.names,
            "fingerprints": self.fingerprints,
            "labels": labels,
            "masks": masks,
            "digest": digest,
        }
