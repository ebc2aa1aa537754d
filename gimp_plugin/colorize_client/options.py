"""The options of a request: one object, from the plug-in and the command line over the wire to the engine.

A field here is a field of the `colorize` message, an option of `gimp-colorize`, and what `Colorizer.predict` reads;
its default, its limits and its help stand with it and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

MAX_OPTION_CHARS = 200
# Users say vividness; the ends of its scale, and the temperatures that they stand for.
VIVIDNESS_LIMITS = (0.0, 100.0)
CAUTIOUS, VIVID = 1.0, 0.1


def _number(default: float, low: float, high: float, metavar: str, text: str) -> Any:
    return field(default=default, metadata={"limits": (low, high), "metavar": metavar, "help": text})


def _flag(text: str) -> Any:
    return field(default=False, metadata={"help": text})


def _text(default: str, metavar: str, text: str) -> Any:
    return field(default=default, metadata={"metavar": metavar, "help": text})


@dataclass(frozen=True)
class Options:
    """How to colour.

    Args:
        model: name of the weights, "" for the default.
        saturation: factor 0..2 on the chroma that the network chose; the colours of hints keep theirs.
        temperature: 0.05 (vivid) .. 1 (cautious).
        alike: a stroke also means everything that is like the thing it lies on.
        reach: 0 (small) .. 1 (large), the regions around strokes: 0.5 is what the network holds likeliest.
    """

    model: str = _text("", "NAME", "one that `gimp-colorize models` lists")
    saturation: float = _number(1.0, 0.0, 2.0, "S", "%(default)s: as it is")
    temperature: float = _number(
        0.37, 0.05, 1.0, "T", "vividness as the network has it: low is vivid; default %(default)s"
    )
    alike: bool = _flag("each hint also colours what is like the thing it lies on")
    reach: float = _number(0.5, 0.0, 1.0, "R", "regions around hints: 0 small, 1 large; default %(default)s")

    @classmethod
    def from_vividness(cls, vividness: float, **others: Any) -> Options:
        """Options for a vividness of 0 (cautious) .. 100 (vivid): temperature = 1 - 0.9 * vividness / 100."""
        return cls(temperature=CAUTIOUS - (CAUTIOUS - VIVID) * vividness / 100.0, **others)

    @classmethod
    def limits(cls, name: str) -> tuple[float, float]:
        """The smallest and the largest value of an option that is a number."""
        low, high = next(each.metadata["limits"] for each in fields(cls) if each.name == name)
        return low, high

    @property
    def vividness(self) -> float:
        """The temperature on the scale of `from_vividness`."""
        return 100.0 * (CAUTIOUS - self.temperature) / (CAUTIOUS - VIVID)
