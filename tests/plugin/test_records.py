"""What lies on layers in XCF files: it is read back, also from other versions, and nothing foreign stops a run."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest
import records
from colorize_client import Options
from records import ResultRecord, Settings, StrokesRecord

TATTOO = 7
SETTINGS = {"model": "chroma", "vividness": 30.0, "saturation": 0.5, "output": "normal"}
SAVED = {"layer": TATTOO, "photo": 3, "hints": 5, "name": "Colorized – Chroma", "settings": SETTINGS}
RECORD = ResultRecord(TATTOO, 3, 5, "Colorized – Chroma", Settings("chroma", 30.0, 0.5, "normal"))
FOREIGN = [b"", b"null", b"7", b"[1, 2]", b"{", b"\xff\xfe", b"{}", b'{"photo": "3"}', b"[" * 100_000]


def saved(**changes: Any) -> bytes:
    """The record as version 0.1.0 saves it, with changes."""
    return json.dumps({**SAVED, **changes}).encode()


def without(name: str) -> bytes:
    return json.dumps({key: value for key, value in SAVED.items() if key != name}).encode()


def test_written_record_is_read_back() -> None:
    assert records.decode_result(records.encode(RECORD), TATTOO) == RECORD
    assert records.decode_strokes(records.encode(StrokesRecord(3))) == StrokesRecord(3)


def test_layer_names_in_any_script_become_ascii() -> None:
    record = ResultRecord(TATTOO, 3, 5, "着色 – größer", Settings())
    assert records.encode(record).isascii()
    assert records.decode_result(records.encode(record), TATTOO) == record


def test_saved_by_the_first_version() -> None:
    assert records.decode_result(saved(), TATTOO) == RECORD
    written = json.loads(records.encode(RECORD))
    assert {name: written[name] for name in SAVED} == {**SAVED, "settings": written["settings"]}
    assert {name: written["settings"][name] for name in SETTINGS} == SETTINGS


def test_what_came_after_the_first_version_is_read_back() -> None:
    record = ResultRecord(TATTOO, 3, 5, "Colorized", Settings(reach=0.25, alike=True), kept=9)
    assert records.decode_result(records.encode(record), TATTOO) == record
    assert records.decode_result(saved(), TATTOO).kept == records.NO_LAYER


def test_duplicate_is_no_result() -> None:
    assert records.decode_result(saved(), TATTOO + 1) is None


@pytest.mark.parametrize("content", FOREIGN)
def test_foreign_content_is_no_record(content: bytes) -> None:
    assert records.decode_result(content, TATTOO) is None
    assert records.decode_strokes(content) is None


@pytest.mark.parametrize("name", ["layer", "photo", "hints", "name"])
def test_record_that_lacks_a_part_is_none(name: str) -> None:
    assert records.decode_result(without(name), TATTOO) is None


def test_fields_of_a_newer_version_are_ignored() -> None:
    newer = saved(strokes=12, settings={**SETTINGS, "sharpness": 3})
    assert records.decode_result(newer, TATTOO) == RECORD
    assert records.decode_strokes(b'{"photo": 3, "scale": 2}') == StrokesRecord(3)


@pytest.mark.parametrize("settings", [None, [], "vivid", {}])
def test_without_settings_the_defaults_hold(settings: object) -> None:
    record = records.decode_result(saved(settings=settings), TATTOO)
    assert record is not None
    assert record.settings == Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [("vividness", "high"), ("saturation", None), ("model", 1), ("output", 2), ("output", "film")]
    + [("alike", 1), ("alike", None), ("reach", True), ("reach", "far")],
)
def test_setting_that_does_not_fit_takes_its_default(name: str, value: object) -> None:
    record = records.decode_result(saved(settings={**SETTINGS, name: value}), TATTOO)
    assert record is not None
    assert record.settings == Settings(**{**SETTINGS, name: getattr(Settings(), name)})


def test_whole_numbers_are_numbers() -> None:
    record = records.decode_result(saved(settings={**SETTINGS, "vividness": 30}), TATTOO)
    assert record == RECORD


def test_vividness_is_the_service_s_temperature() -> None:
    temperatures = [Settings(vividness=vividness).options.temperature for vividness in (0.0, 50.0, 100.0)]
    assert temperatures == pytest.approx([1.0, 0.55, 0.1])
    assert Settings("chroma", 50.0, 0.5).options == Options("chroma", 0.5, pytest.approx(0.55))


def test_reach_and_alike_are_the_service_s() -> None:
    options = Settings(reach=0.75, alike=True).options
    assert (options.reach, options.alike) == (0.75, True)


def test_defaults_are_the_client_s() -> None:
    options = Settings().options
    shared = ("model", "saturation", "reach", "alike")
    assert [getattr(options, name) for name in shared] == [getattr(Options(), name) for name in shared]
    assert options.temperature == pytest.approx(Options().temperature, abs=0.005)  # vividness is a whole number


def test_tattoos_are_read_back_and_foreign_ones_are_none() -> None:
    assert records.decode_tattoos(records.encode_tattoos([3, 9])) == [3, 9]
    for content in FOREIGN:
        assert all(type(each) is int for each in records.decode_tattoos(content))


def test_unknown_source_takes_the_default() -> None:
    settings = SETTINGS | {"source": "elsewhere"}
    assert records.decode_result(saved(settings=settings), TATTOO).settings.source == "auto"


def test_an_empty_text_that_gimp_gives_as_nothing_is_the_default() -> None:
    given = {**asdict(Settings()), "model": None, "vividness": 20.0}
    assert Settings.from_config(given.get) == Settings(vividness=20.0)
