"""The colour service as one object: connect, ask, get the picture back in row bands."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any

from colorize_client import codec, discovery, launcher, messages, paths
from colorize_client.errors import (
    BadMessage,
    BadReply,
    Cancelled,
    ColorizeError,
    ServiceLost,
    ServiceNotRunning,
    ServiceSilent,
    UnknownType,
    VersionMismatch,
    from_code,
)
from colorize_client.options import Options
from colorize_client.picture import HintTiles, Picture, UnreadPicture
from colorize_client.wire import CurveKeys, Wire

CONNECT_SECONDS = 20.0  # for a service that is ending to be gone
RETRY_SECONDS = 0.1
HELLO_SECONDS = 15.0  # a service that a socket unit starts on demand needs its time
CONTROL_SECONDS = 15.0
SILENCE_SECONDS = 30.0  # while it works the service says something every half second
STOP_SECONDS = 15.0

OnBand = Callable[[int, int, bytes], None]
OnProgress = Callable[[str, float], None]
Answer = messages.Progress | messages.Band | messages.Tile | messages.Result | messages.NeedImage


def connect(
    *,
    client: str = "",
    launch: bool = True,
    endpoint: str | None = None,
    curve: CurveKeys | None = None,
    on_start: Callable[[], None] = lambda: None,
) -> Client:
    """A connection to this user's colour service, started if need be.

    Args:
        client: name and version of the caller, for the service's log.
        launch: start the service where none runs; otherwise ServiceNotRunning is raised.
        endpoint: a given service instead of this user's own ("tcp://host:port", with `curve`).
        curve: the keys for it.
        on_start: called before a service is started, which takes seconds.

    Raises:
        ServiceError (not running, not installed, silent, ...), VersionMismatch.
    """
    deadline = time.monotonic() + CONNECT_SECONDS
    while True:
        try:
            return _open(endpoint or _own_endpoint(launch, on_start), curve, client)
        except ServiceLost as error:  # it was just ending when we came; the next one is ours to start
            if endpoint is not None or time.monotonic() > deadline:
                raise ServiceNotRunning(f"nothing answers at {endpoint or _folders()}") from error
            time.sleep(RETRY_SECONDS)


def _own_endpoint(launch: bool, on_start: Callable[[], None]) -> str:
    endpoint = discovery.find_service()
    if endpoint is not None:
        return endpoint
    if not launch:
        raise ServiceNotRunning(f"nothing listens in {_folders()}")
    on_start()
    return launcher.start_once()


def _folders() -> str:
    return ", ".join(str(state.path) for state in paths.candidates())


def _open(endpoint: str, curve: CurveKeys | None, client: str) -> Client:
    service = Client(endpoint, curve)
    try:
        service.hello(client)
    except BaseException:
        service.close()
        raise
    return service


class Client:
    """One connection, for one thread. Made by `connect`; use it in a `with`."""

    def __init__(self, endpoint: str, curve: CurveKeys | None = None) -> None:
        self.endpoint = endpoint
        self.wire = Wire(endpoint, curve)

    def hello(self, client: str) -> dict[str, Any]:
        """Says who asks and agrees on the version; the service's version and process number come back."""
        body = self._ask(messages.Hello(new_id(), client=client), HELLO_SECONDS)
        if body.get("protocol") not in messages.PROTOCOL_VERSIONS:
            raise VersionMismatch(f"the service chose version {body.get('protocol')!r}")
        return body

    def status(self) -> dict[str, Any]:
        """What the service does and holds; answered at once, also while a picture is computed."""
        return self._ask(messages.Status(new_id()), CONTROL_SECONDS)

    def models(self) -> list[dict[str, Any]]:
        """The installed models, each a map with name, title, licence, default, ..."""
        models = self._ask(messages.Models(new_id()), CONTROL_SECONDS).get("models")
        if not isinstance(models, list) or not all(isinstance(model, dict) for model in models):
            raise BadReply("models: expected a list of maps")
        return models

    def stop(self) -> None:
        """Stops the service and waits until it is gone."""
        self._ask(messages.Stop(new_id()), CONTROL_SECONDS)
        if not self.wire.wait_closed(time.monotonic() + STOP_SECONDS):
            raise ServiceSilent(f"the service said it stops and was still there after {STOP_SECONDS:g} s")

    def colorize(
        self,
        picture: Picture,
        hints: HintTiles | None = None,
        options: Options | None = None,
        *,
        kept: HintTiles | None = None,
        layout: str = "rgb8",
        on_band: OnBand,
        on_progress: OnProgress = lambda stage, fraction: None,
    ) -> dict[str, Any]:
        """Colours a picture; the plane is uploaded only where the service does not know it yet.

        Args:
            picture: the photograph's gray plane.
            hints: colours to obey, None for none.
            options: model, saturation, temperature, alike, reach.
            kept: strokes of any colour: the things that they lie on stay as they are without hints. None for none.
            layout: "rgb8" or "rgb16" (rows, width, 3) sRGB-encoded with the photograph's own L, or "ab16"
                (rows, width, 2) i16 of 256 * CIELAB D65 a, b.
            on_band: called with (y, rows, bytes), from the top to the bottom, every row once.
            on_progress: called with (stage, fraction 0..1) at least twice a second. What either callback raises
                stops the work in the service and passes through; raise Cancelled to stop it on purpose.

        Returns:
            the result's body: image_key, model, device, device_name, uploaded, encoded, hint_cells, timings, notes.

        Raises:
            RequestError, ServiceLost, ServiceSilent, BadReply, Cancelled.
        """
        request = request_for(picture, hints, options or Options(), layout, kept)
        return self._run(_Colouring(self.wire, picture, request, on_band, on_progress))

    def prepare(
        self, picture: Picture, model: str = "", *, on_progress: OnProgress = lambda stage, fraction: None
    ) -> dict[str, Any]:
        """Lets the service load a model and encode a picture, so that `colorize` starts with its light part.

        Args:
            picture: the photograph's gray plane; uploaded only where the service does not know it yet.
            model: name of the weights, "" for the default.
            on_progress: as of `colorize`.

        Returns:
            the result's body: image_key, model, device, device_name, uploaded, encoded, timings; an empty map where the
            service is older than this request: it then does the same work when it is asked to colour.

        Raises:
            RequestError, ServiceLost, ServiceSilent, BadReply, Cancelled.
        """
        request = messages.Prepare(new_id(), _image(picture), model)
        try:
            return self._run(_Job(self.wire, picture, request, on_progress))
        except UnknownType:
            return {}

    def _run(self, job: _Job) -> dict[str, Any]:
        try:
            return job.run()
        except BaseException:
            self._cancel(job.request.id)
            raise

    def _cancel(self, target: str) -> None:
        with contextlib.suppress(ColorizeError):  # the error on its way up matters more
            self.wire.send(codec.encode(messages.Cancel(new_id(), target)), 0.0)

    def _ask(self, request: messages.Request, seconds: float) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        self.wire.send(codec.encode(request), seconds)
        reply = _read(self.wire, request.id, deadline)
        if not isinstance(reply, messages.Result):
            raise BadReply(f"{request.type} was answered with {reply.type}")
        return dict(reply.body)

    def close(self) -> None:
        self.wire.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def new_id() -> str:
    return uuid.uuid4().hex


