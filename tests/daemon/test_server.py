"""The service from outside: real sockets, a real process, the stand-in engine."""

from __future__ import annotations

import threading
import time

import msgpack
import numpy as np
import pytest
from colorize_client import Cancelled, Client, HintTiles, Options, Picture, connect, errors
from service_fixtures import PATIENCE, Canvas, Dealer, noise, picture_of, running_server, wait_for
from standin_engine import paint

RED = bytes((255, 0, 0, 255))
BLUE = bytes((40, 40, 200, 255))


def ask_for(picture: Picture, name: str, model: str = "", with_plane: bool = True, **fields: object) -> list[bytes]:
    """The frames of a colorize request, or of another `type`, written by hand."""
    image: dict[str, object] = {"key": picture.key, "width": picture.width, "height": picture.height}
    if with_plane:
        image["array"] = {"shape": [picture.height, picture.width], "dtype": picture.dtype, "frame": 1}
    header = {"v": 1, "id": name, "type": "colorize", "image": image, "model": model, **fields}
    return [msgpack.packb(header), *([picture.data] if with_plane else [])]


def counters(client: Client) -> dict[str, int]:
    return client.status()["counters"]


def is_at_rest(client: Client) -> bool:
    """Whether the service sends nothing for a while, our own questions aside."""
    before = client.status()["counters"]["bytes_out"]
    time.sleep(0.3)
    return client.status()["counters"]["bytes_out"] - before < 4096


