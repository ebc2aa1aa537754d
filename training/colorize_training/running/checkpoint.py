"""Training states on disk: written whole or not at all, read without running code from the file."""

import os
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch


class BadCheckpoint(ValueError):
    """The file is not a whole checkpoint."""


def save(state: dict[str, Any], path: Path) -> None:
    """Write beside `path`, flush to disk, then rename: a kill at any moment leaves the old file or the new one."""
    part = path.with_suffix(".part")
    with open(part, "wb") as out:
        torch.save(state, out)
        out.flush()
        os.fsync(out.fileno())
    os.replace(part, path)


def load(path: Path) -> dict[str, Any]:
    """The state that `save` wrote. Raises BadCheckpoint where the file is truncated or something else."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except (RuntimeError, EOFError, ValueError, OSError, KeyError, UnpicklingError) as error:
        raise BadCheckpoint(f"{path} is not a whole checkpoint ({error}); delete it, or resume from another") from error
