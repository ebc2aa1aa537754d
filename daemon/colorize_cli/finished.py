"""Results of an earlier run: which are there already, whole, and which files only have their names."""

from os.path import exists, isdir  # of pathlib's own, some raise where a folder may not be searched
from pathlib import Path

import pyvips

from colorize_cli.opening import open_picture
from colorize_cli.plan import Job
from colorize_cli.problems import PictureError

_ENDS = {"png": b"IEND\xaeB`\x82", "jpeg": b"\xff\xd9"}  # of a TIFF, the directory at its end has been read by then
_ADVICE = "add --overwrite to replace it, or name another folder with -o"


def is_finished(job: Job) -> bool:
    """Whether the picture's result is there already.

    Raises PictureError where something else has its name: a file of another kind, size or without colour, or one that
    was cut short. A result that the user named (-o NAME) is never taken for one of an earlier run.
    """
    if job.named or not exists(job.target) or isdir(job.target):
        return False
    reason = _objection(job)
    if reason:
        raise PictureError(job.source, f"{job.target} exists already and {reason}; {_ADVICE}")
    return True


def _objection(job: Job) -> str:
    """Why the file that has the result's name cannot be the result; "" where it can."""
    photograph = open_picture(job.source, patient=True).image
    try:
        opened = open_picture(job.target, patient=True)
    except PictureError:
        return "is no picture"
    if opened.form != job.format:
        return f"is no {job.format.upper()} file"
    found = opened.image
    if _sides(found) != _sides(photograph):
        return (
            f"has {found.width} x {found.height} pixels, not the photograph's {photograph.width} x {photograph.height}"
        )
    if opened.channels < 3:
        return "has no colour"
    return "" if _ends(job.target, _ENDS.get(job.format, b"")) else "is cut short"


def _sides(image: pyvips.Image) -> list[int]:
    """Width and height, whichever way the picture lies: another format is written upright."""
    return sorted((image.width, image.height))


def _ends(path: Path, end: bytes) -> bool:
    with path.open("rb") as file:
        file.seek(-min(len(end), path.stat().st_size), 2)
        return file.read() == end
