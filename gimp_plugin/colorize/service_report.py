"""What the user, or whoever helps them, wants to know about the colour service, as plain text."""

import platform
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from text import _, marked
from version import CLIENT, VERSION

if TYPE_CHECKING:
    from colorize_client import ColorizeError

LOG_LINES = 30
MEGABYTE = 1 << 20
# Words of the service, as the user reads them; one that is not here is shown as it came.
STATES = {"idle": marked("idle"), "loading": marked("loading a model"), "working": marked("working")}
COUNTERS = {
    "uploads": marked("uploads"),
    "encodes": marked("encoded"),
    "predictions": marked("predictions"),
    "bytes_in": marked("bytes in"),
    "bytes_out": marked("bytes out"),
    "errors": marked("errors"),
    "cancelled": marked("cancelled"),
}
MODEL_FACTS = {
    "name": marked("name"),
    "recipe": marked("recipe"),
    "licence": marked("licence"),
    "sha256": marked("SHA-256 checksum"),
    "path": marked("file"),
    "default": marked("default"),
    "loaded": marked("loaded"),
}
CORES = re.compile(r"(?P<processor>.*), (?P<count>\d+) cores?")  # the service's name of a CPU


def collect(gimp: str) -> str:
    """The report, for this version of GIMP; the service is started where it does not run.

    Raises:
        colorize_client.ColorizeError: it cannot be reached.
    """
    from colorize_client import connect

    with connect(client=CLIENT) as service:
        return compose(service.status(), service.models(), gimp)


def compose(status: dict[str, Any], models: list[dict[str, Any]], gimp: str) -> str:
    """The parts of the report, from the most asked-for to the longest."""
    return "\n\n".join([state(status), *map(card, models), versions(gimp), log(status)])


def failure(error: "ColorizeError", gimp: str) -> str:
    """What stands where the report would, because the service cannot be reached."""
    cause = _("Cause: {detail}").format(detail=error.detail) if error.detail else ""
    return "\n\n".join(filter(None, [_(error.sentence), cause, versions(gimp)]))


def state(status: dict[str, Any]) -> str:
    memory, counters = status.get("memory", {}), status.get("counters", {})
    rows = {
        _("State"): _word(STATES, status.get("state")),
        _("Device"): device(status),
        _("Service"): f"{status.get('version')}, {status.get('endpoint')}",
        _("Running for"): _("{minutes} minutes").format(minutes=round(status.get("uptime", 0) / 60)),
        _("Memory"): _("{now} MB now, {peak} MB at most").format(
            now=_megabytes(memory.get("rss")), peak=_megabytes(memory.get("peak_rss"))
        ),
        _("Remembered photographs"): _("{count}, {used} of {budget} MB").format(
            count=memory.get("cache_images", 0),
            used=_megabytes(memory.get("cache_bytes")),
            budget=_megabytes(memory.get("cache_budget")),
        ),
        _("Work so far"): ", ".join(f"{_word(COUNTERS, name)} {value}" for name, value in counters.items()),
    }
    return _table(rows)


def device(body: Mapping[str, Any]) -> str:
    """The device of a status or a result as the user knows it: its name, or its kind where it has none yet."""
    kind, name = body.get("device") or "", body.get("device_name") or ""
    processor = CORES.fullmatch(name)
    if processor:
        one, more = _("{processor}, 1 core"), _("{processor}, {count} cores")
        name = (one if processor["count"] == "1" else more).format(**processor.groupdict())
    return f"{name} ({kind})" if name and kind else name or kind or _("not known yet")


def title(model: Mapping[str, Any]) -> str:
    """Of a model, as the user knows it."""
    return str(model.get("title") or model.get("name", ""))


def card(model: dict[str, Any]) -> str:
    """What the service says about a model's weights, then the model's card, which is in English."""
    facts = {key: value for key, value in model.items() if key not in ("title", "card") and value not in ("", None)}
    rows = _table({_word(MODEL_FACTS, key): _yes_or_no(value) for key, value in facts.items()})
    text = [_("Model card:"), model["card"]] if model.get("card") else []
    return _("Model {title}").format(title=title(model)) + "\n" + "\n\n".join(filter(None, [rows, *text]))


def versions(gimp: str) -> str:
    return _table(
        {
            "GIMP": gimp,
            _("Plug-in"): VERSION,
            "Python": platform.python_version(),
            _("System"): platform.platform(),
        }
    )


def log(status: dict[str, Any]) -> str:
    """The last lines of the service's log."""
    from colorize_client import log_tail

    path = Path(str(status.get("log", "")))
    try:
        lines = log_tail(path, LOG_LINES)
    except OSError as error:
        return _("The log {path} cannot be read: {reason}").format(path=path, reason=error.strerror)
    return "\n".join([_("Log {path}").format(path=path), *lines])


def _word(words: Mapping[str, str], said: object) -> str:
    return _(words[said]) if isinstance(said, str) and said in words else str(said or "")


def _yes_or_no(value: object) -> object:
    return {True: _("yes"), False: _("no")}[value] if isinstance(value, bool) else value


def _table(rows: dict[str, Any]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in rows.items())


def _megabytes(count: int | None) -> int:
    return round((count or 0) / MEGABYTE)
