"""What the user, or whoever helps them, wants to know about the colour service, as plain text."""

import platform
from pathlib import Path
from typing import Any

from text import _
from version import CLIENT, VERSION

LOG_LINES = 30
MEGABYTE = 1 << 20


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


def state(status: dict[str, Any]) -> str:
    memory, counters = status.get("memory", {}), status.get("counters", {})
    rows = {
        _("State"): status.get("state"),
        _("Device"): status.get("device"),
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
        _("Work so far"): ", ".join(f"{name} {value}" for name, value in counters.items()),
    }
    return _table(rows)


def card(model: dict[str, Any]) -> str:
    """A model's card: what the service says about its weights."""
    title = model.get("title") or model.get("name", "")
    rows = {key: value for key, value in model.items() if key not in ("title", "card") and value not in ("", None)}
    return _("Model {title}").format(title=title) + "\n" + "\n\n".join(filter(None, [_table(rows), model.get("card")]))


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


def _table(rows: dict[str, Any]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in rows.items())


def _megabytes(count: int | None) -> int:
    return round((count or 0) / MEGABYTE)
