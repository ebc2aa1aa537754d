"""A session's connection to the colour service: opened beside the main loop, and opened again when it is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from colorize_client import ColorizeError
from colorize_client.errors import ServiceError
from colorize_client.held import Held, Pixels
from gi.repository import GLib
from model_list import later
from text import _
from version import CLIENT

if TYPE_CHECKING:  # imported where the service is asked
    from colorize_client import Client, HintTiles, Options, Picture
    from colorize_client.live import LiveSession

RETRY_SECONDS = 5.0


class Link:
    """Asks the service about one picture, and gives what comes.

    Args:
        layout: of the pixels.
        held: the states of the tiles that are shown.
        say: takes a sentence on what goes on.
        show_models: takes the installed models, each time when the service is there.
        came: called in the main loop when something has come.
    """

    def __init__(
        self,
        layout: str,
        held: Held,
        say: Callable[[str], object],
        show_models: Callable[[list[dict[str, Any]]], object],
        came: Callable[..., bool],
    ) -> None:
        self.held = held
        self._layout, self._say, self._show_models, self._came = layout, say, show_models, came
        self._picture: Picture | None = None
        self._service: Client | None = None
        self._session: LiveSession | None = None
        self._source = 0
        self._opening, self._closed, self._tried = False, False, 0.0
        self.is_new = False  # a session on which nothing was asked yet

    @property
    def is_ready(self) -> bool:
        """Whether something newer may be asked: nothing is under way, or its first pixels have come."""
        return self._session is not None and (not self._session.busy or self._session.began)

    @property
    def is_there(self) -> bool:
        """Whether there is a service that can be asked; not while one is started."""
        return self._session is not None

    @property
    def is_busy(self) -> bool:
        return self._session is not None and self._session.busy

    @property
    def stage(self) -> str:
        """Of the request under way, as the service names it; "" where there is none."""
        return self._session.stage if self._session and self._session.busy else ""

    @property
    def result(self) -> dict[str, Any]:
        """Of the last request."""
        return self._session.result if self._session else {}

    def use(self, picture: Picture) -> None:
        """From now on it is about this picture."""
        self._picture = picture
        if self._service is not None:
            self._listen(self._service, picture)

    def ask(
        self,
        hints: HintTiles | None,
        options: Options,
        kept: HintTiles | None,
        near: tuple[int, int] | None,
        draft: bool,
    ) -> None:
        assert self._session is not None
        self.is_new = False
        self._session.ask(hints, options, kept, near=near, draft=draft)

    def receive(self) -> Iterator[Pixels]:
        """What has come. A connection that is lost is opened again, and what is refused is said."""
        if self._session is None:
            return
        try:
            yield from self._session.take()
        except ServiceError as error:
            self._say(_(error.sentence))
            self._open()
        except ColorizeError as error:
            self._say(_(error.sentence))
            if self._picture is not None:
                self.use(self._picture)
            self.is_new = False  # the same would be refused again

    def look_after(self, model: str) -> None:
        """To be called now and then: connects where there is no connection, and keeps the picture in the service."""
        if self._session is not None:
            self._session.keep_alive(model)
        elif not self._opening and time.monotonic() - self._tried > RETRY_SECONDS:
            self._open()

    def close(self) -> None:
        self._closed = True
        self._drop()

    def _open(self) -> None:
        self._drop()
        self._opening, self._tried = True, time.monotonic()
        threading.Thread(target=self._connect, daemon=True).start()

    def _connect(self) -> None:
        """In a thread of its own: to start a service takes seconds."""
        from colorize_client import connect

        try:
            service = connect(client=CLIENT, on_start=lambda: later(self._say, _("Starting the colour service…")))
            later(self._opened, service, service.models())
        except ColorizeError as error:
            later(self._failed, error)

    def _failed(self, error: ColorizeError) -> None:
        self._opening = False
        self._say(_(error.sentence))

    def _opened(self, service: Client, models: list[dict[str, Any]]) -> None:
        self._opening = False
        if self._closed:
            service.close()
            return
        self._service = service
        self._show_models(models)
        if self._picture is not None:
            self._listen(service, self._picture)

    def _listen(self, service: Client, picture: Picture) -> None:
        from colorize_client.live import LiveSession

        self._session, self.is_new = LiveSession(service, picture, self._layout, self.held), True
        self._unwatch()
        descriptor, readable = self._session.fileno(), GLib.IOCondition.IN
        self._source = GLib.unix_fd_add_full(GLib.PRIORITY_DEFAULT, descriptor, readable, self._came)

    def _drop(self) -> None:
        self._unwatch()
        if self._service is not None:
            self._service.close()
        self._service = self._session = None

    def _unwatch(self) -> None:
        if self._source:
            GLib.source_remove(self._source)
            self._source = 0