@pytest.mark.parametrize("layout", ["rgb8", "rgb16", "ab16"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("size", [(1, 1), (3000, 1), (1, 3000), (300, 200)])
def test_round_trip(service, size, dtype, layout):
    gray = noise(*size, dtype)
    canvas = Canvas(*size, layout)
    options = Options(saturation=0.5)
    result = service.colorize(picture_of(gray), None, options, layout=layout, on_band=canvas.on_band)
    assert np.array_equal(canvas.pixels, paint(gray, layout, 0.5))
    assert result["image_key"] == picture_of(gray).key
    assert result["model"]["name"] == "standin"
    assert set(result["timings"]) == {"load", "upload", "encode", "predict", "lift"}
    assert result["notes"] == []


def test_the_plane_travels_once_and_hints_travel_alone(service):
    picture = picture_of(noise(211, 97, seed=1))
    before, canvas = counters(service), Canvas(211, 97)
    first = service.colorize(picture, on_band=canvas.on_band)
    middle = counters(service)
    hints = HintTiles([(3, 60, 5, 2), (90, 200, 7, 11)], [RED * 10, RED * 77])
    second = service.colorize(picture, hints, on_band=canvas.on_band)
    after = counters(service)
    assert (first["uploaded"], first["encoded"], second["uploaded"], second["encoded"]) == (True, True, False, False)
    assert [middle[name] - before[name] for name in ("uploads", "encodes", "predictions")] == [1, 1, 1]
    assert [after[name] - middle[name] for name in ("uploads", "encodes", "predictions")] == [0, 0, 1]
    assert after["bytes_in"] - middle["bytes_in"] < 4096 < 211 * 97
    assert second["hint_cells"] == 10 + 77
    assert np.array_equal(canvas.pixels, paint(noise(211, 97, seed=1), "rgb8", 1.0, hints))
    assert (canvas.pixels[60:62, 3:8] == (255, 0, 0)).all()


def test_a_prepared_picture_is_coloured_without_upload_and_encoding(service):
    gray, canvas, stages = noise(101, 64, seed=30), Canvas(101, 64), []
    before = counters(service)
    ready = service.prepare(picture_of(gray), "standin", on_progress=lambda stage, fraction: stages.append(stage))
    middle = counters(service)
    coloured = service.colorize(picture_of(gray), on_band=canvas.on_band)
    after = counters(service)
    names = ("uploads", "encodes", "predictions")
    assert [middle[name] - before[name] for name in names] == [1, 1, 0]
    assert [after[name] - middle[name] for name in names] == [0, 0, 1]
    assert (ready["uploaded"], ready["encoded"], coloured["uploaded"], coloured["encoded"]) == (
        True,
        True,
        False,
        False,
    )
    assert {"upload", "encode"} <= set(stages) <= {"queued", "loading", "upload", "encode"}
    assert set(ready) == set(coloured) - {"hint_cells", "notes"}
    assert set(ready["timings"]) == {"load", "upload", "encode"}
    assert (ready["image_key"], ready["model"]) == (coloured["image_key"], coloured["model"])
    assert np.array_equal(canvas.pixels, paint(gray, "rgb8"))


def test_what_is_prepared_already_costs_nothing(service):
    picture = picture_of(noise(30, 31, seed=31))
    service.colorize(picture, on_band=Canvas(30, 31).on_band)
    before = counters(service)
    ready = service.prepare(picture)
    assert (ready["uploaded"], ready["encoded"]) == (False, False)
    assert ready["timings"]["encode"] == 0
    assert {**counters(service), "bytes_in": 0, "bytes_out": 0} == {**before, "bytes_in": 0, "bytes_out": 0}


def test_a_picture_is_prepared_for_one_model(service):
    picture = picture_of(noise(30, 32, seed=32))
    assert service.prepare(picture, "slow-bands")["model"]["name"] == "slow-bands"
    assert service.colorize(picture, on_band=Canvas(30, 32).on_band)["encoded"]


def test_prepare_asks_for_a_picture_that_is_not_known(dealer):
    picture = picture_of(noise(20, 20, seed=33))
    dealer.send(*ask_for(picture, "p", with_plane=False, type="prepare"))
    assert dealer.read_until("need-image")[0] == {"v": 1, "id": "p", "type": "need-image", "key": picture.key}


def test_a_damaged_plane_is_not_prepared(service, dealer):
    picture = picture_of(noise(20, 20, seed=34))
    header, _ = ask_for(picture, "other", type="prepare")
    dealer.send(header, bytes(400))
    assert dealer.read_until("error")[0]["code"] == "key-mismatch"
    header, plane = ask_for(picture, "short", type="prepare")
    dealer.send(header, plane[:-1])
    assert dealer.read_until("error")[0]["code"] == "bad-picture"
    assert service.prepare(picture)["encoded"]


def test_prepare_is_cancelled_like_any_other_work(service, dealer):
    dealer.send(*ask_for(picture_of(noise(20, 20, seed=35)), "running", "slow", type="prepare"))
    dealer.send(*ask_for(picture_of(noise(20, 20, seed=36)), "waiting", "slow", type="prepare"))
    beats: set[tuple[str, str]] = set()
    while not {("running", "encode"), ("waiting", "queued")} <= beats:
        beat, _ = dealer.read_until("progress")
        beats.add((beat["id"], beat["stage"]))
    for name in ("waiting", "running"):
        dealer.ask(id="c", type="cancel", target=name)
        assert dealer.read_until("cancelled")[0]["id"] == name
    wait_for(lambda: service.status()["jobs"] == 0)


def test_a_client_that_vanishes_while_it_prepares_stops_the_work(service, shared_state):
    before = counters(service)["cancelled"]
    with Dealer(shared_state.endpoint) as leaver:
        leaver.send(*ask_for(picture_of(noise(20, 20, seed=37)), "orphan", "slow", type="prepare"))
        leaver.read_until("progress")
    wait_for(lambda: service.status()["jobs"] == 0 and service.status()["state"] == "idle")
    assert counters(service)["cancelled"] == before + 1


def test_a_picture_that_is_coloured_while_it_is_prepared_waits_for_it(dealer):
    """The plane of `prepare` is on its way into the cache: it is not asked for again."""
    picture = picture_of(noise(2000, 2000, seed=38))
    dealer.send(*ask_for(picture, "p", type="prepare"))
    dealer.send(*ask_for(picture, "c", with_plane=False))
    assert dealer.read_until("result")[0]["id"] == "p"
    body = dealer.read_until("result")[0]["body"]
    assert (body["uploaded"], body["encoded"]) == (False, False)


@pytest.mark.parametrize(
    ("model", "kind"),
    [("faulty", errors.InternalError), ("damaged", errors.BadWeights), ("no such", errors.UnknownModel)],
)
def test_what_cannot_be_prepared_is_said(service, model, kind):
    with pytest.raises(kind):
        service.prepare(picture_of(noise(20, 20, seed=39)), model)


def test_what_is_kept_stays_as_it_is(service):
    gray, canvas = noise(40, 50, seed=4), Canvas(40, 50)
    hints, kept = HintTiles([(10, 5, 20, 10)], [RED * 200]), HintTiles([(15, 8, 4, 30)], [BLUE * 120])
    result = service.colorize(picture_of(gray), hints, kept=kept, on_band=canvas.on_band)
    assert result["notes"] == []
    plain, hinted = paint(gray, "rgb8"), paint(gray, "rgb8", 1.0, hints)
    assert np.array_equal(canvas.pixels[8:38, 15:19], plain[8:38, 15:19])
    assert np.array_equal(canvas.pixels[:, :15], hinted[:, :15])
    assert np.array_equal(canvas.pixels[:, 19:], hinted[:, 19:])


def test_nothing_kept_is_said(service):
    picture, erased = picture_of(noise(20, 20, seed=4)), HintTiles([(2, 3, 4, 5)], [bytes((200, 40, 40, 0)) * 20])
    result = service.colorize(picture, kept=erased, on_band=Canvas(20, 20).on_band)
    assert result["notes"] == ["The strokes that keep things as they are show nowhere, so nothing was kept."]


def test_another_model_is_another_embedding(service):
    picture = picture_of(noise(30, 30, seed=2))
    service.colorize(picture, on_band=Canvas(30, 30).on_band)
    other = service.colorize(picture, options=Options("slow-bands"), on_band=Canvas(30, 30).on_band)
    assert other["encoded"]
    assert other["model"]["name"] == "slow-bands"


def test_models_are_listed_with_one_default(service):
    models = service.models()
    assert [model["name"] for model in models if model["default"]] == ["standin"]
    assert all({"title", "recipe", "licence", "sha256", "path", "loaded"} <= set(model) for model in models)


def test_status_says_what_the_issue_promises(service):
    status = service.status()
    wanted = {
        "state",
        "device",
        "device_name",
        "uptime",
        "models",
        "counters",
        "memory",
        "version",
        "endpoint",
        "log",
        "pid",
    }
    assert wanted <= set(status)
    assert {"rss", "peak_rss", "cache_bytes", "cache_budget", "cache_images"} == set(status["memory"])


def test_control_messages_are_answered_while_a_picture_is_computed(service, dealer):
    dealer.send(*ask_for(picture_of(noise(20, 20, seed=3)), "long", "slow"))
    wait_for(lambda: service.status()["state"] == "working")
    assert service.models()
    dealer.read_until("progress")
    dealer.ask(id="c", type="cancel", target="long")
    replies = {dealer.read_until(kind)[0]["id"] for kind in ("result", "cancelled")}
    assert replies == {"c", "long"}
    wait_for(lambda: service.status()["jobs"] == 0)


def test_progress_is_told_all_the_time(service, dealer):
    dealer.send(*ask_for(picture_of(noise(20, 20, seed=4)), "long", "slow"))
    beats = [dealer.read_until("progress")[0] for _ in range(6)]
    assert beats[-1]["stage"] == beats[-2]["stage"] == "encode"
    dealer.ask(id="c", type="cancel", target="long")
    dealer.read_until("cancelled")


def test_a_waiting_job_is_cancelled_before_the_running_one_ends(dealer):
    dealer.send(*ask_for(picture_of(noise(20, 20, seed=5)), "running", "slow"))
    dealer.send(*ask_for(picture_of(noise(20, 20, seed=6)), "waiting", "slow"))
    dealer.ask(id="c", type="cancel", target="waiting")
    assert dealer.read_until("cancelled")[0]["id"] == "waiting"
    dealer.ask(id="c", type="cancel", target="running")
    assert dealer.read_until("cancelled")[0]["id"] == "running"


def test_cancelling_what_is_not_there_says_so(dealer):
    dealer.ask(id="c", type="cancel", target="nothing")
    assert dealer.read()[0]["body"] == {"found": False}


def test_what_a_callback_raises_stops_the_job(service):
    def enough(stage: str, fraction: float) -> None:
        if stage == "encode":
            raise Cancelled

    picture, canvas = picture_of(noise(20, 20, seed=7)), Canvas(20, 20)
    with pytest.raises(Cancelled):
        service.colorize(picture, options=Options("slow"), on_band=canvas.on_band, on_progress=enough)
    wait_for(lambda: service.status()["jobs"] == 0)
    assert service.colorize(picture, on_band=canvas.on_band)["encoded"]


@pytest.mark.parametrize("model", ["slow", "slow-bands"])
def test_a_vanished_client_stops_its_job(service, shared_state, model):
    before = counters(service)["cancelled"]
    with Dealer(shared_state.endpoint) as leaver:
        leaver.send(*ask_for(picture_of(noise(20000, 1, seed=8)), "orphan", model))
        leaver.read_until("progress" if model == "slow" else "band")
    wait_for(lambda: service.status()["jobs"] == 0 and service.status()["state"] == "idle")
    assert counters(service)["cancelled"] == before + 1


@pytest.mark.parametrize("asked", [1, 3])
@pytest.mark.parametrize("leaves", [False, True])
def test_each_cancelled_job_counts_once(service, shared_state, asked, leaves):
    """A running and a waiting one; cancelled, cancelled several times, and by one who then goes away."""
    wait_for(lambda: service.status()["jobs"] == 0)
    before = counters(service)
    with Dealer(shared_state.endpoint) as dealer:
        for name in ("running", "waiting"):
            dealer.send(*ask_for(picture_of(noise(20, 20, seed=20)), name, "slow"))
        wait_for(lambda: service.status()["jobs"] == 2 and service.status()["state"] == "working")
        for name in ("waiting", "running") * asked:
            dealer.ask(id=f"c {name}", type="cancel", target=name)
        for kind in ["result"] if leaves else ["cancelled", "cancelled"]:
            dealer.read_until(kind)
    wait_for(lambda: service.status()["jobs"] == 0 and service.status()["state"] == "idle")
    after = counters(service)
    assert (after["cancelled"] - before["cancelled"], after["errors"]) == (2, before["errors"])


def test_a_job_that_its_client_gave_up_counts_once(service):
    before = counters(service)["cancelled"]

    def enough(stage: str, fraction: float) -> None:
        if stage == "encode":
            raise Cancelled

    with connect(launch=False) as other, pytest.raises(Cancelled):
        other.colorize(
            picture_of(noise(20, 20, seed=21)),
            options=Options("slow"),
            on_band=Canvas(20, 20).on_band,
            on_progress=enough,
        )
    wait_for(lambda: service.status()["jobs"] == 0)
    service.colorize(picture_of(noise(20, 20, seed=22)), on_band=Canvas(20, 20).on_band)
    assert counters(service)["cancelled"] == before + 1


def test_the_queue_is_bounded(service, dealer):
    picture = picture_of(noise(20, 20, seed=9))
    for number in range(20):
        dealer.send(*ask_for(picture, f"job {number}", "slow"))
    header, _ = dealer.read_until("error")
    assert header["code"] == "busy"
    assert header["sentence"] == errors.Busy.sentence
    for number in range(20):
        dealer.ask(id=f"c{number}", type="cancel", target=f"job {number}")
    wait_for(lambda: service.status()["jobs"] == 0)


def test_an_id_in_use_is_refused(service, dealer):
    picture = picture_of(noise(20, 20, seed=10))
    dealer.send(*ask_for(picture, "same", "slow"))
    dealer.send(*ask_for(picture, "same", "slow"))
    assert dealer.read_until("error")[0]["code"] == "bad-message"
    dealer.ask(id="c", type="cancel", target="same")
    dealer.read_until("cancelled")


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("faulty", errors.InternalError),
        ("hungry", errors.OutOfMemory),
        ("damaged", errors.BadWeights),
        ("no such", errors.UnknownModel),
    ],
)
def test_a_failing_engine_is_an_error_and_the_service_goes_on(service, model, kind):
    picture, canvas = picture_of(noise(20, 20, seed=11)), Canvas(20, 20)
    with pytest.raises(kind) as caught:
        service.colorize(picture, options=Options(model), on_band=canvas.on_band)
    assert str(caught.value) == kind.sentence
    assert service.colorize(picture, on_band=canvas.on_band)["model"]["name"] == "standin"


