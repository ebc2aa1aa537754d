"""The client against services that misbehave: every fault is an error of the tree, soon, and never a hang."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

import msgpack
import pytest
from colorize_client import HintTiles, Options, client, codec, connect, errors, messages
from service_fixtures import Canvas, Frames, impostor, noise, picture_of, reply, wait_for

PICTURE = picture_of(noise(4, 6))


def band(
    header: dict, y: int = 0, rows: int = 4, width: int = 6, dtype: str = "u8", nbytes: int | None = None
) -> Frames:
    spec = {"shape": [rows, width, 3], "dtype": dtype, "frame": 1}
    size = rows * width * 3 * messages.ITEM_BYTES[dtype] if nbytes is None else nbytes
    return reply(header, "band", bytes(size), y=y, rows=rows, array=spec)


def result(header: dict) -> Frames:
    return reply(header, "result", body={})


LIES = {
    "too few rows": lambda header: [band(header, rows=2), result(header)],
    "no rows": lambda header: [result(header)],
    "rows twice": lambda header: [band(header, rows=2), band(header, rows=2), result(header)],
    "rows out of order": lambda header: [band(header, y=2, rows=2), band(header, rows=2), result(header)],
    "too many rows": lambda header: [band(header, rows=5), result(header)],
    "another width": lambda header: [band(header, width=7), result(header)],
    "another type": lambda header: [band(header, dtype="u16"), result(header)],
    "fewer bytes": lambda header: [band(header, nbytes=71), result(header)],
    "more bytes": lambda header: [band(header, nbytes=73), result(header)],
    "no frame": lambda header: [band(header)[:1], result(header)],
    "not msgpack": lambda header: [[b"\xc1\xc1\xc1"]],
    "no frames": lambda header: [[b""]],
    "a request": lambda header: [reply(header, "status")],
    "an unknown reply": lambda header: [reply(header, "applause")],
    "the picture again and again": lambda header: [reply(header, "need-image", key=PICTURE.key)],
    "the picture after a band": lambda header: [band(header, rows=2), reply(header, "need-image", key=PICTURE.key)],
    "a body that is none": lambda header: [band(header), reply(header, "result", body=[1])],
    "progress beyond the end": lambda header: [reply(header, "progress", stage="lift", fraction=3.0)],
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lying_service_is_a_bad_reply(state, lie):
    with impostor(state, LIES[lie]), connect(launch=False) as service, pytest.raises(errors.BadReply) as caught:
        service.colorize(PICTURE, on_band=lambda y, rows, data: None)
    assert caught.value.detail


def test_an_honest_answer_after_anothers_leftovers_is_taken(state):
    def answer(header: dict) -> list[Frames]:
        return [
            band({"id": "somebody else's"}),
            reply({"id": "old"}, "error", code="busy", sentence=""),
            *honest(header),
        ]

    def honest(header: dict) -> list[Frames]:
        return [band(header, rows=1), band(header, y=1, rows=3), result(header)]

    rows = []
    with impostor(state, answer), connect(launch=False) as service:
        service.colorize(PICTURE, on_band=lambda y, count, data: rows.append((y, count, len(data))))
    assert rows == [(0, 1, 18), (1, 3, 54)]


def test_a_service_that_dies_in_the_middle_of_the_bands_is_lost(state):
    replies = iter([lambda header: [band(header, rows=1)], lambda header: None])
    with impostor(state, lambda header: next(replies)(header)), connect(launch=False) as service:

        def provoke(y: int, rows: int, data: bytes) -> None:
            service.wire.send(codec.encode(messages.Status("again")), 1.0)

        with pytest.raises(errors.ServiceLost) as caught:
            service.colorize(PICTURE, on_band=provoke)
    assert str(caught.value) == errors.ServiceLost.sentence


def uploads_first(*answer: Frames) -> Callable[[dict], list[Frames]]:
    """Asks for the plane, then answers."""

    def answers(header: dict) -> list[Frames]:
        if header["type"] == "cancel":
            return []
        if "array" not in header["image"]:
            return [reply(header, "need-image", key=PICTURE.key)]
        return [[msgpack.packb({**msgpack.unpackb(head), "id": header["id"]}), *frames] for head, *frames in answer]

    return answers


ANYBODY = {"id": "replaced"}


def test_prepare_sends_the_plane_where_it_is_asked_for(state):
    beat, done = (
        reply(ANYBODY, "progress", stage="encode", fraction=0.0),
        reply(ANYBODY, "result", body={"device": "cpu"}),
    )
    stages = []
    with impostor(state, uploads_first(beat, done)), connect(launch=False) as service:
        body = service.prepare(PICTURE, "chroma", on_progress=lambda stage, fraction: stages.append(stage))
    assert (body, stages) == ({"device": "cpu"}, ["encode"])


@pytest.mark.parametrize("lie", ["the picture again and again", "a body that is none", "not msgpack", "no rows of it"])
def test_a_service_that_lies_about_prepare_is_a_bad_reply(state, lie):
    answer = {**LIES, "no rows of it": lambda header: [band(header), result(header)]}[lie]
    with impostor(state, answer), connect(launch=False) as service, pytest.raises(errors.BadReply):
        service.prepare(PICTURE)


def test_an_older_service_prepares_nothing_and_goes_on(state):
    """What a service of the first release answers: it knows no such request."""

    def old(header: dict) -> list[Frames]:
        if header["type"] != "colorize":
            return [reply(header, "error", code="unknown-type", sentence="?", detail="message type 'prepare'")]
        return [band(header), result(header)]

    with impostor(state, old), connect(launch=False) as service:
        assert service.prepare(PICTURE) == {}
        assert service.colorize(PICTURE, on_band=lambda y, rows, data: None) == {}


def test_other_errors_of_prepare_are_raised(state):
    busy = [reply(ANYBODY, "error", code="busy", sentence="?")]
    with impostor(state, uploads_first(*busy)), connect(launch=False) as service, pytest.raises(errors.Busy):
        service.prepare(PICTURE)


@pytest.mark.parametrize("ask", ["status", "colorize", "prepare"])
def test_a_service_that_hangs_is_silent_and_not_waited_for(state, monkeypatch, ask):
    monkeypatch.setattr(client, "CONTROL_SECONDS", 0.3)
    monkeypatch.setattr(client, "SILENCE_SECONDS", 0.3)
    with impostor(state, lambda header: []), connect(launch=False) as service, pytest.raises(errors.ServiceSilent):
        if ask == "status":
            service.status()
        elif ask == "prepare":
            service.prepare(PICTURE)
        else:
            service.colorize(PICTURE, on_band=lambda y, rows, data: None)


@pytest.mark.parametrize(
    "hello",
    [
        lambda header: [reply(header, "error", v=9, code="version-mismatch", sentence="?", detail="it speaks [9]")],
        lambda header: [reply(header, "result", body={"protocol": 9})],
        lambda header: [reply(header, "result", v=9, body={"protocol": 1})],
    ],
)
def test_a_service_of_the_future_is_a_version_mismatch(state, hello):
    with impostor(state, LIES["no rows"], hello), pytest.raises(errors.VersionMismatch) as caught:
        connect(launch=False)
    assert "9" in caught.value.detail


def test_kill_9_in_the_middle_of_a_request_is_lost_and_the_next_run_works(state):
    picture, canvas = picture_of(noise(50, 40)), Canvas(50, 40)
    with connect() as service:
        pid = service.status()["pid"]

        def kill(stage: str, fraction: float) -> None:
            if stage == "encode":
                os.kill(pid, signal.SIGKILL)

        with pytest.raises(errors.ServiceLost):
            service.colorize(picture, options=Options("slow"), on_band=canvas.on_band, on_progress=kill)
    with connect() as again:
        assert again.colorize(picture, on_band=canvas.on_band)["encoded"]
        assert again.status()["counters"]["errors"] == 0


def test_a_stopped_service_tells_the_client_in_the_middle_of_its_work(state):
    with connect() as service:

        def stop_it(stage: str, fraction: float) -> None:
            if stage == "encode" and not stopper.is_alive():
                stopper.start()

        def stop() -> None:
            with connect(launch=False) as other:
                other.stop()

        stopper = threading.Thread(target=stop)
        with pytest.raises(errors.ServiceStopping):
            service.colorize(PICTURE, options=Options("slow"), on_band=lambda y, rows, data: None, on_progress=stop_it)
        stopper.join()


def test_a_callback_that_fails_passes_through_and_stops_the_job(service):
    def full(y: int, rows: int, data: bytes) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        service.colorize(picture_of(noise(4000, 5)), options=Options("slow-bands"), on_band=full)
    wait_for(lambda: service.status()["jobs"] == 0)


def test_empty_hints_are_no_hints(service):
    empty = HintTiles([], [])
    result = service.colorize(PICTURE, empty, kept=empty, on_band=lambda y, rows, data: None)
    assert (result["hint_cells"], result["notes"]) == (0, [])


def test_what_is_kept_has_to_fit_the_picture(service):
    outside = HintTiles([(5, 0, 2, 1)], [bytes(8)])
    with pytest.raises(errors.BadHints):
        service.colorize(PICTURE, kept=outside, on_band=lambda y, rows, data: None)


def test_options_out_of_range_are_refused_with_the_field(service):
    with pytest.raises(errors.BadOptions) as caught:
        service.colorize(PICTURE, options=Options(temperature=0.01), on_band=lambda y, rows, data: None)
    assert "temperature" in caught.value.detail


@pytest.mark.parametrize(
    ("alpha", "rows", "covered"),
    [(255, 100, True), (255, 99, True), (255, 98, False), (254, 100, False), (0, 100, False)],
)
def test_strokes_that_leave_nothing_unpainted(alpha: int, rows: int, covered: bool) -> None:
    halves = [(0, 0, 20, rows), (20, 0, 80, rows)]
    tiles = HintTiles(halves, [bytes((255, 255, 255, alpha)) * (w * h) for _, _, w, h in halves])
    assert tiles.cover_all(100, 100) is covered
    assert HintTiles([], []).cover_all(100, 100) is False
