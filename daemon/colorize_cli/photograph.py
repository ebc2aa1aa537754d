"""A photograph in memory: what the service needs of it, and all that its result must carry over."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from colorize_cli import metadata
from colorize_cli.metadata import Metadata

# EXIF orientation: from the order of pixels in the file to upright. Each is a view, so what is written through the
# upright view of an array lands in the file's order.
_UPRIGHT = {
    1: lambda plane: plane,
    2: lambda plane: plane[:, ::-1],
    3: lambda plane: plane[::-1, ::-1],
    4: lambda plane: plane[::-1],
    5: lambda plane: plane.swapaxes(0, 1),
    6: lambda plane: plane.swapaxes(0, 1)[:, ::-1],
    7: lambda plane: plane.swapaxes(0, 1)[::-1, ::-1],
    8: lambda plane: plane.swapaxes(0, 1)[::-1],
}
ORIENTATIONS = frozenset(_UPRIGHT)


def upright(plane: np.ndarray, orientation: int) -> np.ndarray:
    """View of a plane (h, w, ...) in the file's order of pixels, turned upright."""
    return _UPRIGHT[orientation](plane)


@dataclass(frozen=True)
class Photograph:
    """One photograph, decoded.

    Attributes:
        path: its file.
        form: the file's format: png, tiff, jpeg, webp or heif.
        gray: sRGB-encoded luminance, upright, (H, W) uint8 or uint16, contiguous.
        alpha: upright, (H, W) uint8 or uint16 as `depth` says; None where the picture is opaque.
        extras: channels that are neither colour nor transparency, as a scanner's infrared; each as `alpha`.
        depth: bits per channel of the file, 8 or 16; 32-bit files count as 16.
        profile: the RGB profile that the result carries, None where the file names none.
        converts: whether the result's values are in `profile` rather than sRGB.
        orientation: EXIF's 1..8, from the file's order of pixels to upright.
        resolution: pixels per millimetre, horizontal and vertical; None where the file names none.
        metadata: blocks to carry over.
        notes: sentences on what the result cannot keep.
    """

    path: Path
    form: str
    gray: np.ndarray = field(repr=False)
    alpha: np.ndarray | None = field(repr=False)
    extras: tuple[np.ndarray, ...] = field(repr=False)
    depth: int
    profile: bytes | None = field(repr=False)
    converts: bool
    orientation: int
    resolution: tuple[float, float] | None
    metadata: Metadata = field(repr=False)
    notes: tuple[str, ...]

    @property
    def width(self) -> int:
        return self.gray.shape[1]

    @property
    def height(self) -> int:
        return self.gray.shape[0]


class Result:
    """The coloured pixels of a photograph, on their way to a file of format `form`.

    The order of pixels and the orientation tag are the file's own where the format stays, since then every program
    that showed the original upright shows the result so. Where the format changes, the pixels are turned upright:
    many programs heed the tag in JPEG only.

    Attributes:
        pixels: sRGB-encoded (h, w, 3) in the order of the new file; 16 bits also where a profile conversion follows.
        upright: view of `pixels`, (H, W, 3), to be filled.
    """

    def __init__(self, photograph: Photograph, form: str) -> None:
        self.photograph = photograph
        self.form = form
        self.depth = 8 if form == "jpeg" else photograph.depth
        self.orientation = photograph.orientation if photograph.form == form else 1
        deep = photograph.converts or self.depth == 16
        shape = (photograph.height, photograph.width, 3)
        self.pixels, self.upright = _turned(shape, np.dtype(np.uint16 if deep else np.uint8), self.orientation)

    def beside_colour(self) -> list[np.ndarray]:
        """Alpha where not opaque, and in TIFF the other channels; each (h, w) in the order of the new file."""
        alpha = [] if self.photograph.alpha is None else [self.photograph.alpha]
        extras = self.photograph.extras if self.form == "tiff" else ()
        return [self._in_order(plane) for plane in (*alpha, *extras)]

    def _in_order(self, view: np.ndarray) -> np.ndarray:
        plane, turned = _turned(view.shape, view.dtype, self.orientation)
        turned[:] = view
        return plane

    def metadata(self) -> Metadata:
        """The photograph's metadata, true of this file's pixels."""
        height, width = self.pixels.shape[:2]
        moved = self.orientation != self.photograph.orientation or self.photograph.form == "heif"  # upright as decoded
        return metadata.for_result(self.photograph.metadata, self.orientation, moved, width, height)

    def notes(self) -> list[str]:
        """Sentences on what this format cannot hold."""
        photograph, notes = self.photograph, []
        if self.depth < photograph.depth:
            notes.append(f"JPEG holds 8 bits per channel, of the file's {photograph.depth}")
        if photograph.extras and self.form != "tiff":
            notes.append(
                f"{self.form.upper()} cannot hold the file's channels beside colour (as a scanner's infrared); "
                "use --format tiff to keep them"
            )
        return notes + list(metadata.losses(photograph.metadata, self.form))


def _turned(shape: tuple[int, ...], dtype: np.dtype, orientation: int) -> tuple[np.ndarray, np.ndarray]:
    """An empty array in a file's order, and its upright view of this shape."""
    height, width, *rest = shape
    plane = np.empty((width, height, *rest) if orientation >= 5 else shape, dtype)
    return plane, upright(plane, orientation)
