"""The report that the user copies: complete, and readable also where the service is of another version."""

from __future__ import annotations

import tomllib
from pathlib import Path

import service_report
from version import VERSION

GIMP = "3.2.6"
MIB = 1 << 20
STATUS = {
    "version": "0.1.0",
    "endpoint": "ipc:///state/service.sock",
    "state": "idle",
    "device": "cpu",
    "uptime": 150.0,
    "counters": {"requests": 12, "uploads": 3},
    "memory": {"rss": 310 * MIB, "peak_rss": 905 * MIB, "cache_images": 2, "cache_bytes": 8 * MIB, "cache_budget": MIB},
    "log": "/nowhere/service.log",
}
CHROMA = {"name": "chroma", "title": "Chroma", "licence": "CC0", "default": True, "source": "", "card": "# Chroma"}


def test_all_parts_in_order() -> None:
    text = service_report.compose(STATUS, [CHROMA, {"name": "other"}], GIMP)
    wanted = ("State: idle", "Model Chroma", "Model other", f"GIMP: {GIMP}", f"Plug-in: {VERSION}", "/nowhere")
    places = [text.find(part) for part in wanted]
    assert min(places) >= 0, text
    assert places == sorted(places)


def test_state_in_words() -> None:
    lines = service_report.state(STATUS).splitlines()
    assert "Running for: 2 minutes" in lines
    assert "Memory: 310 MB now, 905 MB at most" in lines
    assert "Remembered photographs: 2, 8 of 1 MB" in lines
    assert "Work so far: requests 12, uploads 3" in lines


def test_service_that_says_nothing_about_itself() -> None:
    """A report is wanted most where the service is of another version."""
    text = service_report.compose({}, [{}], GIMP)
    assert "Memory: 0 MB now, 0 MB at most" in text
    assert VERSION in text


def test_fields_of_a_card_that_this_version_does_not_know() -> None:
    lines = service_report.card({**CHROMA, "side": 256, "tags": ["small"]}).splitlines()
    assert "side: 256" in lines
    assert "tags: ['small']" in lines


def test_card_leaves_out_what_is_empty_and_ends_with_its_text() -> None:
    card = service_report.card(CHROMA)
    assert card.startswith("Model Chroma\n")
    assert card.endswith("\n\n# Chroma")
    assert "source" not in card
    assert service_report.card({"name": "bare"}) == "Model bare\nname: bare"


def test_log_ends_with_its_last_lines(tmp_path: Path) -> None:
    file = tmp_path / "service.log"
    file.write_bytes(b"".join(b"line %d \xff\n" % number for number in range(100)))
    lines = service_report.log({"log": str(file)}).splitlines()
    assert lines[0] == f"Log {file}"
    assert len(lines) == 1 + service_report.LOG_LINES
    assert lines[-1].startswith("line 99 ")


def test_log_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    text = service_report.log({"log": str(tmp_path / "none.log")})
    assert "none.log cannot be read" in text
    assert "cannot be read" in service_report.log({})


def test_version_is_the_package_s() -> None:
    project = tomllib.loads((Path(__file__).resolve().parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["version"] == VERSION
