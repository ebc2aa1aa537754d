"""A picture whose colours follow what is painted: asks for what changed, and takes it as it comes, without waiting."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from colorize_client import codec, messages
from colorize_client.client import SILENCE_SECONDS, Client, OnProgress, new_id, read_reply, request_for
from colorize_client.errors import BadReply, Cancelled, ServiceSilent, UnknownType
from colorize_client.held import Held, Pixels
from colorize_client.options import Options
from colorize_client.picture import HintTiles, Picture, UnreadPicture

HOLD_SECONDS = 120.0  # between two signs of life for which the service keeps the picture


class LiveSession:
    """One picture on one connection, for one thread.

    `ask` sends at once; whenever the connection has something (`fileno` is readable, after each `ask`, and now and
    then), `take` gives what came. A newer request takes the place of the one under way.

    Args:
        client: connected, and from now on used for nothing else; closed by whoever opened it.
        picture: the photograph's gray plane; uploaded when the service needs it.
        layout: "rgb8" or "rgb16".
        held: the states of the tiles that the client shows.
    """

    def __init__(self, client: Client, picture: Picture | UnreadPicture, layout: str, held: Held) -> None:
        self.picture: Picture | UnreadPicture = picture
        self._wire, self._layout, self.held = client.wire, layout, held
        self._request: messages.PictureRequest | None = None
        self._heard = self._held_at = time.monotonic()
        self.began = False  # whether the request under way has sent pixels
        self.stage, self.fraction = "queued", 0.0  # of the request under way, as the service names it
        self.result: dict[str, Any] = {}

    @property
    def busy(self) -> bool:
        """Whether a request is under way."""
        return self._request is not None

    def fileno(self) -> int:
        return self._wire.fileno()

    def ask(
        self,
        hints: HintTiles | None,
        options: Options,
        kept: HintTiles | None = None,
        *,
        near: tuple[int, int] | None = None,
        draft: bool = False,
    ) -> None:
        """Asks for what these hints and options change of the tiles that are held; see `Client.colorize`.

        Args:
            near: the nearest tiles come first.
            draft: whether small things may be answered roughly first; `result["draft"]` says whether any was.
        """
        update = self.held.update(near, draft)
        self._send(replace(request_for(self.picture, hints, options, self._layout, kept), update=update))

    def run(
        self,
        hints: HintTiles | None,
        options: Options,
        kept: HintTiles | None,
        on_pixels: Callable[[Pixels], None],
        on_progress: OnProgress,
    ) -> dict[str, Any]:
        """`ask`, and waits until all has come; returns the result's body. What a callback raises passes through."""
        self.ask(hints, options, kept)
        while self.busy:
            for part in self._taken(self._wire.receive(time.monotonic() + SILENCE_SECONDS)):
                on_pixels(part)
            on_progress(self.stage, self.fraction)
        if not self.result:
            raise Cancelled
        return self.result

    def keep_alive(self, model: str) -> None:
        """Lets the service keep the picture; to be called now and then, sends something once in `HOLD_SECONDS`."""
        if not self.busy and time.monotonic() - self._held_at > HOLD_SECONDS:
            image = messages.Image(self.picture.key, self.picture.width, self.picture.height)
            self._send(messages.Prepare(new_id(), image, model, hold=True))

    def _send(self, request: messages.PictureRequest) -> None:
        self._request, self.began = request, False
        self._heard = self._held_at = time.monotonic()
        self._wire.send(codec.encode(request), SILENCE_SECONDS)

    def take(self) -> Iterator[Pixels]:
        """What has come, and is now taken as held. `busy` and `result` change meanwhile.

        Raises:
            RequestError, ServiceLost, ServiceSilent, BadReply.
        """
        while (frames := self._wire.receive_now()) is not None:
            self._heard = time.monotonic()
            yield from self._taken(frames)
        if self.busy and time.monotonic() - self._heard > SILENCE_SECONDS:
            raise ServiceSilent("no answer in time")

    def _taken(self, frames: Sequence[bytes]) -> Iterable[Pixels]:
        request = self._request
        try:
            reply = read_reply(frames, request.id if request else "")
        except Cancelled:  # by another program: what is missing is asked for with the next change
            self._request = None
            return
        except UnknownType:  # a service older than `prepare`
            if not isinstance(request, messages.Prepare):
                raise
            self._request = None
            return
        if isinstance(reply, messages.Progress):
            self.stage, self.fraction = reply.stage, reply.fraction
        elif isinstance(reply, messages.NeedImage):
            self._upload()
        elif isinstance(reply, messages.Tile):
            yield self._tile(reply)
        elif isinstance(reply, messages.Band):
            yield self._band(reply)
        elif isinstance(reply, messages.Result):
            self._end(dict(reply.body))

    def _upload(self) -> None:
        assert self._request is not None
        if self._request.image.array is not None:
            raise BadReply("the service asked for the picture after it had come")
        if isinstance(self.picture, UnreadPicture):
            self.picture = self.picture.read()
        image = messages.Image(self.picture.key, self.picture.width, self.picture.height, self.picture.array)
        self._send(replace(self._request, id=new_id(), image=image))

    def _tile(self, tile: messages.Tile) -> Pixels:
        dtype, channels = messages.LAYOUTS[self._layout]
        height, width, depth = tile.array.shape
        fits = tile.x + width <= self.picture.width and tile.y + height <= self.picture.height
        if (depth, tile.array.dtype) != (channels, dtype) or not fits:
            raise BadReply(f"a tile of {tile.array.shape} {tile.array.dtype} at {tile.x},{tile.y}")
        self.held.put((tile.x, tile.y, width, height), tile.state)
        self.began = True
        return Pixels(tile.x, tile.y, width, height, bytes(tile.array.data))

    def _band(self, band: messages.Band) -> Pixels:
        """Of a service older than tiles, which sends everything."""
        dtype, channels = messages.LAYOUTS[self._layout]
        have = (band.array.shape, band.array.dtype)
        if have != ((band.rows, self.picture.width, channels), dtype) or band.y + band.rows > self.picture.height:
            raise BadReply(f"a band of {have} at row {band.y}")
        self.began = True
        return Pixels(0, band.y, self.picture.width, band.rows, bytes(band.array.data))

    def _end(self, body: dict[str, Any]) -> None:
        if isinstance(self._request, messages.Colorize):
            self.result = body
            if not (self._request.update and self._request.update.draft):  # a draft leaves what hardly changes out
                self.held.put_all(str(body.get("state", "")))
        self._request = None
