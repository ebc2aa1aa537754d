"""One picture file to RGB, or the reason why not.

Refused are files that cannot be decoded to their end, pictures without colour (also those that store gray as RGB),
CMYK (its colours depend on the press), more than 8 bits a channel (Pillow cuts them off without a word), and pictures
too large or too small. EXIF orientation is applied, of an animation the first frame is taken, and what is transparent
shows white.
"""

import io
import re
import struct
import warnings
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from colorize_engine.colour.conversions import srgb_to_lab
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from colorize_training.data.crops import planes
from colorize_training.writing import write_text

MAX_BYTES = 256 * 2**20  # of a file
MAX_PIXELS = 80_000_000  # checked before anything is decoded
MIN_SIDE = 16  # pixels
GRAY_CHROMA = 2.0  # mean C* (CIELAB) below which a picture counts as gray; a slight cast of a scan stays below
SHOWN = 10  # skipped files that are named on the terminal

GRAY_MODES = {"1", "L", "LA", "La"}
DEEP_MODES = {"I", "F"}  # and all that start with "I;"

# What Pillow's decoders were seen to raise on damaged files, far beyond its own UnidentifiedImageError (an OSError).
UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    SyntaxError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


# Of an object, in what Python and Pillow say: another one at every call.
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


class Unusable(ValueError):
    """A picture that cannot be learned from; the text says why."""


@dataclass
class Skipped:
    """Files that were left out, with the reason of each."""

    reasons: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [f"{len(self.reasons)} files skipped"]
        lines += [f"  {name}: {why}" for name, why in list(self.reasons.items())[:SHOWN]]
        if len(self.reasons) > SHOWN:
            lines.append(f"  and {len(self.reasons) - SHOWN} more")
        return "\n".join(lines)

    def note(self, name: str, error: BaseException) -> None:
        self.reasons[name] = ADDRESS.sub("", " ".join(str(error).split())) or type(error).__name__

    def write(self, path: Path) -> None:
        """One line for each file: name, tab, reason."""
        lines = ["file\treason", *(f"{' '.join(name.split())}\t{why}" for name, why in self.reasons.items())]
        write_text(path, "\n".join(lines) + "\n")


def read_bytes(path: Path) -> bytes:
    """A file's content. Raises Unusable where it is too large, OSError."""
    check_bytes(path.stat().st_size)
    return path.read_bytes()


def check_bytes(count: int) -> None:
    if count > MAX_BYTES:
        raise Unusable(f"{count} bytes are more than {MAX_BYTES // 2**20} MiB")


def decode(data: bytes) -> Image.Image:
    """A picture file as RGB, upright. Raises Unusable, or one of UNREADABLE."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Pillow: odd metadata, and sizes, which are checked here
        try:
            image = Image.open(io.BytesIO(data))
        except UnidentifiedImageError as error:
            raise Unusable("cannot identify what kind of picture this is") from error
        _check(image)
        image.load()
        return _on_white(ImageOps.exif_transpose(image))


def _check(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise Unusable(f"{width}x{height} is larger than {MAX_PIXELS // 10**6} megapixels")
    if min(width, height) < MIN_SIDE:
        raise Unusable(f"{width}x{height} is too small, {MIN_SIDE} pixels is the least")
    if image.mode in GRAY_MODES:
        raise Unusable(f"mode {image.mode} has no colour to learn from")
    if image.mode == "CMYK":
        raise Unusable("CMYK, whose colours depend on the press")
    if image.mode in DEEP_MODES or image.mode.startswith("I;") or _stored_deep(image):
        raise Unusable("more than 8 bits a channel")


def _stored_deep(image: Image.Image) -> bool:
    """Whether the file has 16-bit channels that Pillow would give as 8: its raw mode, as "RGB;16B", tells."""
    return isinstance(image, ImageFile.ImageFile) and any(";16" in str(tile[3]) for tile in image.tile)


def _on_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")


def check_colour(photograph: np.ndarray) -> None:
    """Raises Unusable where the mean chroma of RGB (H, W, 3) uint8 is below GRAY_CHROMA.

    Measured on a small copy: compression leaves coloured noise in gray pictures, which cancels there.
    """
    small = Image.fromarray(photograph)
    small.thumbnail((64, 64), Image.Resampling.BOX)
    chroma = float(srgb_to_lab(planes(np.asarray(small)))[1:].norm(dim=0).mean())
    if chroma < GRAY_CHROMA:
        raise Unusable(f"gray: its mean chroma is {chroma:.1f}, {GRAY_CHROMA:g} is the least")
