"""The report that the user copies: complete, and readable also where the service is of another version."""

from __future__ import annotations

import gettext
import tomllib
from dataclasses import asdict
from pathlib import Path
from typing import get_args

import pytest
import service_report
from colorize_client.errors import SENTENCES, ServiceSilent
from colorize_daemon.model_store import describe
from colorize_daemon.worker import Counters, State
from standin_engine import Record
from version import VERSION

GERMAN = gettext.translation("colorize", Path(service_report.__file__).parent / "locale", ["de"]).gettext

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


def test_a_device_by_its_name() -> None:
    assert service_report.device({"device": "cpu", "device_name": "AMD EPYC 7763, 2 cores"}) == (
        "AMD EPYC 7763, 2 cores (cpu)"
    )
    assert service_report.device({"device": "cuda", "device_name": "NVIDIA H100"}) == "NVIDIA H100 (cuda)"
    assert service_report.device({"device": "cuda", "device_name": ""}) == "cuda"
    assert service_report.device({"device": "", "device_name": ""}) == "not known yet"


@pytest.fixture
def german(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_report, "_", GERMAN)


STATUS_NOW = {**STATUS, "device": "", "device_name": "", "counters": asdict(Counters(*range(1, 8)))}
MODEL_NOW = {**describe(Record("chroma")), "loaded": True, "card": "# Chroma"}


def rows(text: str) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)


@pytest.mark.usefixtures("german")
@pytest.mark.parametrize("state", get_args(State))
def test_every_state_in_german(state: str) -> None:
    shown = rows(service_report.state({**STATUS_NOW, "state": state}))["Zustand"]
    assert shown == GERMAN(service_report.STATES[state])
    assert shown not in (state, service_report.STATES[state])


@pytest.mark.usefixtures("german")
def test_every_counter_in_german() -> None:
    counters = STATUS_NOW["counters"]
    shown = rows(service_report.state(STATUS_NOW))["Bisherige Arbeit"].split(", ")
    assert len(shown) == len(counters)
    for (name, value), words in zip(counters.items(), shown, strict=True):
        assert words == f"{GERMAN(service_report.COUNTERS[name])} {value}"
        assert not words.startswith((name, service_report.COUNTERS[name]))


@pytest.mark.usefixtures("german")
def test_every_row_of_a_model_in_german() -> None:
    shown = service_report.card(MODEL_NOW)
    english = {*MODEL_NOW, *service_report.MODEL_FACTS.values()}
    assert english.isdisjoint(rows(shown))
    assert {"True", "False", "yes", "no"}.isdisjoint(rows(shown).values())
    assert {"ja", "nein"} <= set(rows(shown).values())
    assert shown.endswith("\n\nModellkarte (auf Englisch):\n\n# Chroma")


@pytest.mark.usefixtures("german")
@pytest.mark.parametrize(
    ("count", "shown"), [("1 core", "AMD EPYC 7763, 1 Kern (cpu)"), ("12 cores", "AMD EPYC 7763, 12 Kerne (cpu)")]
)
def test_cores_in_german(count: str, shown: str) -> None:
    assert service_report.device({"device": "cpu", "device_name": f"AMD EPYC 7763, {count}"}) == shown


@pytest.mark.usefixtures("german")
def test_a_word_from_the_future_is_shown_as_it_came() -> None:
    text = service_report.state({**STATUS, "state": "dreaming", "device": "npu", "counters": {"naps": 3}})
    assert {"Zustand: dreaming", "Gerät: npu", "Bisherige Arbeit: naps 3"} <= set(text.splitlines())


@pytest.mark.usefixtures("german")
def test_a_failure_in_german_says_that_its_cause_is_english() -> None:
    sentence, cause, facts = service_report.failure(ServiceSilent("nothing came for 30 s"), GIMP).split("\n\n")
    assert sentence == GERMAN(SENTENCES["service-silent"]) != SENTENCES["service-silent"]
    assert cause == "Ursache (auf Englisch): nothing came for 30 s"
    assert f"Plugin: {VERSION}" in facts


def test_a_failure_without_a_cause() -> None:
    assert service_report.failure(ServiceSilent(), GIMP).startswith(f"{ServiceSilent.sentence}\n\nGIMP: {GIMP}\n")


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
