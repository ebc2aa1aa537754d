"""Colours that follow: a client asks for what changed and shows, tile by tile, what a whole run would bring."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import pytest
from colorize_client import Client, HintTiles, Options, Picture, connect, errors, launcher
from colorize_client.held import Held
from colorize_client.live import LiveSession
from service_fixtures import Canvas, impostor, picture_of, private_state, reply, wait_for
from skimage import data

SCALE = 3
NAVY, RED = (40, 50, 110), (190, 50, 40)
SUIT, WALL = (360, 1290, 180, 30), (930, 180, 240, 30)


@pytest.fixture(scope="module")
def picture() -> Picture:
    gray = data.astronaut().mean(-1).astype(np.uint8)
    return picture_of(np.kron(gray, np.ones((SCALE, SCALE), np.uint8)))


def strokes(*boxes: tuple[tuple[int, int, int, int], tuple[int, int, int]]) -> HintTiles:
    return HintTiles([box for box, _ in boxes], [bytes((*rgb, 255)) * (w * h) for (_, _, w, h), rgb in boxes])


class Screen:
    """A session and what its user sees."""

    def __init__(self, client: Client, picture: Picture, held: Held | None = None) -> None:
        self.pixels = np.zeros((picture.height, picture.width, 3), np.uint8)
        self.session = LiveSession(client, picture, "rgb8", held or Held(picture.width, picture.height))
        self.tiles: list[tuple[int, int]] = []

    def look(self) -> bool:
        """Shows what has come; whether nothing more will."""
        for part in self.session.take():
            rows = np.frombuffer(part.data, np.uint8).reshape(part.height, part.width, 3)
            self.pixels[part.y : part.y + part.height, part.x : part.x + part.width] = rows
            self.tiles.append((part.x, part.y))
        return not self.session.busy

    def ask(self, hints: HintTiles | None, **wishes: object) -> dict:
        """Asks, and shows all that comes."""
        self.tiles = []
        self.session.ask(hints, Options(), **wishes)
        wait_for(self.look)
        return self.session.result


def whole_run(client: Client, picture: Picture, hints: HintTiles | None) -> np.ndarray:
    canvas = Canvas(picture.height, picture.width)
    client.colorize(picture, hints, on_band=canvas.on_band)
    return canvas.pixels


@pytest.fixture
def screen(engine_service: Client, picture: Picture) -> Iterator[Screen]:
    with connect(client="tests") as client:
        yield Screen(client, picture)


def test_the_screen_shows_what_a_whole_run_makes(engine_service, picture, screen):
    everything = screen.ask(None)
    assert everything["tiles"] == len(screen.tiles) == 36
    assert np.array_equal(screen.pixels, whole_run(engine_service, picture, None))
    for hints in (strokes((SUIT, NAVY)), strokes((SUIT, NAVY), (WALL, RED)), strokes((WALL, RED)), None):
        result = screen.ask(hints)
        assert 0 < result["tiles"] == len(screen.tiles) < 36
        assert np.array_equal(screen.pixels, whole_run(engine_service, picture, hints))
    assert screen.ask(None)["tiles"] == 0


def test_the_nearest_tile_comes_first(screen):
    screen.ask(None)
    screen.ask(strokes((SUIT, NAVY)), near=(450, 1300))
    distances = [max(abs(x + 128 - 450), abs(y + 128 - 1300)) for x, y in screen.tiles]
    assert screen.tiles[0] == (256, 1280)
    assert distances[0] < distances[-1]


def test_a_newer_stroke_takes_the_place_of_the_older_one(engine_service, picture, screen):
    screen.ask(None)
    before = engine_service.status()["counters"]["cancelled"]
    for width in range(20, 180, 20):  # the brush goes on, faster than any network
        screen.session.ask(strokes(((*SUIT[:2], width, 30), NAVY)), Options())
        screen.look()
    last = strokes((SUIT, NAVY))
    screen.ask(last)
    assert engine_service.status()["counters"]["cancelled"] > before
    assert np.array_equal(screen.pixels, whole_run(engine_service, picture, last))


def test_drafts_bring_the_nearest_tiles_and_what_follows_brings_the_rest(engine_service, picture, screen):
    screen.ask(None)
    came = 0
    for width in (60, 120, 180):
        hints = strokes(((*SUIT[:2], width, 30), NAVY))
        draft = screen.ask(hints, near=(450, 1300), draft=True)
        assert 0 < draft["tiles"] == len(screen.tiles) <= 12
        came += draft["tiles"]
    assert screen.session.held.state == ""
    rest = screen.ask(hints)["tiles"]
    assert 0 < rest < 36
    assert np.array_equal(screen.pixels, whole_run(engine_service, picture, hints))
    assert screen.session.held.state


def test_a_session_goes_on_from_the_tiles_that_are_held(engine_service, picture, screen):
    screen.ask(strokes((SUIT, NAVY)))
    with connect(client="tests") as client:
        other = Screen(client, picture, screen.session.held)
        assert other.ask(strokes((SUIT, NAVY)))["tiles"] == 0
        held = Held(picture.width, picture.height, "0" * 32)
        assert Screen(client, picture, held).ask(None)["tiles"] == 36


def test_a_service_that_ended_is_noticed_and_the_next_one_brings_everything(picture):
    with private_state(), pytest.MonkeyPatch.context() as patch:
        patch.setenv(launcher.COMMAND_VARIABLE, f"{sys.executable} -m colorize_daemon.main --device cpu")
        with connect(client="tests") as client:
            screen = Screen(client, picture)
            screen.ask(None)
            with connect(client="tests") as other:
                other.stop()
            with pytest.raises(errors.ServiceLost):
                wait_for(screen.look) or wait_for(lambda: screen.look() and False)
        with connect(client="tests") as client:
            again = Screen(client, picture, screen.session.held)
            assert again.ask(strokes((SUIT, NAVY)))["tiles"] == 36
            assert np.array_equal(again.pixels, whole_run(client, picture, strokes((SUIT, NAVY))))


def test_a_held_picture_is_kept_alive(engine_service, picture, screen, monkeypatch):
    screen.ask(None)
    screen.session.keep_alive("")
    assert not screen.session.busy
    monkeypatch.setattr("colorize_client.live.HOLD_SECONDS", -1.0)
    before = engine_service.status()["counters"]["predictions"]
    screen.session.keep_alive("")
    assert screen.session.busy
    wait_for(screen.look)
    assert engine_service.status()["counters"]["predictions"] == before


def test_an_older_service_brings_bands(state, picture):
    rows = bytes(3 * picture.width * picture.height)
    array = {"shape": [picture.height, picture.width, 3], "dtype": "u8", "frame": 1}

    def answer(asked: dict) -> list:
        band = reply(asked, "band", rows, y=0, rows=picture.height, array=array)
        return [band, reply(asked, "result", body={"notes": []})]

    with impostor(state, answer), connect(client="tests") as client:
        screen = Screen(client, picture)
        screen.pixels[:] = 9
        screen.ask(None)
        assert not screen.pixels.any()
        assert screen.session.held.update(None, False).since == ""


@pytest.mark.parametrize(
    "tile",
    [
        {"x": 0, "y": 0, "array": {"shape": [1, 1, 2], "dtype": "u8", "frame": 1}},
        {"x": 1535, "y": 0, "array": {"shape": [1, 2, 3], "dtype": "u8", "frame": 1}},
        {"x": 0, "y": 1536, "array": {"shape": [1, 1, 3], "dtype": "u8", "frame": 1}},
        {"x": 0, "y": 0, "array": {"shape": [1, 1, 3], "dtype": "u16", "frame": 1}},
    ],
)
def test_a_tile_that_does_not_fit_is_a_bad_reply(state, picture, tile):
    shape, dtype = tile["array"]["shape"], tile["array"]["dtype"]
    raw = bytes(int(np.prod(shape)) * (2 if dtype == "u16" else 1))
    said = lambda asked: [reply(asked, "tile", raw, state="", **tile)]  # noqa: E731
    with impostor(state, said), connect(client="tests") as client, pytest.raises(errors.BadReply):
        Screen(client, picture).ask(None)


def test_what_fails_is_raised(state, picture):
    failure = {"code": "bad-hints", "sentence": "…", "detail": "d"}
    said = lambda asked: [reply(asked, "error", **failure)]  # noqa: E731
    with impostor(state, said), connect(client="tests") as client, pytest.raises(errors.BadHints):
        Screen(client, picture).ask(None)
