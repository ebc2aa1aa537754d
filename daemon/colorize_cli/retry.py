"""The retry policy of the command line: connected when first needed; a service that fails is started again, once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition, Lock
from types import TracebackType
from typing import Any

from colorize_client import Client, HintTiles, Options, Picture, connect
from colorize_client.client import OnBand, OnProgress
from colorize_client.errors import ServiceLost, ServiceSilent, ServiceStopping

from colorize_cli import CLIENT_NAME

RETRIED = (ServiceLost, ServiceSilent, ServiceStopping)


class Turns:
    """What the clients of one command agree on: all of them may ask at once, or one alone; one starts the service."""

    def __init__(self) -> None:
        self.connecting = Lock()
        self._changed = Condition()
        self._asking, self._alone = 0, False

    @contextmanager
    def shared(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._alone)
            self._asking += 1
        try:
            yield
        finally:
            with self._changed:
                self._asking -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._alone)
            self._alone = True
            self._changed.wait_for(lambda: not self._asking)
        try:
            yield
        finally:
            with self._changed:
                self._alone = False
                self._changed.notify_all()


class RetryingClient:
    """One connection that outlives the service's end once per picture; `on_start` is told of each service's start."""

    def __init__(self, turns: Turns, on_start: Callable[[], None]) -> None:
        self._client: Client | None = None
        self._turns, self._on_start = turns, on_start

    def colorize(
        self,
        picture: Picture,
        hints: HintTiles | None,
        kept: HintTiles | None,
        options: Options,
        layout: str,
        on_band: OnBand,
        on_progress: OnProgress,
    ) -> dict[str, Any]:
        """A picture in bands, see `Client.colorize`; bands may come again from the top.

        Raises ColorizeError: a service that fails is started again once, and its second failure raised. The second time
        no other picture is with it: what another one does to the service is not this one's failure.
        """

        def ask() -> dict[str, Any]:
            return self._connected().colorize(
                picture, hints, options, kept=kept, layout=layout, on_band=on_band, on_progress=on_progress
            )

        try:
            with self._turns.shared():
                return ask()
        except RETRIED:
            self.close()
        try:
            with self._turns.alone():
                return ask()
        except RETRIED:
            self.close()
            raise

    def _connected(self) -> Client:
        if self._client is None:
            with self._turns.connecting:
                self._client = connect(client=CLIENT_NAME, launch=True, on_start=self._on_start)
        return self._client

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def __enter__(self) -> "RetryingClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
