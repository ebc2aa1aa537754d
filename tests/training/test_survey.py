"""The survey's page: self-contained, complete, and nothing in it to guess from."""

import argparse
import base64
import io
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from colorize_engine import networks, weights
from colorize_training.commands import survey
from colorize_training.commands.survey import SurveySettings, survey_page
from colorize_training.data import PackedPhotographs
from colorize_training.pictures import shown_gray
from PIL import Image

SETTINGS = SurveySettings(pictures=3, practice=2, checks=1)


@pytest.fixture(scope="module")
def record_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], weights.WeightsRecord]:
    """Weights files of untrained networks, by their names."""
    folder = tmp_path_factory.mktemp("weights")

    def make(name: str) -> weights.WeightsRecord:
        path = folder / f"{len(list(folder.iterdir()))}.safetensors"
        torch.manual_seed(len(name))
        network = networks.build("chroma", {})
        weights.save(network, path, recipe="chroma", name=name, title=f"</script> {name}", licence="none", side=64)
        return weights.read_record(path)

    return make


@pytest.fixture(scope="module")
def page(packed: PackedPhotographs, record_of: Callable) -> str:
    return survey_page(packed, [record_of("one"), record_of("another")], SETTINGS)


def data_of(page: str) -> tuple[dict, list[dict]]:
    """What the script reads, and its key."""
    (text,) = re.findall(r'<script type="application/json" id="survey">(.*?)</script>', page, re.DOTALL)
    survey = json.loads(text)
    return survey, json.loads(base64.b64decode(survey["key"]))


def picture(uri: str) -> np.ndarray:
    kind, _, content = uri.partition(",")
    assert kind == "data:image/jpeg;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))


def test_the_page_needs_nothing_from_elsewhere(page: str) -> None:
    assert "://" not in page
    assert not re.search(
        r"""(?:src|href)=["'](?!data:)|@import|url\(|fetch\(|XMLHttpRequest|sendBeacon|WebSocket""", page
    )
    assert "default-src 'none'" in page
    assert page.count("<script") == page.count("</script>") == 2  # a title with a tag in it ended nothing


def test_every_picture_is_there_with_all_its_colours(page: str, packed: PackedPhotographs) -> None:
    survey, key = data_of(page)
    assert Counter(entry["use"] for entry in key) == {"practice": 2, "check": 1, "trial": 3}
    assert len({entry["name"] for entry in key}) == 6
    by_name = dict(zip((Path(name).name for name in packed.names), range(len(packed)), strict=True))
    seen = []
    for entry in key:
        truth = packed[by_name[entry["name"]]]
        assert np.abs(picture(survey["images"][entry["truth"]]).astype(int) - truth).mean() < 4
        assert set(entry["made"]) == ({"gray"} if entry["use"] == "check" else {"one", "another"})
        seen += [entry["truth"], *entry["made"].values()]
        for place in entry["made"].values():
            assert picture(survey["images"][place]).shape == truth.shape
    assert sorted(seen) == list(range(len(survey["images"]))) == list(range(5 * 3 + 2))
    check = next(entry for entry in key if entry["use"] == "check")
    assert np.ptp(picture(survey["images"][check["made"]["gray"]]).astype(int), axis=2).max() == 0
    assert survey["seconds"] == 1.0
    assert [w["title"] for w in survey["weights"]] == ["</script> one", "</script> another"]


@pytest.fixture
def no_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a network would take time for is none of the test's matter."""
    monkeypatch.setattr(survey.Colorizer, "load", lambda _: SimpleNamespace(set_image=lambda gray: gray))
    monkeypatch.setattr(survey, "coloured", lambda _, gray, __: shown_gray(gray))


def test_the_order_of_the_pictures_tells_nothing(
    packed: PackedPhotographs, record_of: Callable, page: str, no_colours: None
) -> None:
    record, orders = record_of("one"), set()
    for seed in range(6):
        settings = SurveySettings(pictures=4, practice=0, checks=0, seed=seed)
        data, key = data_of(survey_page(packed, [record], settings))
        truths = [entry["truth"] for entry in key]
        orders.add(tuple(n in truths for n in range(len(data["images"]))))
    assert len(orders) > 2
    assert not re.search("truth|made|trueLeft", json.dumps(data_of(page)[0]))
    body = page.partition("<main>")[2].partition("<script")[0]
    assert [re.sub(r"\s+", " ", tag) for tag in re.findall(r"<img[^>]*>", body)] == [
        '<img id="left" alt="Left picture">',
        '<img id="right" alt="Right picture">',
    ]


def test_the_same_survey_has_the_same_name(packed: PackedPhotographs, record_of: Callable, no_colours: None) -> None:
    record = record_of("one")
    settings = [SurveySettings(2, 0, 0, seconds=s) for s in (1, 1, 2)]
    names = [data_of(survey_page(packed, [record], s))[0]["id"] for s in settings]
    assert names[0] == names[1] != names[2]


def test_what_cannot_be_asked_is_refused(packed: PackedPhotographs, record_of: Callable) -> None:
    one = record_of("one")
    with pytest.raises(ValueError, match="12 photographs are too few for a survey of 46"):
        survey_page(packed, [one], SurveySettings())
    with pytest.raises(ValueError, match="names of their own"):
        survey_page(packed, [one, one], SETTINGS)
    with pytest.raises(ValueError, match="names of their own"):
        survey_page(packed, [record_of("gray")], SETTINGS)
    with pytest.raises(ValueError, match="at least one picture"):
        survey_page(packed, [one], SurveySettings(pictures=0))


def test_the_command_writes_the_page(picture_folder: Path, record_of: Callable, tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    survey.add_command(parser.add_subparsers())
    line = f"survey --data {picture_folder} --weights {record_of('one').path} --out {tmp_path}/survey.html --side 64"
    line += " --pictures 2 --practice 1 --checks 0 --seconds 0 --single"
    arguments = parser.parse_args(line.split())
    assert arguments.run(arguments) == 0
    data, key = data_of((tmp_path / "survey.html").read_text(encoding="utf-8"))
    assert (data["single"], data["seconds"], len(key)) == (True, 0.0, 3)
    assert min(picture(data["images"][0]).shape[:2]) == 64
