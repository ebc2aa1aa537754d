"""Writes coloured photographs: at the file's own depth, in its own profile, with its metadata, whole or not at all."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from os.path import exists, isdir  # of pathlib's own, some raise where a folder may not be searched
from pathlib import Path
from typing import Any

import numpy as np
import pyvips

from colorize_cli import metadata, profiles
from colorize_cli.photograph import Photograph, Result
from colorize_cli.problems import PictureError, sentence_for
from colorize_cli.tifftags import BrokenTags

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
            getattr(_assemble(result), saver)(pyvips.Target.new_to_descriptor(descriptor), **options)
            if result.form == "tiff":
                metadata.finish_tiff(descriptor, result.photograph.metadata)
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
    alpha = result.alpha()
    if alpha is not None:
        image = image.bandjoin(_image(alpha))
    image = image.copy(xres=photograph.resolution[0], yres=photograph.resolution[1])
    return metadata.set_fields(image, photograph.metadata, result.orientation)


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
