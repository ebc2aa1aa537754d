"""What the plug-in remembers on layers, as JSON that stays readable for other versions of it.

Layers are named by their tattoo, which outlives saving and loading. A duplicated layer carries the same record under a
tattoo of its own, so a record also holds the tattoo of the layer that it was written for.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from colorize_client import Options
from colorize_client.options import VIVIDNESS_LIMITS

NO_LAYER = 0
OUTPUTS = ("layer", "normal", "image")
SOURCES = ("auto", "layer", "visible")
DEFAULT = Options()
LIMITS = {"vividness": VIVIDNESS_LIMITS, "saturation": Options.limits("saturation"), "reach": Options.limits("reach")}

_JSON_TYPES: dict[object, tuple[type, ...]] = {int: (int,), float: (int, float), str: (str,), bool: (bool,)}


@dataclass(frozen=True)
class Settings:
    """How a photograph is coloured: model ("" = default), vividness 0..100, saturation 0..2; where the result goes
    ("layer" in LCh Color mode, "normal" full-colour layer, "image" a new image); whether a stroke means everything like
    its thing, and how far it reaches, 0..1; what is coloured ("layer" the photograph's layer, "visible" all that is
    seen there, "auto" the latter where something lies above the photograph)."""

    model: str = DEFAULT.model
    vividness: float = float(round(DEFAULT.vividness))
    saturation: float = DEFAULT.saturation
    output: str = OUTPUTS[0]
    reach: float = DEFAULT.reach
    alike: bool = DEFAULT.alike
    source: str = SOURCES[0]

    @classmethod
    def from_config(cls, get: Callable[[str], Any]) -> "Settings":
        """Of a procedure's arguments; GIMP gives an empty text that it kept from an earlier start as None."""
        found = {each.name: get(each.name) for each in fields(cls)}
        return cls(**{name: value for name, value in found.items() if value is not None})

    @property
    def options(self) -> Options:
        """What of the settings the service is asked for."""
        shared = {each.name for each in fields(Options)}
        return Options.from_vividness(
            self.vividness, **{name: value for name, value in asdict(self).items() if name in shared}
        )


@dataclass(frozen=True)
class ResultRecord:
    """On a result layer: its own tattoo, the photograph's, the hint layer's (0 = none), its name, the settings.

    Later versions added: the keep layer's tattoo; a fingerprint of the pixels as the run left them, 0 where unknown;
    the name of the state that the service gave to these pixels, "" where it gave none; the photograph's fingerprint,
    and the key of the picture that it was for the service. Of several hint or keep layers the uppermost is named.
    """

    layer: int
    photo: int
    hints: int
    name: str
    settings: Settings
    kept: int = NO_LAYER
    fingerprint: int = 0
    state: str = ""
    photo_fingerprint: int = 0
    picture: str = ""


@dataclass(frozen=True)
class StrokesRecord:
    """On a hint layer or a keep layer: the tattoo of the photograph that it belongs to."""

    photo: int


def encode(record: ResultRecord | StrokesRecord) -> bytes:
    """The record as JSON in ASCII: GIMP's binding takes bytes below 128 only."""
    return json.dumps(asdict(record)).encode("ascii")


def decode_result(content: bytes, tattoo: int) -> ResultRecord | None:
    """The record found on the layer with this tattoo; None for a duplicate's, and for what is no record at all.

    Settings that do not fit, for example of another version, take their defaults.
    """
    found = _json_object(content)
    try:
        record = ResultRecord(**_fitting(ResultRecord, found), settings=_settings(found.get("settings")))
    except TypeError:  # something is missing
        return None
    return record if record.layer == tattoo else None


def decode_strokes(content: bytes) -> StrokesRecord | None:
    """The record found on a hint layer or a keep layer; None for what is no record at all."""
    try:
        return StrokesRecord(**_fitting(StrokesRecord, _json_object(content)))
    except TypeError:  # something is missing
        return None


def encode_tattoos(tattoos: list[int]) -> bytes:
    return json.dumps(tattoos).encode("ascii")


def decode_tattoos(content: bytes) -> list[int]:
    """The numbers in a list that `encode_tattoos` wrote; an empty one where there is none."""
    found = _json(content)
    return [each for each in found if type(each) is int] if isinstance(found, list) else []


def _settings(found: object) -> Settings:
    settings = Settings(**_fitting(Settings, found)) if isinstance(found, dict) else Settings()
    if settings.output not in OUTPUTS:
        settings = replace(settings, output=OUTPUTS[0])
    return settings if settings.source in SOURCES else replace(settings, source=SOURCES[0])


def _fitting(kind: type[Settings | ResultRecord | StrokesRecord], found: dict[str, Any]) -> dict[str, Any]:
    """The text, number and truth fields of `kind` that were found with a value of their type."""
    types = {field.name: _JSON_TYPES.get(field.type, ()) for field in fields(kind)}
    return {name: value for name, value in found.items() if type(value) in types.get(name, ())}


def _json_object(content: bytes) -> dict[str, Any]:
    """The JSON object in `content`; an empty one where there is none."""
    found = _json(content)
    return found if isinstance(found, dict) else {}


def _json(content: bytes) -> object:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None
