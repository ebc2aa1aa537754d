"""From what was typed to a list of pictures, each with the file that its result goes to."""

import mimetypes
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os.path import exists, isdir  # of pathlib's own, some raise where a folder may not be searched
from pathlib import Path

from colorize_cli.problems import PictureError, sentence_for

FORMATS = {"png": ".png", "tiff": ".tif", "jpeg": ".jpg"}
FORMAT_OF_SUFFIX = {
    ".png": "png",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".jpe": "jpeg",
    ".jfif": "jpeg",
}
READABLE_SUFFIXES = frozenset(FORMAT_OF_SUFFIX) | {".webp", ".avif", ".heic", ".heif"}
RESULT_MARK = "-colorized"
_LINK = "this link to a folder was not followed; name it too for the pictures in it"


class UsageError(Exception):
    """What was typed contradicts itself; the sentence says how."""


@dataclass(frozen=True)
class Job:
    """One picture: `source` is read, `target` written in `format` (a key of FORMATS).

    Named: the user chose the target's own name, so what lies there may be anything.
    """

    source: Path
    target: Path
    format: str
    named: bool = False


class LinkedFolder(PictureError):
    """A link to a folder below one that was named: it is passed over, and nothing has failed."""


@dataclass(frozen=True)
class _Found:
    source: Path
    folder: Path | None  # the folder that was walked, None for a file named on the command line


def plan(inputs: Sequence[Path], output: Path | None, chosen: str | None) -> tuple[list[Job], list[PictureError]]:
    """Jobs for every picture in `inputs` (files, and folders with all below them), and what cannot be or is not done.

    Raises UsageError where `output` or `chosen` does not fit the inputs.
    """
    found: list[_Found] = []
    problems: list[PictureError] = []
    for item in inputs:
        found.extend(_find(item, output, problems))
    problems = [each for each in problems if not isinstance(each, LinkedFolder) or not _is_below(each.path, inputs)]
    found = _without_results(list({_identity(one.source): one for one in reversed(found)}.values())[::-1])
    if output is not None and _names_a_file(inputs, output):
        jobs = [Job(one.source, output, _format_of_output(output, chosen), named=True) for one in found]
    else:
        jobs = _in_folders(found, output, chosen)
    return _without_clashes(jobs, problems)


def _names_a_file(inputs: Sequence[Path], output: Path) -> bool:
    """Whether `output` is the one result's own name rather than a folder for results."""
    if isdir(output):
        return False
    single = len(inputs) == 1 and not isdir(inputs[0])
    if single and output.suffix.lower() in FORMAT_OF_SUFFIX:
        return True
    if single and (exists(output) or _is_picture_name(output)):
        raise UsageError(f"-o {output}: a result's name ends in .png, .tif or .jpg; choose such a name, or a folder")
    if exists(output) or _is_picture_name(output):
        raise UsageError(f"-o {output}: this is a file's name, but several results need a folder; name a folder")
    if output.is_symlink():
        raise UsageError(f"-o {output}: this link leads nowhere; name another folder")
    return False


def _is_picture_name(output: Path) -> bool:
    """Whether nobody would call a folder so: photo.webp, photo.gif."""
    kind, _ = mimetypes.guess_type(output.name)
    return output.suffix.lower() in READABLE_SUFFIXES or (kind or "").startswith("image/")


def _format_of_output(output: Path, chosen: str | None) -> str:
    implied = FORMAT_OF_SUFFIX[output.suffix.lower()]
    if chosen not in (None, implied):
        raise UsageError(f"-o {output} is a {implied} name, but --format says {chosen}; leave one of them out")
    return implied


def _is_below(link: Path, inputs: Sequence[Path]) -> bool:
    """Whether what a link leads to is walked anyway."""
    return any(_identity(link).is_relative_to(_identity(item)) for item in inputs)


