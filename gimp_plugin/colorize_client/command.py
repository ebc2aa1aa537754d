"""The command line that does what was done with options, as from GIMP's dialog: to be copied, for a folder of files."""

from __future__ import annotations

import math
import shlex
from dataclasses import asdict
from typing import Any

from colorize_client.options import VIVIDNESS_LIMITS, Options

PROGRAM = "gimp-colorize"


def command_line(options: Options) -> str:
    """The command with these options, without files, quoted for a shell; what is default is left out.

    The temperature is said as vividness, as in the dialog, where it is on that scale.
    """
    words = [PROGRAM]
    for name, default in asdict(Options()).items():
        value = getattr(options, name)
        if not _is_same(value, default):
            words += _vividness(options) if name == "temperature" else _words(flag(name), value)
    return shlex.join(words)


def _is_same(value: Any, other: Any) -> bool:
    """Whether two values are equal but for the last digits of numbers, which a scale costs."""
    return math.isclose(value, other, abs_tol=1e-9) if isinstance(other, float) else bool(value == other)


def flag(name: str) -> str:
    """The command line's word for an option."""
    return "--" + name.replace("_", "-")


def _vividness(options: Options) -> list[str]:
    low, high = VIVIDNESS_LIMITS
    vividness = round(options.vividness, 9)  # a dialog's whole number comes back as one
    if low <= vividness <= high:
        return _words("--vividness", vividness)
    return _words("--temperature", options.temperature)


def _words(word: str, value: Any) -> list[str]:
    if value is True:
        return [word]
    text = repr(value).removesuffix(".0") if isinstance(value, float) else str(value)
    return [f"{word}={text}"] if text.startswith("-") else [word, text]
