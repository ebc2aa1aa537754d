"""What can go wrong with one picture: a sentence that names the file, what is wrong and what to do."""

import errno
import os
from pathlib import Path

_PERMISSIONS = "permission denied; change the permissions of the file or of its folder"
_SENTENCES = {
    errno.ENOENT: "there is no such file; check the name",
    errno.EACCES: _PERMISSIONS,
    errno.EPERM: _PERMISSIONS,
    errno.EROFS: "the disk is read-only; name another folder with -o",
    errno.ENOSPC: "the disk is full; free some space or name another folder with -o",
    errno.EDQUOT: "your quota on this disk is used up; free some space or name another folder with -o",
    errno.EFBIG: "the file would be larger than the system allows; name another folder with -o",
    errno.EEXIST: "it exists already; add --overwrite to replace it",
    errno.EISDIR: "this is a folder, not a file; check the name",
    errno.ENOTDIR: "a part of the path is a file, not a folder; check the name",
    errno.ELOOP: "links lead in a circle; name the file itself",
    errno.ENAMETOOLONG: "the name is too long for this disk; shorten it",
    errno.EIO: "the disk reports an error; check the disk",
}


class PictureError(Exception):
    """One picture cannot be read, coloured or written; the others can."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{show(path)}: {reason}")
        self.path = path
        self.reason = reason


def show(path: Path) -> str:
    """The name of `path` as text, the same in every locale; `os.fsencode` in UTF-8 leads back to its bytes."""
    return os.fsencode(path).decode("utf-8", "surrogateescape")


def sentence_for(error: OSError) -> str:
    """The operating system's refusal as a sentence that ends with what to do."""
    return _SENTENCES.get(error.errno or 0, f"{error.strerror or error}; the system gave no other reason")