def _without_results(found: list[_Found]) -> list[_Found]:
    """Leave out results of an earlier run that were named together with their photographs, as by `*.png`."""
    folders = {(one.source.parent, name) for one in found for name in (one.source.stem, one.source.name)}
    return [one for one in found if not _has_original(one.source, folders)]


def _has_original(path: Path, originals: set[tuple[Path, str]]) -> bool:
    return path.stem.endswith(RESULT_MARK) and (path.parent, path.stem.removesuffix(RESULT_MARK)) in originals


def _find(item: Path, output: Path | None, problems: list[PictureError]) -> list[_Found]:
    if not isdir(item):
        return [_Found(item, None)]
    met: list[PictureError] = []
    found = [_Found(path, item) for path in _walk(item, output, met)]
    problems.extend(met)
    if not found and all(isinstance(each, LinkedFolder) for each in met):
        reason = "there is no picture in this folder; name a folder with PNG, TIFF or JPEG files"
        problems.append(PictureError(item, reason))
    return found


def _walk(folder: Path, output: Path | None, problems: list[PictureError]) -> Iterator[Path]:
    """Pictures below `folder` in order of name; not hidden files, not earlier results, not what lies in `output`."""

    def refuse(error: OSError) -> None:
        problems.append(PictureError(Path(os.fsdecode(error.filename)), sentence_for(error)))

    results = _identity(output) if output is not None else None
    for here, folders, names in os.walk(folder, onerror=refuse):
        visible = [name for name in sorted(folders) if not name.startswith(".")]
        folders[:] = [name for name in visible if _identity(Path(here, name)) != results]
        problems.extend(
            LinkedFolder(path, _LINK) for path in (Path(here, name) for name in folders) if path.is_symlink()
        )
        yield from (Path(here, name) for name in sorted(names) if _is_candidate(Path(name)))


def _is_candidate(name: Path) -> bool:
    if name.name.startswith(".") or name.stem.endswith(RESULT_MARK):
        return False
    return name.suffix.lower() in READABLE_SUFFIXES


def _in_folders(found: Sequence[_Found], output: Path | None, chosen: str | None) -> list[Job]:
    """Targets beside the sources, or under `output` in the tree of the walked folder.

    Where two sources would share a target (a.png and a.jpg as TIFF), each keeps its own ending in the name.
    """
    short = [_job(one, output, chosen, one.source.stem) for one in found]
    claims = Counter(job.target for job in short)
    return [
        job if claims[job.target] == 1 else _job(one, output, chosen, one.source.name)
        for one, job in zip(found, short, strict=True)
    ]


def _job(one: _Found, output: Path | None, chosen: str | None, stem: str) -> Job:
    own = FORMAT_OF_SUFFIX.get(one.source.suffix.lower(), "png")
    form = chosen or own
    suffix = one.source.suffix if form == own and one.source.suffix.lower() in FORMAT_OF_SUFFIX else FORMATS[form]
    if output is None:
        return Job(one.source, one.source.with_name(f"{stem}{RESULT_MARK}{suffix}"), form)
    below = one.source.parent.relative_to(one.folder) if one.folder else Path()
    return Job(one.source, output / below / f"{stem}{suffix}", form)


def _without_clashes(jobs: list[Job], problems: list[PictureError]) -> tuple[list[Job], list[PictureError]]:
    """Leave out jobs whose result would replace a source or another job's result."""
    sources = {_identity(job.source) for job in jobs}
    taken: set[Path] = set()
    kept = []
    for job in jobs:
        target = _identity(job.target)
        if target in sources:
            reason = f"its result would replace the original {job.target}; name another folder or file with -o"
            problems.append(PictureError(job.source, reason))
        elif target in taken:
            reason = f"its result {job.target} is another picture's result too; run it apart with -o"
            problems.append(PictureError(job.source, reason))
        else:
            taken.add(target)
            kept.append(job)
    return kept, problems


def _identity(path: Path) -> Path:
    return Path(os.path.realpath(path))  # unlike Path.resolve it does not stumble over links in a circle
