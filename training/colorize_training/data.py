"""Photographs for training: read from folders and webdataset tar shards, decoded once into one memory-mapped file.

A 2-core machine cannot decode and train at once, so `pack` writes every photograph as raw RGB beside an index; the loop
then only crops. Files that cannot be used are skipped with their reason, and counted.
"""

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from tqdm import tqdm

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"}
MAX_PIXELS = 200_000_000  # a larger picture is refused before it is decoded


@dataclass
class Skipped:
    """Files that were left out, with the reason of each."""

    reasons: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [f"{len(self.reasons)} files skipped"] + [f"  {name}: {why}" for name, why in self.reasons.items()]
        return "\n".join(lines)


@dataclass(frozen=True)
class PackedPhotographs:
    """Decoded photographs in one memory-mapped array; index rows are (offset, height, width)."""

    pixels: np.ndarray
    index: np.ndarray
    names: list[str]
    digest: str

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, number: int) -> np.ndarray:
        """RGB (H, W, 3) uint8, a view of the file."""
        offset, height, width = (int(v) for v in self.index[number])
        return self.pixels[offset : offset + height * width * 3].reshape(height, width, 3)


def read_photographs(sources: list[Path], skipped: Skipped) -> Iterator[tuple[str, Image.Image]]:
    """Every colour photograph of the folders (recursively), tar shards and files in `sources`, in sorted order."""
    for source in sources:
        if not source.exists():
            raise FileNotFoundError(f"{source}: no such file or folder; --data takes folders, .tar shards and pictures")
        for name, open_file in _files(source):
            try:
                yield name, _decode(open_file())
            except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
                skipped.reasons[name] = str(error)


def _files(source: Path):
    if source.is_dir():
        for path in sorted(source.rglob("*")):
            if path.suffix.lower() in SUFFIXES:
                yield str(path), path.read_bytes
            elif path.suffix == ".tar":
                yield from _files(path)
    elif source.suffix == ".tar":
        with tarfile.open(source) as shard:
            for member in shard:
                if member.isfile() and Path(member.name).suffix.lower() in SUFFIXES:
                    yield f"{source.name}/{member.name}", lambda m=member: shard.extractfile(m).read()
    else:
        yield str(source), source.read_bytes


def _decode(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(f"{image.width}x{image.height} is larger than {MAX_PIXELS // 10**6} megapixels")
    if image.mode in ("L", "1", "I", "I;16", "F", "LA"):
        raise ValueError(f"mode {image.mode} has no colour to learn from")
    return image.convert("RGB")


def pack(sources: list[Path], folder: Path, short_side: int = 176) -> PackedPhotographs:
    """Decode `sources` into `folder`, or open what an earlier call packed from the same files.

    Photographs whose short side is larger than `short_side` are reduced to it.
    """
    key = _sources_key(sources, short_side)
    target = folder / key
    if not (target / "index.json").exists():
        _write_pack(sources, target, short_side)
    meta = json.loads((target / "index.json").read_text())
    pixels = np.memmap(target / "pixels.u8", dtype=np.uint8, mode="r")
    return PackedPhotographs(pixels, np.array(meta["index"], dtype=np.int64), meta["names"], meta["digest"])


def _sources_key(sources: list[Path], short_side: int) -> str:
    described = [(str(s.resolve()), s.stat().st_mtime_ns) for s in sources if s.exists()]
    return hashlib.blake2b(json.dumps([described, short_side]).encode(), digest_size=8).hexdigest()


def _write_pack(sources: list[Path], target: Path, short_side: int) -> None:
    target.mkdir(parents=True, exist_ok=True)
    skipped, index, names, offset = Skipped(), [], [], 0
    digest = hashlib.blake2b(digest_size=16)
    with open(target / "pixels.part", "wb") as out:
        for name, image in tqdm(read_photographs(sources, skipped), desc="decoding photographs", unit="img"):
            array = np.asarray(_reduce(image, short_side))
            out.write(array.tobytes())
            digest.update(array.tobytes())
            index.append((offset, *array.shape[:2]))
            names.append(name)
            offset += array.size
    if not index:
        raise ValueError(f"no colour photograph in {', '.join(map(str, sources))}\n{skipped}")
    os.replace(target / "pixels.part", target / "pixels.u8")
    meta = {"index": index, "names": names, "digest": digest.hexdigest(), "skipped": skipped.reasons}
    (target / "index.part").write_text(json.dumps(meta))
    os.replace(target / "index.part", target / "index.json")
    if skipped.reasons:
        print(skipped)


def _reduce(image: Image.Image, short_side: int) -> Image.Image:
    scale = short_side / min(image.size)
    if scale >= 1:
        return image
    size = tuple(max(1, round(side * scale)) for side in image.size)
    return image.resize(size, Image.Resampling.BOX if scale < 0.5 else Image.Resampling.LANCZOS)


def draw_crop(photograph: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """A random square (size, size, 3) of the photograph: aspect jittered by up to 1.25, mirrored half of the time.

    The square covers between two thirds and the whole of the short side; smaller photographs are enlarged.
    """
    height, width = photograph.shape[:2]
    side = min(height, width) * rng.uniform(0.67, 1.0)
    stretch = np.exp(rng.uniform(-0.22, 0.22))
    h, w = min(height, side * min(1.0, stretch)), min(width, side / max(1.0, stretch))
    y, x = rng.uniform(0, height - h), rng.uniform(0, width - w)
    crop = Image.fromarray(photograph).resize((size, size), Image.Resampling.BILINEAR, box=(x, y, x + w, y + h))
    crop = np.asarray(crop)
    return crop[:, ::-1] if rng.random() < 0.5 else crop


def squash(photograph: np.ndarray, size: int) -> np.ndarray:
    """RGB (size, size, 3) uint8, whatever the aspect was."""
    return np.array(Image.fromarray(photograph).resize((size, size), Image.Resampling.BILINEAR))


def planes(photograph: np.ndarray) -> Tensor:
    """RGB (H, W, 3) uint8 -> encoded sRGB planes (3, H, W) in 0..1."""
    return torch.from_numpy(np.ascontiguousarray(photograph.transpose(2, 0, 1))).float() / 255
