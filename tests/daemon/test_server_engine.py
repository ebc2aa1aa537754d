"""The service with the real engine and the installed weights, as a program, on a real photograph."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from colorize_client import Cancelled, HintTiles, Options, connect, discovery, errors
from colorize_daemon import devices
from service_fixtures import Canvas, noise, picture_of, private_state, wait_for
from skimage import color, data

RED = (200, 40, 40)
FACTS = ("device", "device_name")


@pytest.fixture(scope="module")
def gray() -> np.ndarray:
    return (color.rgb2gray(data.coffee()) * 255).round().astype(np.uint8)


def test_the_installed_model_is_listed_before_the_engine_is_there(engine_service):
    models = engine_service.models()
    assert models[0]["card"].startswith("# Model card")
    assert [model["default"] for model in models].count(True) == 1


def test_listing_models_does_not_import_torch():
    listing = (
        "import sys; from colorize_engine import weights; assert weights.available(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", listing]).returncode == 0


def test_the_services_threads_do_not_spin_for_long():
    """GNU's OpenMP, which PyTorch's packages for Linux carry, prints its settings when it is loaded."""
    words = [sys.executable, "-m", "colorize_daemon.main", "--device", "cpu"]
    with private_state():
        environment = {**os.environ, "OMP_DISPLAY_ENV": "VERBOSE"}
        environment.pop("GOMP_SPINCOUNT", None)
        daemon = subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True)
        wait_for(discovery.find_service)
        with connect(client="tests", launch=False) as client:
            client.colorize(picture_of(noise(40, 60)), on_band=Canvas(40, 60).on_band)
            client.stop()
    assert "GOMP_SPINCOUNT = '20000'" in daemon.communicate()[1]


def test_a_photograph_is_coloured_and_a_stroke_changes_it_without_an_upload(engine_service, gray):
    picture, plain, hinted = picture_of(gray), Canvas(*gray.shape), Canvas(*gray.shape)
    stages: set[str] = set()
    first = engine_service.colorize(picture, on_band=plain.on_band, on_progress=lambda stage, _: stages.add(stage))
    stroke = HintTiles([(230, 66, 40, 12)], [bytes((*RED, 255)) * 480])
    second = engine_service.colorize(picture, stroke, on_band=hinted.on_band)
    assert {"loading", "upload", "encode", "hints", "lift"} <= stages
    assert (first["uploaded"], first["encoded"], first["hint_cells"]) == (True, True, 0)
    assert (second["uploaded"], second["encoded"]) == (False, False)
    assert second["hint_cells"] > 0
    assert engine_service.status()["counters"]["uploads"] == 1
    lightness, chroma = np.split(color.rgb2lab(plain.pixels), [1], axis=-1)
    assert np.abs(lightness[..., 0] - color.rgb2lab(color.gray2rgb(gray))[..., 0]).max() < 1.0
    assert np.hypot(*np.moveaxis(chroma, -1, 0)).mean() > 1.0
    under = color.rgb2lab(hinted.pixels)[66:78, 230:270, 1:]
    assert np.median(np.linalg.norm(under - color.rgb2lab(np.array(RED) / 255)[1:], axis=-1)) < 8


def test_the_device_is_known_once_the_engine_is_there(engine_service):
    status = engine_service.status()
    assert (status["device"], status["device_name"]) == ("cpu", devices.processor())


def test_the_device_is_known_before_anything_is_asked_for():
    """With --device auto: the engine is enough, whose import begins with the first hello; no model has to be loaded."""
    words = [sys.executable, "-m", "colorize_daemon.main"]
    with private_state():
        daemon = subprocess.Popen(words)
        wait_for(discovery.find_service)
        with connect(client="tests", launch=False) as client:
            assert client.status()["device"] in ("", "cpu", "cuda", "mps")
            wait_for(lambda: client.status()["device"])
            status = client.status()
            assert status["device_name"]
            assert status["models"] == []
            result = client.prepare(picture_of(noise(40, 60)))
            assert [result[name] for name in FACTS] == [status[name] for name in FACTS]
            client.stop()
        assert daemon.wait() == 0


def test_a_prepared_photograph_costs_no_encoding(engine_service, gray):
    """Another photograph than the tests before: half of theirs."""
    half, canvas, stages = np.ascontiguousarray(gray[:, ::2]), Canvas(gray.shape[0], gray.shape[1] // 2), set()
    ready = engine_service.prepare(picture_of(half), on_progress=lambda stage, _: stages.add(stage))
    before = engine_service.status()["counters"]
    result = engine_service.colorize(picture_of(half), on_band=canvas.on_band)
    after = engine_service.status()["counters"]
    assert (ready["uploaded"], ready["encoded"], stages >= {"upload", "encode"}) == (True, True, True)
    assert ready["timings"]["encode"] > 0
    assert (result["timings"]["encode"], result["encoded"], result["uploaded"]) == (0, False, False)
    assert (after["encodes"], after["uploads"]) == (before["encodes"], before["uploads"])
    again = Canvas(*half.shape)
    engine_service.colorize(picture_of(half), on_band=again.on_band)
    assert np.array_equal(canvas.pixels, again.pixels)


def test_preparing_is_cancelled_between_the_engines_steps(engine_service, gray):
    def enough(stage: str, fraction: float) -> None:
        if stage == "encode":
            raise Cancelled

    third = picture_of(np.ascontiguousarray(gray[::3]))
    before = engine_service.status()["counters"]["encodes"]
    with pytest.raises(Cancelled):
        engine_service.prepare(third, on_progress=enough)
    wait_for(lambda: engine_service.status()["jobs"] == 0)
    after = engine_service.status()["counters"]["encodes"]
    assert engine_service.prepare(third)["encoded"] == (after == before)


def test_sixteen_bits_come_back_as_sixteen_bits(engine_service, gray):
    deep = gray.astype(np.uint16) * 257
    canvas = Canvas(*gray.shape, "rgb16")
    result = engine_service.colorize(picture_of(deep), layout="rgb16", on_band=canvas.on_band)
    assert result["encoded"]
    assert len(np.unique(canvas.pixels[..., 0])) > 256


def test_a_picture_of_one_pixel_is_coloured(engine_service):
    canvas = Canvas(1, 1, "ab16")
    engine_service.colorize(picture_of(np.full((1, 1), 128, np.uint8)), layout="ab16", on_band=canvas.on_band)
    assert (np.abs(canvas.pixels) < 256 * 128).all()


def test_memory_is_what_the_cache_says(engine_service, gray):
    memory = engine_service.status()["memory"]
    assert 0 < memory["cache_bytes"] <= memory["cache_budget"]
    assert memory["rss"] <= memory["peak_rss"]


def test_a_device_that_is_not_there_is_a_sentence_and_the_service_goes_on():
    words = [sys.executable, "-m", "colorize_daemon.main", "--device", "cuda"]
    with private_state():
        daemon = subprocess.Popen(words, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""})
        wait_for(discovery.find_service)
        with connect(client="tests", launch=False) as client:
            for _ in range(2):
                with pytest.raises(errors.NoDevice, match="--device auto") as caught:
                    client.colorize(picture_of(noise(40, 60)), on_band=Canvas(40, 60).on_band)
                assert "no device 'cuda'" in caught.value.detail
            assert client.status()["device"] == "cuda"
            client.stop()
        assert daemon.wait() == 0


def test_hints_without_paint_are_named(engine_service, gray):
    """A stroke that was erased leaves its tile: the colours are the network's own, and the user is told."""
    picture, plain, hinted = picture_of(gray), Canvas(*gray.shape), Canvas(*gray.shape)
    engine_service.colorize(picture, on_band=plain.on_band)
    erased = HintTiles([(230, 66, 40, 12)], [bytes((*RED, 0)) * 480])
    result = engine_service.colorize(picture, erased, on_band=hinted.on_band)
    assert result["hint_cells"] == 0
    assert result["notes"] == ["The hints are transparent everywhere, so none were used."]
    assert np.array_equal(hinted.pixels, plain.pixels)


def test_what_is_kept_has_its_colours_without_hints(engine_service, gray):
    """Red on the saucer that means everything, and a stroke of any colour on the cup."""
    picture, far = picture_of(gray), Options(alike=True, reach=1.0)
    red = HintTiles([(100, 262, 50, 10)], [bytes((*RED, 255)) * 500])
    cup = HintTiles([(230, 60, 60, 10)], [bytes((0, 255, 0, 255)) * 600])
    plain, hinted, spared = (Canvas(*gray.shape) for _ in range(3))
    engine_service.colorize(picture, options=far, on_band=plain.on_band)
    engine_service.colorize(picture, red, far, on_band=hinted.on_band)
    result = engine_service.colorize(picture, red, far, kept=cup, on_band=spared.on_band)
    assert result["notes"] == []
    moved, left = (
        np.median(np.linalg.norm(lab_under(canvas) - lab_under(plain), axis=-1)) for canvas in (hinted, spared)
    )
    assert moved > 10
    assert left < 4


def lab_under(canvas: Canvas) -> np.ndarray:
    return color.rgb2lab(canvas.pixels)[60:70, 230:290]