@pytest.mark.parametrize(
    "said",
    [
        "CUDA out of memory. Tried to allocate 20.00 MiB.",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory",
    ],
)
def test_whatever_memory_is_full_models_and_pictures_leave_it(state, said):
    """What PyTorch says in a RuntimeError of no class of its own."""

    def load(record: object) -> None:
        raise RuntimeError(said)

    picture, canvas = picture_of(noise(20, 20, seed=16)), Canvas(20, 20)
    with running_server(state.endpoint) as worker, connect(launch=False) as client:
        client.colorize(picture, on_band=canvas.on_band)
        assert client.status()["models"] == ["standin"]
        with pytest.MonkeyPatch.context() as patch, pytest.raises(errors.OutOfMemory) as caught:
            patch.setattr(worker.store, "_load", load)
            client.colorize(picture, options=Options("slow"), on_band=canvas.on_band)
        assert caught.value.detail == said
        status = client.status()
        assert (status["models"], status["memory"]["cache_bytes"]) == ([], 0)
        assert client.colorize(picture, on_band=canvas.on_band)["encoded"]


def test_a_picture_that_is_not_known_is_asked_for_before_the_model_is_loaded(dealer):
    dealer.send(*ask_for(picture_of(noise(20, 20, seed=15)), "x", "damaged", with_plane=False))
    assert dealer.read_until("need-image")[0]["key"] == picture_of(noise(20, 20, seed=15)).key


