"""Imports that ended in the middle, as where memory is full: what they leave in a process cannot be mended there."""

from __future__ import annotations

import traceback
from types import CodeType


def broke_an_import(error: BaseException | None) -> bool:
    """Whether the error, or one that led to it, ended an import.

    Python forgets a module whose import failed, but not those that it had imported until then, nor what these did to
    libraries: PyTorch imported again says that its parts were registered twice, or lacks some of them.
    """
    while error is not None:
        codes = (frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__))
        if isinstance(error, ImportError) or any(map(_of_an_import, codes)):
            return True
        error = error.__cause__ or error.__context__
    return False


def _of_an_import(code: CodeType) -> bool:
    """Python takes its own frames out of an import's traceback where it can; those of the modules' code stay."""
    return code.co_name == "<module>" or "<frozen importlib" in code.co_filename
