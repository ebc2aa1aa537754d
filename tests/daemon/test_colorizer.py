"""The engine with the weights that are shipped, on real photographs made gray."""

from pathlib import Path

import numpy as np
import pytest
import torch
from colorize_client import HintTiles, Options
from colorize_engine import weights
from colorize_engine.colorizer import Colorizer, NoDevice, choose_device
from colorize_engine.network_input import NetworkInput, reduce_gray
from skimage.color import lab2rgb, rgb2lab

RED = (200, 60, 30)


SHIPPED = {record.name: record for record in weights.available()}
LEAK = {"chroma": 1 / 4, "chroma-lite": 1 / 2}  # of a stroke to other things; a coarser grid lets more pass


@pytest.fixture(scope="module", params=SHIPPED)
def colorizer(request: pytest.FixtureRequest) -> Colorizer:
    return Colorizer.load(SHIPPED[request.param], "cpu")


def colour(
    colorizer: Colorizer, gray: np.ndarray, layout: str = "rgb8", hints: HintTiles | None = None, **options: float
) -> np.ndarray:
    embedding = colorizer.set_image(gray)
    prediction = colorizer.predict(embedding, hints, Options(**options))
    bands = list(colorizer.render(embedding, prediction, layout))
    assert [y for y, _ in bands] == list(np.cumsum([0, *(len(b) for _, b in bands)])[:-1])
    return np.concatenate([band for _, band in bands])


def stroke(x: int, y: int, w: int, h: int, rgb: tuple[int, int, int], alpha: int = 255) -> HintTiles:
    return HintTiles([(x, y, w, h)], [bytes((*rgb, alpha)) * (w * h)])


def chroma(rgb: np.ndarray) -> np.ndarray:
    return np.linalg.norm(rgb2lab(rgb)[..., 1:], axis=-1)


def test_a_photograph_gets_colour_and_keeps_its_lightness(colorizer: Colorizer, any_photograph) -> None:
    gray = any_photograph.gray
    coloured = colour(colorizer, gray)
    assert coloured.shape == (*gray.shape, 3)
    assert chroma(coloured).mean() > 5
    neutral = np.repeat(gray[..., None], 3, -1)
    difference = np.abs(rgb2lab(coloured)[..., 0] - rgb2lab(neutral)[..., 0])
    assert difference.max() < 0.6


def test_a_stroke_is_obeyed_and_stays_on_its_thing(colorizer: Colorizer, photograph) -> None:
    gray, red = photograph("coffee").gray, (180, 60, 40)
    asked = rgb2lab(np.array(red, float)[None, None] / 255)[0, 0, 1:]
    before = rgb2lab(colour(colorizer, gray))[..., 1:]
    after = rgb2lab(colour(colorizer, gray, hints=stroke(100, 262, 50, 10, red)))[..., 1:]  # on the saucer
    assert np.median(np.linalg.norm(after - asked, axis=-1)[262:272, 100:150]) < 8
    moved, missing = (np.linalg.norm(ab - before, axis=-1) for ab in (after, asked))
    saucer, cup, table = (
        np.median(moved[place]) for place in (np.s_[290:310, 95:140], np.s_[40:90, 220:380], np.s_[60:200, 500:590])
    )
    assert saucer > 0.4 * np.median(missing[290:310, 95:140])
    assert max(cup, table) < LEAK[colorizer.record.name] * saucer


@pytest.mark.parametrize("colorizer", ["chroma"], indirect=True)
def test_a_likely_colour_tells_of_the_rest_and_an_unlikely_one_does_not(colorizer: Colorizer, photograph) -> None:
    gray = photograph("coffee").gray
    before = rgb2lab(colour(colorizer, gray))[..., 1:]
    expected = rgb2lab(colour(colorizer, gray, temperature=1.0))[100:120, 100:120].mean((0, 1))
    changes = []
    for away in (20, 60):
        asked = (lab2rgb(expected + [0, 0, -away]) * 255).clip(0, 255).round().astype(int)
        after = rgb2lab(colour(colorizer, gray, hints=stroke(100, 100, 20, 20, tuple(asked))))[..., 1:]
        assert np.median(np.linalg.norm(after - before, axis=-1)[102:118, 102:118]) > 10
        changes.append(np.median(np.linalg.norm(after - before, axis=-1)[200:, 450:]))
    assert changes[0] > 2 * changes[1]


def test_a_gray_hint_keeps_gray(colorizer: Colorizer, photograph) -> None:
    coloured = colour(colorizer, photograph("chelsea").gray, hints=stroke(200, 100, 40, 40, (128, 128, 128)))
    assert np.median(chroma(coloured)[105:135, 205:235]) < 4


def test_a_gray_hint_leaves_the_rest_its_colours(colorizer: Colorizer, photograph) -> None:
    gray = photograph("coffee").gray
    before, after = colour(colorizer, gray), colour(colorizer, gray, hints=stroke(560, 20, 30, 30, (128, 128, 128)))
    assert np.median(chroma(after)[24:46, 564:586]) < 4
    far = np.s_[250:, :300]
    assert np.median(chroma(after)[far]) > 0.8 * np.median(chroma(before)[far]) > 5


def test_transparent_tiles_are_no_hints(colorizer: Colorizer, photograph) -> None:
    gray = photograph("rocket").gray
    embedding = colorizer.set_image(gray)
    none, clear = (colorizer.predict(embedding, hints) for hints in (None, stroke(10, 10, 50, 50, RED, alpha=0)))
    assert clear.hint_cells == 0
    assert torch.equal(none.ab, clear.ab)