def request_for(
    picture: Picture | UnreadPicture, hints: HintTiles | None, options: Options, layout: str, kept: HintTiles | None
) -> messages.Colorize:
    """The request for these colours, by the picture's key."""
    strokes, staying = (
        tiles.to_wire(picture.width, picture.height) if tiles and tiles.tiles else None for tiles in (hints, kept)
    )
    return messages.Colorize(
        new_id(),
        _image(picture),
        strokes,
        options,
        layout,
        staying,
    )


def _image(picture: Picture | UnreadPicture) -> messages.Image:
    """The picture by its key, without its plane."""
    return messages.Image(picture.key, picture.width, picture.height)


def _read(wire: Wire, request_id: str, deadline: float) -> Answer:
    """The next reply to this request; an error or cancelled reply is raised."""
    while True:
        reply = read_reply(wire.receive(deadline), request_id)
        if reply is not None:
            return reply


def read_reply(frames: Sequence[bytes], request_id: str) -> Answer | None:
    """The reply to this request in these frames; an error or cancelled reply is raised. None: it is to another one."""
    try:
        reply = codec.decode_reply(frames)
    except (BadMessage, UnknownType) as error:
        raise BadReply(error.detail) from error
    if reply.id not in (request_id, ""):
        return None  # the rest of a picture that was given up
    if isinstance(reply, messages.ErrorReply):
        raise from_code(reply.code, reply.detail, reply.sentence)
    if isinstance(reply, messages.JobCancelled):
        raise Cancelled
    return reply


