"""The engine with the weights that are shipped, on real photographs made gray."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from colorize_client import HintTiles, Options
from colorize_engine import weights
from colorize_engine.colorizer import Colorizer, NoDevice, choose_device
from colorize_engine.network_input import NetworkInput, reduce_gray
from skimage.color import rgb2lab

RED = (200, 60, 30)


SHIPPED = {record.name: record for record in weights.available()}
FILLED = {"chroma": 0.8, "chroma-free": 0.7}  # of what one stroke asks for; the other one's card says why it fills less


@pytest.fixture(scope="module", params=SHIPPED)
def colorizer(request: pytest.FixtureRequest) -> Colorizer:
    return Colorizer.load(SHIPPED[request.param], "cpu")


def colour(
    colorizer: Colorizer, gray: np.ndarray, layout: str = "rgb8", hints: HintTiles | None = None, **options: Any
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


SUIT, BEHIND, FLAG = np.s_[350:430, 90:180], np.s_[60:200, 300:400], np.s_[100:300, :40]  # of the astronaut
ON_SUIT, ON_WALL = (100, 430, 60, 10), (310, 60, 80, 10)


def ab_of(colorizer: Colorizer, gray: np.ndarray, hints: HintTiles | None, **options: Any) -> np.ndarray:
    return rgb2lab(colour(colorizer, gray, hints=hints, **options))[..., 1:]


def change(one: np.ndarray, other: np.ndarray, place: tuple[slice, slice]) -> float:
    return float(np.median(np.linalg.norm(one - other, axis=-1)[place]))


def test_a_stroke_is_obeyed_fills_its_thing_and_stays_on_it(colorizer: Colorizer, photograph) -> None:
    gray, blue = photograph("astronaut").gray, (40, 70, 160)
    asked = rgb2lab(np.array(blue, float)[None, None] / 255)[0, 0, 1:]
    before, after = ab_of(colorizer, gray, None), ab_of(colorizer, gray, stroke(*ON_SUIT, blue))
    assert np.median(np.linalg.norm(after - asked, axis=-1)[430:440, 100:160]) < 3
    filled = FILLED[colorizer.record.name]
    assert change(before, after, SUIT) > filled * np.median(np.linalg.norm(before - asked, axis=-1)[SUIT])
    assert np.array_equal(before[BEHIND], after[BEHIND])
    assert change(before, after, FLAG) < 1


def test_what_no_stroke_reaches_stays_bit_for_bit(colorizer: Colorizer, photograph) -> None:
    embedding = colorizer.set_image(photograph("astronaut").gray)
    plain = colorizer.predict(embedding).ab
    hinted = colorizer.predict(embedding, stroke(*ON_SUIT, RED)).ab
    left = (hinted == plain).all(0)
    assert 0.3 < left.float().mean() < 0.95


def test_a_later_stroke_does_not_move_what_an_earlier_one_settled(colorizer: Colorizer, photograph) -> None:
    gray = photograph("astronaut").gray
    first, second = (*ON_SUIT, (40, 70, 160)), (*ON_WALL, (60, 120, 60))
    one, other = stroke(*first), stroke(*second)
    both = HintTiles([*one.tiles, *other.tiles], [*one.data, *other.data])
    alone, together = ab_of(colorizer, gray, one), ab_of(colorizer, gray, both)
    assert change(alone, together, SUIT) == 0
    assert change(alone, together, np.s_[62:68, 312:388]) > 10


def test_strokes_answer_the_same_whatever_was_asked_before(colorizer: Colorizer, photograph) -> None:
    embedding = colorizer.set_image(photograph("coffee").gray)
    hints = stroke(250, 60, 80, 10, RED)
    fresh = colorizer.predict(embedding, hints).ab
    colorizer.predict(embedding, stroke(20, 20, 30, 8, (40, 70, 160)))
    assert torch.equal(fresh, colorizer.predict(embedding, hints).ab)
    assert len(embedding.answers) == 2


def test_a_kept_thing_keeps_its_colour(colorizer: Colorizer, photograph) -> None:
    embedding, options = colorizer.set_image(photograph("astronaut").gray), Options(reach=1.0)
    hints, kept = (
        stroke(*ON_SUIT, (40, 70, 160)),
        stroke(310, 470, 40, 10, (255, 255, 255)),
    )  # the other half of the suit
    plain, spread = (colorizer.predict(embedding, each, options).ab for each in (None, hints))
    spared = colorizer.predict(embedding, hints, options, kept=kept).ab
    height, width = plain.shape[1:]
    place = np.s_[:, 472 * height // 512 : 478 * height // 512, 312 * width // 512 : 348 * width // 512]
    assert (spared - plain)[place].norm(dim=0).max() < 0.1
    near = np.s_[:, 432 * height // 512 : 438 * height // 512, 105 * width // 512 : 155 * width // 512]
    assert torch.allclose(spared[near], spread[near], atol=0.5)
    assert torch.equal(colorizer.predict(embedding, None, options, kept=kept).ab, plain)


def test_regions_grow_with_the_option(colorizer: Colorizer, photograph) -> None:
    embedding, hints = colorizer.set_image(photograph("astronaut").gray), stroke(*ON_SUIT, (40, 70, 160))
    plain = colorizer.predict(embedding).ab
    shares = [
        float(((colorizer.predict(embedding, hints, Options(reach=reach)).ab - plain).norm(dim=0) > 10).float().mean())
        for reach in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    assert shares == sorted(shares)
    assert 0 < shares[0] < shares[2] < shares[4] < 0.9


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


def test_the_default_network_comes_along_with_its_card() -> None:
    assert [(name, record.default) for name, record in SHIPPED.items()] == [("chroma", True), ("chroma-free", False)]
    assert all(record.card.startswith(f"# Model card: {name}\n") for name, record in SHIPPED.items())
    assert all(record.path.stat().st_size <= 25e6 for record in SHIPPED.values())


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


def test_weights_of_a_network_that_was_built_otherwise_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    record = SHIPPED["chroma"]
    network = weights.load(record)
    state = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith("reach")}
    metadata = {"format": weights.FORMAT, "recipe": "chroma", "name": "old", "title": "", "licence": "", "side": "256"}
    metadata |= {"config": json.dumps(record.config), "sha256": weights.digest(state)}
    save_file(state, tmp_path / "old.safetensors", metadata)
    with pytest.raises(weights.BadWeights, match="made by another version"):
        weights.load(weights.read_record(tmp_path / "old.safetensors"))


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