def test_saturation_zero_is_gray_and_hints_survive_it(colorizer: Colorizer, photograph) -> None:
    gray = photograph("astronaut").gray
    assert np.array_equal(colour(colorizer, gray, saturation=0.0), np.repeat(gray[..., None], 3, -1))
    hinted = colour(colorizer, gray, saturation=0.0, hints=stroke(220, 300, 60, 10, RED))
    assert np.median(chroma(hinted)[300:310, 220:280]) > 30


def test_lower_temperature_is_more_vivid(colorizer: Colorizer, photograph) -> None:
    gray = photograph("coffee").gray
    means = [chroma(colour(colorizer, gray, temperature=t)).mean() for t in (1.0, 0.4, 0.1)]
    assert means[0] < means[1] < means[2]


def test_layouts_agree(colorizer: Colorizer, photograph) -> None:
    gray16 = photograph("chelsea").gray16
    rgb8, rgb16, ab16 = (colour(colorizer, gray16, layout) for layout in ("rgb8", "rgb16", "ab16"))
    assert (rgb8.dtype, rgb16.dtype, ab16.dtype) == (np.uint8, np.uint16, np.int16)
    assert np.abs(rgb16 / 257 - rgb8).max() <= 0.55  # the 8-bit encoder's table has steps of a twentieth
    assert np.abs(rgb2lab(rgb16 / 65535)[..., 1:] - ab16 / 256).max() < 0.05


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 1), (2, 3), (33, 257), (700, 90)])
def test_any_size(colorizer: Colorizer, shape: tuple[int, int]) -> None:
    gray = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    hint = stroke(0, 0, 1, 1, RED)
    assert colour(colorizer, gray, hints=hint).shape == (*shape, 3)


def test_a_check_that_raises_stops_every_step(colorizer: Colorizer, photograph) -> None:
    class Enough(Exception):
        pass

    def check() -> None:
        raise Enough

    gray = photograph("rocket").gray
    with pytest.raises(Enough):
        colorizer.set_image(gray, check)
    embedding = colorizer.set_image(gray)
    with pytest.raises(Enough):
        colorizer.predict(embedding, check=check)
    prediction = colorizer.predict(embedding)
    with pytest.raises(Enough):
        list(colorizer.render(embedding, prediction, "rgb8", check))


def test_the_frame_keeps_the_aspect_and_the_area() -> None:
    for height, width in [(4000, 6000), (6000, 4000), (256, 256), (3000, 9000)]:
        frame = NetworkInput.fit(height, width, 256, 32)
        assert abs(frame.height / frame.width / (height / width) - 1) < 0.02
        assert abs(frame.height * frame.width / 256**2 - 1) < 0.02
        assert all(side % 32 == 0 for side in frame.padded)


def test_reduction_is_an_area_average(photograph) -> None:
    gray = photograph("coffee").gray[:400, :600]
    expected = gray.reshape(100, 4, 150, 4).mean((1, 3)) / 255
    assert np.abs(reduce_gray(gray, 100, 150)[0, 0].numpy() - expected).max() < 1e-5
    assert reduce_gray(gray[:3, :5], 32, 48).shape == (1, 1, 32, 48)


def test_two_networks_come_along_with_their_cards_and_the_larger_is_the_default() -> None:
    assert [(name, record.default) for name, record in SHIPPED.items()] == [("chroma", True), ("chroma-lite", False)]
    assert all(record.card.startswith(f"# Model card: {name}\n") for name, record in SHIPPED.items())
    large, small = (sum(p.numel() for p in weights.load(record).parameters()) for record in SHIPPED.values())
    assert small < large


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    shipped = next(r for r in weights.available() if r.default)
    data = shipped.path.read_bytes()
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(data[:-1000] + bytes(1000))
    with pytest.raises(weights.BadWeights, match="damaged"):
        weights.load(weights.read_record(copy))
    copy.write_bytes(data[: len(data) // 2])
    with pytest.raises(weights.BadWeights, match=r"copy\.safetensors"):
        weights.read_record(copy)
    copy.write_bytes(b"\x80\x04pickle" * 10)
    with pytest.raises(weights.BadWeights, match="cannot be read"):
        weights.available([copy])
    with pytest.raises(weights.BadWeights, match="no such file"):
        weights.available([tmp_path / "absent"])


def test_a_device_that_is_not_there_is_named() -> None:
    assert choose_device("cpu").type == "cpu"
    with pytest.raises(NoDevice, match="no device 'abacus'"):
        choose_device("abacus")


def test_weights_in_the_own_folder_are_offered_and_a_bad_file_there_harms_nobody(
    colorizer: Colorizer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    weights.save(
        colorizer.network, tmp_path / "mine.safetensors", recipe="chroma", name="mine", title="", licence="", side=64
    )
    (tmp_path / "nonsense.safetensors").write_bytes(b"\x00" * 100)
    names = [[record.name for record in weights.available(own=tmp_path)] for _ in range(2)]
    assert names == [["mine", *SHIPPED]] * 2
    assert [record.name for record in weights.available(own=tmp_path / "not there")] == list(SHIPPED)
    assert len([line for line in caplog.messages if "nonsense.safetensors cannot be read" in line]) == 1