class _Job:
    """A request about a picture on its way: sends it, uploads the plane when asked, passes on what comes meanwhile."""

    def __init__(self, wire: Wire, picture: Picture, request: messages.PictureRequest, on_progress: OnProgress) -> None:
        self._wire, self._picture, self._on_progress = wire, picture, on_progress
        self.request = request

    def run(self) -> dict[str, Any]:
        """The result's body."""
        self._wire.send(codec.encode(self.request), SILENCE_SECONDS)
        while True:
            reply = _read(self._wire, self.request.id, time.monotonic() + SILENCE_SECONDS)
            if isinstance(reply, messages.Result):
                self._check_end()
                return dict(reply.body)
            self._take(reply)

    def _take(self, reply: messages.Progress | messages.Band | messages.Tile | messages.NeedImage) -> None:
        if isinstance(reply, messages.Progress):
            self._on_progress(reply.stage, reply.fraction)
        elif isinstance(reply, messages.Band):
            self._take_band(reply)
        elif isinstance(reply, messages.NeedImage):
            self._upload()
        else:
            raise BadReply(f"{self.request.type} was answered with {reply.type}")

    def _upload(self) -> None:
        if self.request.image.array is not None:
            raise BadReply("the service asked for the picture after it had come")
        image = replace(self.request.image, array=self._picture.array)
        self.request = replace(self.request, id=new_id(), image=image)
        self._wire.send(codec.encode(self.request), SILENCE_SECONDS)

    def _take_band(self, band: messages.Band) -> None:
        raise BadReply(f"{self.request.type} was answered with {band.type}")

    def _check_end(self) -> None:
        """BadReply where something is missing when the result comes."""


class _Colouring(_Job):
    """One whose answer has rows: each comes once, from the top to the bottom."""

    def __init__(
        self, wire: Wire, picture: Picture, request: messages.Colorize, on_band: OnBand, on_progress: OnProgress
    ) -> None:
        super().__init__(wire, picture, request, on_progress)
        self._layout, self._on_band, self._rows = request.layout, on_band, 0

    def _upload(self) -> None:
        if self._rows:
            raise BadReply("the service asked for the picture after it had sent rows of it")
        super()._upload()

    def _take_band(self, band: messages.Band) -> None:
        dtype, channels = messages.LAYOUTS[self._layout]
        want = ((band.rows, self._picture.width, channels), dtype, self._rows)
        have = (band.array.shape, band.array.dtype, band.y)
        if have != want or band.y + band.rows > self._picture.height:
            raise BadReply(f"band of (shape, type, first row) {have}, expected {want} in {self._picture.height} rows")
        self._rows += band.rows
        self._on_band(band.y, band.rows, bytes(band.array.data))

    def _check_end(self) -> None:
        if self._rows != self._picture.height:
            raise BadReply(f"{self._rows} rows came of a picture that has {self._picture.height}")
