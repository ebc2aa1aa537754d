"""Writes coloured photographs: at the file's own depth, in its own profile, with its metadata, whole or not at all."""

import errno
import os
import secrets
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os.path import exists, isdir  # of pathlib's own, some raise where a folder may not be searched
from pathlib import Path
from typing import Any

import numpy as np
import pyvips

from colorize_cli import metadata, pngchunks, profiles, tifftags
from colorize_cli.photograph import Photograph, Result
from colorize_cli.problems import PictureError, sentence_for
from colorize_cli.tifftags import BrokenTags

_EXTRA = 0  # TIFF's word for a channel that is not said to be something
_STRAIGHT_ALPHA = 2
_SOI = b"\xff\xd8"  # the mark of JPEG
_MM_PER_INCH = 25.4
_RESOLUTION_TAGS = frozenset((tifftags.X_RESOLUTION, tifftags.Y_RESOLUTION, tifftags.RESOLUTION_UNIT))
_SAVERS: dict[str, tuple[str, dict[str, Any]]] = {
    "png": ("pngsave_target", {"compression": 6}),
    "tiff": ("tiffsave_target", {"compression": "deflate", "predictor": "horizontal"}),
    "jpeg": ("jpegsave_target", {"Q": 95, "subsample_mode": "off", "optimize_coding": True}),
}
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)


