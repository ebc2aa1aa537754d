"""Decoded photographs, their parts, and whether two sets share one."""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from colorize_training.data.things import MASK_STRIDE
from colorize_training.writing import write_text


def mapped(path: Path) -> np.ndarray:
    """The bytes of a file, which is read where they are looked at; they cannot be written."""
    return np.memmap(path, dtype=np.uint8, mode="r").view(np.ndarray)


@dataclass(frozen=True)
class PackedMasks:
    """Masks of the things in each photograph, in one memory-mapped array.

    bits: all of them, eight in a byte (bytes,); index: rows of (offset in bytes, count, height, width).
    """

    bits: np.ndarray
    index: np.ndarray

    def __getitem__(self, number: int) -> np.ndarray:
        """The masks (M, h, w) bool of one photograph."""
        offset, *shape = (int(v) for v in self.index[number])
        size = math.prod(shape)
        bits = np.unpackbits(self.bits[offset : offset + -(-size // 8)], count=size)
        return bits.reshape(shape).view(bool)


@dataclass(frozen=True)
class PackedRegions:
    """Maps of the regions that were found in each photograph (see `data.regions`), in one memory-mapped array.

    values: all of them (bytes,); index: rows of (offset, maps, height, width).
    """

    values: np.ndarray
    index: np.ndarray

    def __getitem__(self, number: int) -> np.ndarray:
        """The maps (M, h, w) uint8 of one photograph."""
        offset, *shape = (int(v) for v in self.index[number])
        return self.values[offset : offset + math.prod(shape)].reshape(shape)


@dataclass(frozen=True)
class PackedPhotographs:
    """Decoded photographs in one memory-mapped array.

    pixels: all of them (bytes,); index: rows of (offset, height, width); labels: a whole number each, (N,), where every
    source gave them; masks: of things that were drawn, where any were; fingerprints: a digest of each one's size and
    pixels; digest: of them all, with labels and masks; regions: where they were asked for.
    """

    pixels: np.ndarray
    index: np.ndarray
    names: list[str]
    digest: str
    fingerprints: list[str]
    labels: np.ndarray | None = None
    masks: PackedMasks | None = None
    regions: PackedRegions | None = None

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, number: int) -> np.ndarray:
        """RGB (H, W, 3) uint8, a view of the file."""
        offset, height, width = (int(v) for v in self.index[number])
        return self.pixels[offset : offset + height * width * 3].reshape(height, width, 3)

    def things(self, number: int) -> np.ndarray:
        """Masks (M, H // 2, W // 2) bool of the things drawn in this photograph, largest first; mostly none."""
        if self.masks is None:
            _, height, width = self.index[number]
            return np.zeros((0, height // MASK_STRIDE, width // MASK_STRIDE), bool)
        return self.masks[number]

    def with_things(self) -> np.ndarray:
        """The numbers of the photographs in which things are drawn."""
        return np.flatnonzero(self.masks.index[:, 1]) if self.masks else np.zeros(0, np.int64)

    def subset(self, numbers: Sequence[int] | np.ndarray) -> "PackedPhotographs":
        """The photographs of these numbers, in this order; its digest follows from them and from the whole's."""
        chosen = np.asarray(numbers, dtype=np.int64)
        digest = hashlib.blake2b(self.digest.encode() + chosen.astype("<i8").tobytes(), digest_size=16)
        return PackedPhotographs(
            self.pixels,
            self.index[chosen],
            [self.names[n] for n in chosen],
            digest.hexdigest(),
            [self.fingerprints[n] for n in chosen],
            None if self.labels is None else self.labels[chosen],
            None if self.masks is None else PackedMasks(self.masks.bits, self.masks.index[chosen]),
            None if self.regions is None else PackedRegions(self.regions.values, self.regions.index[chosen]),
        )


def fingerprint(photograph: np.ndarray) -> str:
    """Digest of the size and pixels of RGB (H, W, 3) uint8."""
    digest = hashlib.blake2b(repr(photograph.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(photograph))
    return digest.hexdigest()


def split(
    photographs: PackedPhotographs, shares: tuple[int, int, int], seed: int
) -> tuple[PackedPhotographs, PackedPhotographs, PackedPhotographs]:
    """Training, validation and test set: random by `seed`, disjoint, together the whole, each in the old order.

    shares: parts of their sum, as 75, 15, 10. Equal photographs stay together. Raises ValueError where a share above 0
    would get no photograph.
    """
    if min(shares) < 0 or sum(shares) == 0:
        raise ValueError(f"the shares {shares} of a split must not be negative, and not all zero")
    _, groups = np.unique(photographs.fingerprints, return_inverse=True)
    count = int(groups.max(initial=-1)) + 1
    ranks = np.random.default_rng([seed, count]).permutation(count)[groups]
    borders = [round(count * part / sum(shares)) for part in np.cumsum([0, *shares])]
    parts = [np.flatnonzero((ranks >= a) & (ranks < b)) for a, b in pairwise(borders)]
    if any(share and not len(part) for share, part in zip(shares, parts, strict=True)):
        raise ValueError(
            f"{len(photographs)} photographs are too few to be split into {'/'.join(map(str, shares))}; "
            "give more, or a validation set of their own"
        )
    training, validation, test = (photographs.subset(part) for part in parts)
    return training, validation, test


def write_split(parts: tuple[PackedPhotographs, PackedPhotographs, PackedPhotographs], folder: Path) -> None:
    """`split.json`: which photographs are in which part."""
    names = dict(zip(("training", "validation", "test"), (part.names for part in parts), strict=True))
    write_text(folder / "split.json", json.dumps(names, indent=1) + "\n")


def manifest(photographs: PackedPhotographs) -> frozenset[str]:
    """The fingerprints of a set: two sets share a photograph where these meet."""
    return frozenset(photographs.fingerprints)


def overlap(trained: PackedPhotographs, judged: PackedPhotographs) -> list[str]:
    """Names in `judged` of photographs that are also in `trained`, pixel for pixel."""
    known = manifest(trained)
    return [name for name, own in zip(judged.names, judged.fingerprints, strict=True) if own in known]
