"""Training states on disk: written whole or not at all, read without running code from the file."""

import os
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from colorize_training.recipes import NAMES
from colorize_training.writing import not_written, replacing

# What torch's reader was seen to raise for files of other kinds, and damaged ones.
UNREADABLE = (
    RuntimeError,
    EOFError,
    ValueError,
    OSError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    MemoryError,
    UnpicklingError,
)
NOTHING: Mapping[str, type | tuple[type, ...]] = MappingProxyType({})


class BadCheckpoint(ValueError):
    """The file is not a whole checkpoint."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"{path} is not a whole checkpoint ({why}); give another, as best.pt or last.pt of a run, or delete it"
        )


def save(state: dict[str, Any], path: Path) -> None:
    """Write beside `path`, flush to disk, then rename: a kill at any moment leaves the old file or the new one.

    Raises writing.NotWritten.
    """
    with replacing(path) as part, open(part, "wb") as out:
        try:
            torch.save(state, out)
        except RuntimeError as error:  # torch's own words for an error of the file's
            if isinstance(error.__context__, OSError):
                raise not_written(path, error.__context__.strerror or str(error.__context__)) from error
            raise
        out.flush()
        os.fsync(out.fileno())


def load(path: Path, fields: Mapping[str, type | tuple[type, ...]] = NOTHING) -> dict[str, Any]:
    """The state that `save` wrote, with these fields in it.

    Raises BadCheckpoint where the file is truncated or something else, FileNotFoundError.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file; checkpoints are best.pt and last.pt in a run's folder")
    if not path.is_file():
        raise BadCheckpoint(path, "it is a folder" if path.is_dir() else "it is no file")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        raise BadCheckpoint(path, _first_line(error)) from error
    if not isinstance(state, dict):
        raise BadCheckpoint(path, f"it holds a {type(state).__name__}")
    for name, kind in fields.items():
        if not isinstance(state.get(name), kind):
            raise BadCheckpoint(path, f"its {name} is missing, or of another kind")
    return state


# What the state of a run has, see `loop.Run`.
RUN: Mapping[str, type | tuple[type, ...]] = MappingProxyType(
    {
        "recipe": str,
        "settings": dict,
        "config": dict,
        "step": int,
        "samples": int,
        "best": float,
        "network": dict,
        "average": (dict, type(None)),
        "optimizers": dict,
        "plateaus": list,
        "data": str,
    }
)


def load_run(path: Path) -> dict[str, Any]:
    """The state of a run. Raises BadCheckpoint, FileNotFoundError."""
    state = load(path, RUN)
    if state["recipe"] not in NAMES:
        raise BadCheckpoint(path, f"of a recipe {state['recipe'][:40]!r}, which this version does not have")
    for tensors in (state["network"], state["average"] or {}):
        if not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in tensors.items()):
            raise BadCheckpoint(path, "its network holds something else than tensors")
    return state


def _first_line(error: BaseException) -> str:
    if isinstance(error, UnpicklingError):
        return "it holds something else than a training's state"  # torch's words advise to run what is in the file
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