def check_target(source: Path, target: Path, overwrite: bool) -> None:
    """PictureError where the result could not be written, found before any work is done."""
    if isdir(target):
        raise PictureError(source, f"its result would be {target}, which is a folder; choose another name with -o")
    if exists(target) and not overwrite:
        raise PictureError(source, f"{target} exists already; add --overwrite to replace it")
    folder = next(parent for parent in target.absolute().parents if exists(parent))
    if not isdir(folder):
        raise PictureError(source, f"the result cannot be written: {folder} is a file, not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        reason = f"the result cannot be written: {folder} may not be changed; name another folder with -o"
        raise PictureError(source, reason)


def check_fits(photograph: Photograph, form: str) -> None:
    """PictureError where the chosen format would lose a part of the picture."""
    if form == "jpeg" and photograph.alpha is not None:
        raise PictureError(
            photograph.path, "it is partly transparent, which JPEG cannot hold; use --format png or tiff"
        )


def write_result(result: Result, target: Path, overwrite: bool) -> None:
    """Write the coloured photograph to `target`, in its profile and with its metadata.

    Raises PictureError; then nothing is left behind, and a target that was there is as it was.
    """
    saver, options = _SAVERS[result.form]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _replacing(target, overwrite) as descriptor:
            if result.form == "tiff":
                getattr(_assemble(result), saver)(pyvips.Target.new_to_descriptor(descriptor), keep="icc", **options)
                _finish_tiff(result, descriptor)
            else:
                _Rewriter(descriptor, _head_of(result)).save(_assemble(result), saver, options)
    except OSError as error:
        raise PictureError(target, sentence_for(error)) from error
    except pyvips.Error as error:
        raise PictureError(target, _sentence(error)) from error
    except BrokenTags as error:
        reason = f"the photograph's EXIF data is damaged ({error}) and does not fit into TIFF; use another --format"
        raise PictureError(target, reason) from error


@contextmanager
def _replacing(target: Path, overwrite: bool) -> Iterator[int]:
    """A descriptor for a new file that takes the place of `target` when all went well, and vanishes otherwise."""
    temporary = target.with_name(f".colorize-{secrets.token_hex(8)}.part")
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        try:
            yield descriptor
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if exists(target) and not overwrite:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _assemble(result: Result) -> pyvips.Image:
    """The file's image, not yet computed: pixels at its depth and in its profile, alpha, metadata."""
    photograph = result.photograph
    image = _image(result.pixels)
    if photograph.converts and photograph.profile is not None:
        image = profiles.from_srgb(image, photograph.profile, result.depth)
    elif photograph.profile is not None:
        image = profiles.with_profile(image, photograph.profile)
    beside = result.beside_colour()
    if beside:
        image = image.bandjoin([_image(plane) for plane in beside])
    if photograph.resolution is not None:
        image = image.copy(xres=photograph.resolution[0], yres=photograph.resolution[1])
    image = image.copy()
    image.set_type(pyvips.GValue.gint_type, "orientation", result.orientation)
    return image


def _finish_tiff(result: Result, descriptor: int) -> None:
    found, photograph = result.metadata(), result.photograph
    kinds = (_STRAIGHT_ALPHA,) * (photograph.alpha is not None) + (_EXTRA,) * len(photograph.extras)
    shorts = {tifftags.EXTRA_SAMPLES: kinds} if kinds else {}
    dropped = frozenset() if photograph.resolution is not None else _RESOLUTION_TAGS
    if result.orientation == 1:  # what holds without the tag
        dropped |= {tifftags.ORIENTATION}
    with open(os.dup(descriptor), "r+b") as file:
        tifftags.rewrite_tiff(file, found.exif, metadata.tiff_tags(found), shorts, dropped)


_Head = Callable[[bytes], bytes | None]  # the beginning of a file as it is to be; None where more of it is needed


def _head_of(result: Result) -> _Head:
    """How the beginning that libvips writes is changed: its metadata added, no resolution where there was none."""
    found, resolution = result.metadata(), result.photograph.resolution

    def jpeg(head: bytes) -> bytes | None:
        if len(head) < len(_SOI):
            return None
        return _SOI + _jfif(resolution) + metadata.jpeg_segments(found) + head[len(_SOI) :]

    def png(head: bytes) -> bytes | None:
        start = pngchunks.pixels_at(head)
        if start is None:
            return None
        before = head[:start] if resolution else pngchunks.without(head[:start], b"pHYs")
        return before + metadata.png_chunks(found) + head[start:]

    return jpeg if result.form == "jpeg" else png


def _jfif(resolution: tuple[float, float] | None) -> bytes:
    """The segment that JPEG begins with (JFIF 1.02), which libvips leaves to metadata that it is not to write."""
    unit, across, down = 0, 1, 1
    if resolution is not None:
        unit, (across, down) = 1, (min(65535, max(1, round(value * _MM_PER_INCH))) for value in resolution)
    return struct.pack(">2sH5sHBHHBB", b"\xff\xe0", 16, b"JFIF\0", 0x102, unit, across, down, 0, 0)


class _Rewriter:
    """Puts a file on the disk as libvips writes it, but for its beginning."""

    def __init__(self, descriptor: int, head: _Head) -> None:
        self._descriptor = descriptor
        self._head = head
        self._begun: bytes | None = b""  # what has come so far, None once the beginning is written
        self._error: OSError | None = None

    def save(self, image: pyvips.Image, saver: str, options: dict[str, Any]) -> None:
        """Raises OSError where the disk takes no more, pyvips.Error for all else."""
        target = pyvips.TargetCustom()
        target.on_write(self._take)
        try:
            getattr(image, saver)(target, keep="icc", **options)
        except pyvips.Error:
            if self._error is not None:
                raise self._error from None
            raise
        if self._begun is not None:
            raise pyvips.Error("the file that was written has no beginning")

    def _take(self, data: bytes) -> int:
        try:
            self._write(bytes(data))
        except OSError as error:  # libvips asks for a number only, and calls from C
            self._error = error
            return -1
        return len(data)

    def _write(self, data: bytes) -> None:
        if self._begun is not None:
            self._begun += data
            head = self._head(self._begun)
            if head is None:
                return
            data, self._begun = head, None
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]


def _image(pixels: np.ndarray) -> pyvips.Image:
    """libvips' view of pixels (h, w) or (h, w, 3), not copied."""
    height, width, bands = (*pixels.shape, 1)[:3]
    deep = pixels.dtype == np.uint16
    image = pyvips.Image.new_from_memory(pixels.data, width, height, bands, "ushort" if deep else "uchar")
    if bands == 1:
        return image.copy(interpretation="grey16" if deep else "b-w")
    return image.copy(interpretation="rgb16" if deep else "srgb")


def _sentence(error: pyvips.Error) -> str:
    """The disk's refusal, which libvips reports as text only; or what libvips says."""
    for number in _DISK_ERRORS:
        if os.strerror(number) in error.detail:
            return sentence_for(OSError(number, os.strerror(number)))
    return f"the result cannot be written ({error.detail.strip().splitlines()[0]}); try another --format"
