"""Weights on disk: safetensors files that say what they are, found in folders, checked before they are used.

A file's metadata carries its format, recipe, configuration, licence and the SHA-256 of its tensors. No pickle is ever
read. Listing weights does not import torch, which takes seconds: a service that was just started lists them at once.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import stat
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from safetensors import SafetensorError, safe_open

from colorize_engine.memory import memory_is_full

if TYPE_CHECKING:
    from torch import Tensor

    from colorize_engine.networks.served import ServedNetwork

log = logging.getLogger(__name__)

FORMAT = "gimp-colorize/1"
SHIPPED = Path(__file__).parent / "weights"
DEFAULT = "chroma"  # the name that an empty model name stands for


MAX_CHARS = 200  # of a name, which the protocol carries, and of a title and a licence
MAX_FILE_BYTES, MAX_HEADER_BYTES, MAX_CONFIG_CHARS, MAX_CARD_BYTES = 4 << 30, 1 << 20, 1 << 14, 1 << 15
SIDES = range(1, 4097)  # that weights may ask for; the service keeps within these:
LONGEST, SHORTEST = 1024, 32  # sides of the network's picture, in pixels: of a strip of 1x30000, not 9x30000


class BadWeights(ValueError):
    """A weights file is missing, damaged, or not one of ours; the text names the file and says what to do.

    What cannot be seen in the text is escaped: it may come from the file, or be its name.
    """

    def __init__(self, text: str) -> None:
        super().__init__(visible(text))


def visible(text: str, kept: str = "") -> str:
    """The text with what cannot be seen (control characters, and the like) escaped, but for the characters `kept`."""
    return "".join(c if c.isprintable() or c in kept else repr(c)[1:-1] for c in text)


def check_texts(name: str, title: str, licence: str) -> None:
    """Whether weights may have this name, title and licence. Raises ValueError, with a sentence, where not."""
    whole = name.isprintable() and name == name.strip() and 0 < len(name) <= MAX_CHARS
    if not whole or name[0] in ".-" or set(name) & {"/", "\\"}:
        raise ValueError(
            f"weights cannot have the name {name[:40]!r}: choose one of 1 to {MAX_CHARS} characters that can be seen, "
            "without / and \\, that begins with neither a dot nor a dash nor a space"
        )
    for what, text in (("title", title), ("licence", licence)):
        if not text.strip() or not text.isprintable() or len(text) > MAX_CHARS:
            raise ValueError(
                f"weights cannot have the {what} {text[:40]!r}: write 1 to {MAX_CHARS} characters that can be seen"
            )


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
    changed: int = 0  # when the file changed last, in nanoseconds


def available(extra: list[Path] | None = None, own: Path | None = None) -> list[WeightsRecord]:
    """The first of each name of those that are `installed`."""
    found: dict[str, WeightsRecord] = {}
    for record in installed(extra, own):
        found.setdefault(record.name, record)
    return list(found.values())


def installed(extra: list[Path] | None = None, own: Path | None = None) -> list[WeightsRecord]:
    """All weights at the `extra` files or folders, in the user's `own` folder, and shipped, in this order.

    Raises BadWeights for an extra path that does not exist, and for an extra file that is not one of ours; in folders
    such a file is left out and logged, since it was not asked for by name.
    """
    places = [*(extra or []), *([own] if own else []), SHIPPED]
    for place in extra or []:
        if not place.exists():
            raise BadWeights(f"{place}: no such file or folder; --weights takes .safetensors files and folders of them")
    return [record for place in places for record in ([read_record(place)] if _is_named(place) else _within(place))]


def _is_named(place: Path) -> bool:
    return place.exists() and not place.is_dir()


def _within(folder: Path) -> list[WeightsRecord]:
    records = []
    for path in sorted(folder.glob("*.safetensors"), key=lambda path: path.stem):
        try:
            records.append(read_record(path))
        except BadWeights as error:
            _log_once(str(error))
    return records


@cache
def _log_once(sentence: str) -> None:
    """Folders are read for every request; what is wrong with a file is said once."""
    log.warning("%s", sentence)


def read_record(path: Path) -> WeightsRecord:
    """The record of one file, from its header alone."""
    try:
        changed, size = _check_file(path)
        meta = _metadata(path, changed, size)
        if meta.get("format") != FORMAT:
            raise BadWeights(
                f"{path} is not a weights file of this program; make one with `gimp-colorize-train export`"
            )
        return _record(path, meta, changed)
    except (SafetensorError, OSError, KeyError, ValueError, RecursionError) as error:
        if isinstance(error, BadWeights):
            raise
        raise BadWeights(f"{path} cannot be read as weights ({error}); it may be damaged: install it again") from error


@lru_cache(maxsize=64)
def _metadata(path: Path, changed: int, size: int) -> dict[str, str]:
    """Of a file, read once as long as it is the same: every request asks for it."""
    with safe_open(path, "np") as file:
        return file.metadata() or {}


def _check_file(path: Path) -> tuple[int, int]:
    """When the file changed last, in nanoseconds, and its bytes.

    Raises BadWeights, OSError where it is too large, or no file.
    """
    with regular_file(path) as file:
        found = os.fstat(file.fileno())
        header = int.from_bytes(file.read(8), "little")
    if found.st_size > MAX_FILE_BYTES or header > MAX_HEADER_BYTES:
        raise ValueError(f"{found.st_size} bytes, {header} of them a header, are more than any weights of ours have")
    return found.st_mtime_ns, found.st_size


def regular_file(path: Path) -> BinaryIO:
    """A file to read, opened without waiting: pipes, devices and folders are refused. Raises BadWeights, OSError."""
    if stat.S_ISREG(path.stat().st_mode):
        file = open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")  # noqa: SIM115  the caller's
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return file
        file.close()
    raise BadWeights(f"{path} is not a regular file, so it cannot be weights; remove it from the weights' folder")


def _record(path: Path, meta: dict[str, str], changed: int) -> WeightsRecord:
    """Raises KeyError, ValueError, RecursionError where the metadata are not those of weights."""
    name, title, licence = (meta[key] for key in ("name", "title", "licence"))
    check_texts(name, title or name, licence or name)
    if not all(meta[key].isprintable() and len(meta[key]) <= MAX_CHARS for key in ("recipe", "sha256")):
        raise ValueError("its recipe or hash is none")
    if len(meta["config"]) > MAX_CONFIG_CHARS or not isinstance(config := json.loads(meta["config"]), dict):
        raise ValueError("its config is none")
    if int(meta["side"]) not in SIDES:
        raise ValueError(f"its side has {meta['side']} pixels")
    return WeightsRecord(
        name=name,
        title=title,
        recipe=meta["recipe"],
        path=path,
        sha256=meta["sha256"],
        licence=licence,
        side=int(meta["side"]),
        config=config,
        default=name == DEFAULT,
        card=_card(path.with_suffix(".md")),
        changed=changed,
    )


def _card(path: Path) -> str:
    """The text of a model card, "" where there is none that can be shown."""
    if not path.exists():
        return ""
    try:
        with regular_file(path) as file:
            text = file.read(MAX_CARD_BYTES + 1)
    except (BadWeights, OSError) as error:
        _log_once(visible(f"{path} is not shown as a model card: {error}"))
        return ""
    if len(text) > MAX_CARD_BYTES:
        _log_once(visible(f"{path} is not shown as a model card: it is larger than {MAX_CARD_BYTES} bytes"))
        return ""
    return visible(text.decode("utf-8", errors="replace").replace("\r\n", "\n"), kept="\n\t")


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
        with networks.unset_parameters():
            network = networks.build(record.recipe, record.config)
        network.load_state_dict(state, strict=True)
    except (RuntimeError, TypeError) as error:
        if memory_is_full(error):
            raise
        raise BadWeights(
            f"{record.path} was made by another version of this program, whose {record.recipe} was built otherwise; "
            "train it again, or remove it"
        ) from error
    return network.eval()


def save(
    network: ServedNetwork, path: Path, *, recipe: str, name: str, title: str, licence: str, side: int, **notes: str
) -> None:
    """Write `network` as half-precision weights; `notes` are further lines of metadata. Written whole or not at all.

    Raises ValueError for texts that `check_texts` refuses, OSError where the file cannot be written.
    """
    from safetensors.torch import save_file

    check_texts(name, title or name, licence or name)
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
    try:
        save_file(state, part, metadata)
        part.chmod(0o644)
        os.replace(part, path)
    except SafetensorError as error:
        raise OSError(f"{path} cannot be written ({error}); make room there or choose another folder") from error
    finally:
        part.unlink(missing_ok=True)


def digest(state: dict[str, Tensor]) -> str:
    """SHA-256 over names, shapes and bytes of the tensors, in the order of their names."""
    import torch

    sha = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].contiguous()
        sha.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}".encode())
        sha.update(tensor.view(-1).view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()