def test_what_nobody_foresaw_in_a_control_message_is_an_error(state):
    def broken() -> list:
        raise RuntimeError("the disk is on fire")

    with running_server(state.endpoint) as worker, connect(launch=False) as client:
        worker.store._records = broken
        with pytest.raises(errors.InternalError) as caught:
            client.models()
        assert "on fire" in caught.value.detail
        assert client.status()["state"] == "idle"


def test_a_plane_that_is_not_the_one_of_its_key_is_refused(dealer):
    picture = picture_of(noise(20, 20, seed=12))
    header, _ = ask_for(picture, "x")
    dealer.send(header, bytes(400))
    assert dealer.read_until("error")[0]["code"] == "key-mismatch"


def test_no_common_version_is_said_in_hello(dealer):
    dealer.ask(id="h", type="hello", versions=[7, 8], client="from the future")
    header, _ = dealer.read()
    assert (header["type"], header["code"]) == ("error", "version-mismatch")
    assert "[7, 8]" in header["detail"]


def test_unknown_fields_are_ignored(dealer):
    dealer.ask(id="h", type="hello", versions=[1, 9], client="x", colour_of_the_sky="blue")
    header, _ = dealer.read()
    assert header["body"]["protocol"] == 1


def test_a_flood_from_one_client_leaves_the_others_served(service, shared_state):
    with Dealer(shared_state.endpoint) as flooder:
        for _ in range(2000):
            flooder.socket.send_multipart([b"\xc1 not msgpack"], copy=True)
        assert service.status()["state"] == "idle"


