"""What the plug-in remembers on layers: parasites of JSON, kept in XCF files and undone with the step that wrote them.

Layers are named by their tattoo, which outlives saving and loading. A duplicated layer carries the same parasite under
a tattoo of its own, so a record also holds the tattoo of the layer that it was written for.
"""

import json
from dataclasses import asdict, dataclass

from gi.repository import Gimp

RESULT_PARASITE = "colorize-result"
HINTS_PARASITE = "colorize-hints"
NO_LAYER = 0


@dataclass(frozen=True)
class Settings:
    """How a photograph is coloured: model ("" = default), vividness 0..100, saturation 0..2, and where the result goes
    ("layer" in LCh Color mode, "normal" full-colour layer, "image" a new image)."""

    model: str = ""
    vividness: float = 67.0
    saturation: float = 1.0
    output: str = "layer"


@dataclass(frozen=True)
class ResultRecord:
    """On a result layer: its own tattoo, the photograph's, the hint layer's (0 = none), its name, the settings."""

    layer: int
    photo: int
    hints: int
    name: str
    settings: Settings


@dataclass(frozen=True)
class HintsRecord:
    """On a hint layer: the tattoo of the photograph that it belongs to."""

    photo: int


def read_result(layer: Gimp.Layer) -> ResultRecord | None:
    """The record of a result layer; None on any other layer, a duplicate of a result included."""
    found = _read(layer, RESULT_PARASITE)
    try:
        record = ResultRecord(**{**found, "settings": Settings(**found["settings"])}) if found else None
    except (TypeError, KeyError):
        return None
    return record if record and record.layer == layer.get_tattoo() else None


def read_hints(layer: Gimp.Layer) -> HintsRecord | None:
    """The record of a layer that New Hint Layer made; None on any other."""
    found = _read(layer, HINTS_PARASITE)
    try:
        return HintsRecord(**found) if found else None
    except TypeError:
        return None


def write(layer: Gimp.Layer, record: ResultRecord | HintsRecord) -> None:
    name = RESULT_PARASITE if isinstance(record, ResultRecord) else HINTS_PARASITE
    flags = Gimp.PARASITE_PERSISTENT | Gimp.PARASITE_UNDOABLE
    content = json.dumps(asdict(record)).encode("ascii")  # GIMP's binding takes bytes below 128 only
    layer.attach_parasite(Gimp.Parasite.new(name, flags, content))


def carries_result(layer: Gimp.Layer) -> bool:
    """Whether this is a result layer or a duplicate of one."""
    return layer.get_parasite(RESULT_PARASITE) is not None


def _read(layer: Gimp.Layer, name: str) -> dict | None:
    parasite = layer.get_parasite(name)
    if parasite is None:
        return None
    try:
        content = json.loads(bytes(parasite.get_data()))
    except ValueError:
        return None
    return content if isinstance(content, dict) else None
