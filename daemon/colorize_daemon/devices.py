"""The device on which the networks run, by its kind and by the name that people know it by."""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass
from pathlib import Path

from colorize_daemon.resources import cores

CPU_FACTS = Path("/proc/cpuinfo")
# What makers add to a name: trademarks, the clock, and how many cores the whole processor has.
CLUTTER = re.compile(r"\((R|TM)\)|\s+CPU(?=\s*(@|$))|\s*@.*|(\s+\w+-Core)?\s+Processor$", re.IGNORECASE)


@dataclass(frozen=True)
class Device:
    """
    Attributes:
        kind: "cpu", "cuda" or "mps"; "" as long as nobody knows.
        name: for people: of the CPU and how many of its cores this process may use, or of the card; "" where unknown.
    """

    kind: str = ""
    name: str = ""


def asked_for(option: str) -> Device:
    """What --device says before PyTorch is there to look for cards; "auto" says nothing."""
    if option == "auto":
        return Device()
    return named(option) if option == "cpu" else Device(option)


def chosen(option: str) -> Device:
    """What the engine, which is imported for it, takes for --device."""
    from colorize_engine import colorizer

    try:
        return named(str(colorizer.choose_device(option)))
    except colorizer.NoDevice:
        return asked_for(option)  # each request will say that it is not there


def named(kind: str) -> Device:
    """A device that PyTorch found, with its name."""
    return Device(kind, _card() if kind.startswith("cuda") else processor())


def _card() -> str:
    from colorize_engine import colorizer

    return colorizer.card_name()


def processor() -> str:
    """The CPU's name and the cores that this process may use, as "AMD EPYC 7763, 2 cores"."""
    count = cores()
    return f"{_model()}, {count} {'core' if count == 1 else 'cores'}"


def _model() -> str:
    try:
        facts = CPU_FACTS.read_text(encoding="utf-8", errors="replace")
    except OSError:  # not Linux
        facts = ""
    found = re.search(r"^model name\s*:(.*)$", facts, re.MULTILINE)
    name = " ".join(CLUTTER.sub("", found[1].strip()).split()) if found else ""
    return name if name not in ("", "unknown") else platform.processor() or platform.machine()
