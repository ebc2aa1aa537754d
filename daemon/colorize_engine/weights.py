"""Weights on disk: safetensors files that say what they are, found in folders, checked before they are used.

A file's metadata carries its format, recipe, configuration, licence and the SHA-256 of its tensors. No pickle is ever
read. Listing weights does not import torch, which takes seconds: a service that was just started lists them at once.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

if TYPE_CHECKING:
    from torch import Tensor

    from colorize_engine.networks.served import ServedNetwork

log = logging.getLogger(__name__)

FORMAT = "gimp-colorize/1"
SHIPPED = Path(__file__).parent / "weights"
DEFAULT = "chroma"  # the name that an empty model name stands for


class BadWeights(ValueError):
    """A weights file is missing, damaged, or not one of ours; the text names the file and says what to do."""


@dataclass(frozen=True)
class WeightsRecord:
    """What a weights file says of itself."""

    name: str
    title: str
    recipe: str
    path: Path
    sha256: str
    licence: str
    side: int  # the network's picture has about side * side pixels
    config: dict[str, Any]
    default: bool
    card: str  # the model card's text, or ""


def available(extra: list[Path] | None = None, own: Path | None = None) -> list[WeightsRecord]:
    """The weights at the `extra` files or folders, in the user's `own` folder, and shipped; the first of a name wins.

    Raises BadWeights for an extra path that does not exist and for a file that is not one of ours; in the own folder
    such a file is left out and logged, since it was not asked for by name.
    """
    found: dict[str, WeightsRecord] = {}
    records = [read_record(path) for place in extra or [] for path in _files(place)]
    records += _own_records(own) if own else []
    for record in records + [read_record(path) for path in _files(SHIPPED)]:
        found.setdefault(record.name, record)
    return list(found.values())


def _own_records(folder: Path) -> list[WeightsRecord]:
    records = []
    for path in sorted(folder.glob("*.safetensors")):
        try:
            records.append(read_record(path))
        except BadWeights as error:
            _log_once(str(error))
    return records


@cache
def _log_once(sentence: str) -> None:
    """The own folder is read for every request; what is wrong with a file is said once."""
    log.warning("%s", sentence)


def _files(place: Path) -> list[Path]:
    if place.is_dir():
        return sorted(place.glob("*.safetensors"), key=lambda path: path.stem)
    if not place.exists():
        raise BadWeights(f"{place}: no such file or folder; --weights takes .safetensors files and folders of them")
    return [place]


def read_record(path: Path) -> WeightsRecord:
    """The record of one file, from its header alone."""
    try:
        with safe_open(path, "np") as file:
            meta = file.metadata() or {}
        if meta.get("format") != FORMAT:
            raise BadWeights(
                f"{path} is not a weights file of this program; make one with `gimp-colorize-train export`"
            )
        card = path.with_suffix(".md")
        return WeightsRecord(
            name=meta["name"],
            title=meta["title"],
            recipe=meta["recipe"],
            path=path,
            sha256=meta["sha256"],
            licence=meta["licence"],
            side=int(meta["side"]),
            config=json.loads(meta["config"]),
            default=meta["name"] == DEFAULT,
            card=card.read_text(encoding="utf-8") if card.exists() else "",
        )
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        if isinstance(error, BadWeights):
            raise
        raise BadWeights(f"{path} cannot be read as weights ({error}); it may be damaged: install it again") from error


def load(record: WeightsRecord) -> ServedNetwork:
    """The network with its weights, float32 on the CPU, in evaluation mode.

    Raises BadWeights where the hash differs.
    """
    from colorize_engine import networks

    if record.recipe not in networks.recipes():
        known = ", ".join(networks.recipes())
        raise BadWeights(f"{record.path} is of the recipe {record.recipe!r}; this version serves {known}: update it")
    try:
        with safe_open(record.path, "pt") as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  not a dict
    except (SafetensorError, OSError) as error:
        raise BadWeights(f"{record.path} cannot be read ({error}); it may be damaged: install it again") from error
    if digest(state) != record.sha256:
        raise BadWeights(f"{record.path} is damaged: its contents do not match its hash; install it again")
    try:
        network = networks.build(record.recipe, record.config)
        network.load_state_dict(state, strict=True)
    except (RuntimeError, TypeError) as error:
        raise BadWeights(
            f"{record.path} was made by another version of this program, whose {record.recipe} was built otherwise; "
            "train it again, or remove it"
        ) from error
    return network.eval()


def save(
    network: ServedNetwork, path: Path, *, recipe: str, name: str, title: str, licence: str, side: int, **notes: str
) -> None:
    """Write `network` as half-precision weights; `notes` are further lines of metadata. Written whole or not at all."""
    from safetensors.torch import save_file

    state = {k: (v.half() if v.is_floating_point() else v).contiguous() for k, v in network.state_dict().items()}
    metadata = {
        "format": FORMAT,
        "recipe": recipe,
        "name": name,
        "title": title,
        "licence": licence,
        "side": str(side),
        "colour_space": "CIELAB D65",
        "config": json.dumps(network.metadata()),
        "sha256": digest(state),
        **notes,
    }
    part = path.with_suffix(".part")
    save_file(state, part, metadata)
    part.chmod(0o644)
    os.replace(part, path)


def digest(state: dict[str, Tensor]) -> str:
    """SHA-256 over names, shapes and bytes of the tensors, in the order of their names."""
    import torch

    sha = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].contiguous()
        sha.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}".encode())
        sha.update(tensor.view(-1).view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()