def test_memory_stays_flat_over_many_requests(service):
    canvas = Canvas(40, 40)
    pictures = [picture_of(noise(40, 40, seed=100 + number)) for number in range(4)]
    hints = HintTiles([(0, 0, 40, 40)], [RED * 1600])

    def many(count: int) -> int:
        for number in range(count):
            service.colorize(pictures[number % 4], hints, on_band=canvas.on_band)
        return service.status()["memory"]["rss"]

    settled = many(200)
    assert many(400) - settled < 2 << 20


def test_a_slow_reader_slows_the_service_and_not_its_memory(service, shared_state):
    """96 MB for a client that does not read yet: what waits for it is bounded, and it gets all of it later."""
    picture = picture_of(noise(8000, 4000, seed=13))
    before = service.status()
    with Dealer(shared_state.endpoint, unread=1) as reader:
        reader.send(*ask_for(picture, "big"))
        wait_for(lambda: service.status()["counters"]["encodes"] > before["counters"]["encodes"])
        wait_for(lambda: is_at_rest(service))
        status = service.status()
        assert status["state"] == "working"
        assert status["counters"]["bytes_out"] - before["counters"]["bytes_out"] < 16e6
        assert status["memory"]["rss"] - before["memory"]["rss"] < 32e6 + 32e6  # the plane, and what waits
        rows = 0
        while rows < 8000:
            rows += reader.read_until("band")[0]["rows"]
        reader.read_until("result")


def test_a_reader_that_stalls_loses_its_job(state):
    with running_server(state.endpoint, stall_seconds=0.3) as worker:
        with Dealer(state.endpoint, unread=1) as reader:
            reader.send(*ask_for(picture_of(noise(8000, 4000, seed=14)), "big"))
            wait_for(lambda: worker.counters.encodes == 1 and worker.state == "idle")
            assert reader.read_until("error")[0]["code"] == "slow-reader"
        with connect(launch=False) as other:
            assert other.status()["jobs"] == 0


def test_stop_ends_running_and_waiting_jobs_with_a_reason(state):
    with running_server(state.endpoint), Dealer(state.endpoint) as worker:
        for number in range(3):
            worker.send(*ask_for(picture_of(noise(20, 20, seed=number)), str(number), "slow"))
        worker.read_until("progress")
        worker.ask(id="s", type="stop")
        codes = {}
        while len(codes) < 3:
            header, _ = worker.read()
            if header["type"] == "error":
                codes[header["id"]] = header["code"]
        assert codes == dict.fromkeys("012", "service-stopping")


def test_two_clients_share_one_service(shared_state):
    planes = [noise(500, 300, seed=number) for number in (20, 21)]
    canvases = [Canvas(500, 300) for _ in planes]

    def work(gray: np.ndarray, canvas: Canvas) -> None:
        with connect(launch=False) as client:
            client.colorize(picture_of(gray), on_band=canvas.on_band)

    threads = [threading.Thread(target=work, args=pair) for pair in zip(planes, canvases, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    for gray, canvas in zip(planes, canvases, strict=True):
        assert np.array_equal(canvas.pixels, paint(gray, "rgb8"))
