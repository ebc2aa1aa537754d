"""Only what a change changes: which tiles these are, and that with them the picture is what a whole run makes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from colorize_client import HintTiles, Options
from colorize_client.messages import Newer, Update, pack_tiles
from colorize_client.tiling import Rectangle, cut
from colorize_engine import changes, weights
from colorize_engine.colorizer import Colorizer, Embedding, Prediction
from colorize_engine.windows import Detail, Window

SCALE = 4
NAVY, RED, GREEN = (40, 50, 110), (190, 50, 40), (60, 140, 60)
SUIT, WALL = (480, 1720, 240, 40), (1240, 240, 320, 40)  # x, y, width, height of strokes on the larger astronaut


@pytest.fixture(scope="module")
def colorizer() -> Colorizer:
    return Colorizer.load(next(record for record in weights.available() if record.default), "cpu")


@pytest.fixture(scope="module")
def embedding(colorizer: Colorizer, photograph) -> Embedding:
    return colorizer.set_image(np.kron(photograph("astronaut").gray, np.ones((SCALE, SCALE), np.uint8)))


def strokes(*boxes: tuple[Rectangle, tuple[int, int, int]]) -> HintTiles:
    return HintTiles([box for box, _ in boxes], [bytes((*rgb, 255)) * (w * h) for (_, _, w, h), rgb in boxes])


def whole(colorizer: Colorizer, embedding: Embedding, prediction: Prediction, layout: str = "rgb8") -> np.ndarray:
    return np.concatenate([band for _, band in colorizer.render(embedding, prediction, layout)])


def brought_up_to_date(
    colorizer: Colorizer, embedding: Embedding, before: Prediction, after: Prediction, layout: str = "rgb8"
) -> tuple[np.ndarray, list[Rectangle]]:
    """The picture that `before` makes with the tiles that `after` changes, and those tiles."""
    picture = whole(colorizer, embedding, before, layout)
    tiles = changes.changed_tiles(before, after, embedding.height, embedding.width)
    for x, y, pixels in colorizer.render_tiles(embedding, after, layout, tiles):
        picture[y : y + pixels.shape[0], x : x + pixels.shape[1]] = pixels
    return picture, tiles


def test_changed_tiles_and_what_was_there_are_the_whole_picture(colorizer: Colorizer, embedding: Embedding) -> None:
    eyes = strokes(((800, 400, 12, 4), NAVY), ((980, 408, 12, 4), NAVY))
    steps = [
        (None, Options()),
        (strokes((SUIT, NAVY)), Options()),
        (strokes((SUIT, NAVY), (WALL, RED)), Options()),
        (strokes((SUIT, NAVY), (WALL, NAVY)), Options()),
        (eyes, Options()),
        (eyes, Options(saturation=0.5)),
        (None, Options()),
    ]
    predictions = [colorizer.predict(embedding, hints, options) for hints, options in steps]
    assert predictions[4].details
    everything = len(list(cut(embedding.width, embedding.height)))
    counts = []
    for before, after in zip(predictions, predictions[1:], strict=False):
        picture, tiles = brought_up_to_date(colorizer, embedding, before, after)
        assert np.array_equal(picture, whole(colorizer, embedding, after))
        counts.append(len(tiles) / everything)
    assert max(counts[:3]) < 0.8
    assert counts[-2] > 0.9


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (700, 900), (257, 511)])
@pytest.mark.parametrize("layout", ["rgb8", "rgb16", "ab16"])
def test_any_changed_cells_change_no_other_tile(colorizer: Colorizer, size: tuple[int, int], layout: str) -> None:
    random = np.random.default_rng(3)
    embedding = colorizer.set_image(random.integers(0, 256, size, np.uint8))
    shape = embedding.lightness.shape
    before = Prediction(torch.from_numpy(random.normal(0, 30, (2, *shape)).astype(np.float32)), 0)
    for count in (1, 3, 40):
        ab = before.ab.clone()
        rows, columns = (torch.from_numpy(random.integers(0, side, count)) for side in shape)
        ab[:, rows, columns] += 20
        after = replace(before, ab=ab)
        picture, _ = brought_up_to_date(colorizer, embedding, before, after, layout)
        assert np.array_equal(picture, whole(colorizer, embedding, after, layout))


def detail(x: int, y: int, value: float) -> Detail:
    return Detail(Window(x, y, 200, 200), torch.full((8, 8), 50.0), torch.full((2, 8, 8), value), torch.ones(8, 8))


def test_the_order_of_details_counts_where_they_lie_over_each_other() -> None:
    plain = torch.zeros(2, 64, 64)
    one, other, far = detail(300, 300, 10.0), detail(400, 400, 20.0), detail(1500, 100, 30.0)
    before = Prediction(plain, 0, (one, other, far))
    assert changes.changed_tiles(before, replace(before), 2048, 2048) == []
    turned = changes.changed_tiles(before, replace(before, details=(other, one, far)), 2048, 2048)
    assert (256, 256, 256, 256) in turned
    gone = changes.changed_tiles(before, replace(before, details=(one, other)), 2048, 2048)
    assert gone == [(1280, 0, 256, 256), (1536, 0, 256, 256), (1280, 256, 256, 256), (1536, 256, 256, 256)]


def test_a_state_is_named_by_what_it_shows(colorizer: Colorizer, embedding: Embedding) -> None:
    one, again = (colorizer.predict(embedding, strokes((SUIT, NAVY))) for _ in range(2))
    other = colorizer.predict(embedding, strokes((SUIT, RED)))
    assert changes.state_of(one, "rgb8", "key") == changes.state_of(again, "rgb8", "key")
    cases = ((one, "rgb8", "key"), (one, "rgb16", "key"), (other, "rgb8", "key"), (one, "rgb8", "of another"))
    assert len({changes.state_of(*case) for case in cases}) == 4


def test_the_wanted_tiles_are_the_changed_and_the_stale_ones_the_nearest_first(
    colorizer: Colorizer, embedding: Embedding
) -> None:
    one, other = (colorizer.predict(embedding, hints) for hints in (None, strokes((SUIT, NAVY))))
    embedding.remember("one", one)
    everything = list(cut(embedding.width, embedding.height))
    changed = changes.changed_tiles(one, other, embedding.height, embedding.width)
    stale = next(tile for tile in everything if tile not in changed)
    asked = Update("one", pack_tiles([(stale[0] + 9, stale[1] + 9, 3, 3)]), near=(600, 1740))
    found = changes.wanted(embedding, other, "other", asked)
    assert sorted(found) == sorted([*changed, stale])
    assert found[0] == (512, 1536, 256, 256)
    both = Update("one", newer=Newer("other", pack_tiles(changed)))
    embedding.remember("other", other)
    assert changes.wanted(embedding, other, "other", both) == []
    assert sorted(changes.wanted(embedding, one, "one", both)) == sorted(changed)
    assert len(changes.wanted(embedding, other, "third", Update("one", draft=True))) <= changes.DRAWN
    assert changes.wanted(embedding, one, "one", Update("one")) == []
    assert changes.wanted(embedding, one, "one", Update("one", asked.stale)) == [stale]
    assert changes.wanted(embedding, other, "other", Update("unknown")) == everything
    assert changes.wanted(embedding, other, "other", Update()) == everything
    assert (everything[0], everything[-1], len(everything)) == ((0, 0, 256, 256), (1792, 1792, 256, 256), 64)


def test_the_last_states_are_known(colorizer: Colorizer, embedding: Embedding) -> None:
    prediction = colorizer.predict(embedding)
    for name in "abcde":
        embedding.remember(name, prediction)
        embedding.recall("a")
    assert embedding.recall("a") is prediction
    assert embedding.recall("b") is None
    assert embedding.recall("e") is prediction


def test_a_draft_on_what_may_be_small_asks_the_network_nothing(
    colorizer: Colorizer, embedding: Embedding, monkeypatch: pytest.MonkeyPatch
) -> None:
    dab = (1400, 300, 24, 8)
    plain = colorizer.predict(embedding)
    with monkeypatch.context() as patch:
        patch.setattr(colorizer, "_ask", None)
        patch.setattr(colorizer, "_encoded", None)
        draft = colorizer.predict(embedding, strokes((dab, RED)), draft=True)
    assert draft.draft
    changed = (draft.ab != plain.ab).any(0)
    assert 1 <= changed.sum() <= 6
    exact = colorizer.predict(embedding, strokes((dab, RED)))
    assert not exact.draft
    assert (exact.ab != plain.ab).any(0).sum() > 20
    assert not colorizer.predict(embedding, strokes((dab, RED)), draft=True).draft


def test_a_stroke_that_grows_keeps_in_a_draft_what_it_meant(colorizer: Colorizer, embedding: Embedding) -> None:
    plain = colorizer.predict(embedding)
    for short, longer in (((1400, 600, 20, 8), (1400, 600, 44, 8)), ((800, 400, 10, 4), (800, 400, 20, 4))):
        exact = colorizer.predict(embedding, strokes((short, RED)))
        draft = colorizer.predict(embedding, strokes((longer, RED)), draft=True)
        assert draft.draft
        assert len(draft.details) == len(exact.details)
        assert ((exact.ab != plain.ab).any(0) <= (draft.ab != plain.ab).any(0)).all()
        again = colorizer.predict(embedding, strokes((longer, GREEN)), draft=True)
        assert again.draft
        assert not again.details
