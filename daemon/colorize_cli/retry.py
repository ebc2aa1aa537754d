"""The retry policy of the command line: connected when first needed; a service that fails is started again, once."""

from collections.abc import Callable
from types import TracebackType
from typing import Any

from colorize_client import Client, HintTiles, Options, Picture, connect
from colorize_client.client import OnBand, OnProgress
from colorize_client.errors import ServiceLost, ServiceSilent, ServiceStopping

from colorize_cli import CLIENT_NAME

RETRIED = (ServiceLost, ServiceSilent, ServiceStopping)


class RetryingClient:
    """One connection that outlives the service's end once per picture; `on_start` is told of each service's start."""

    def __init__(self, on_start: Callable[[], None]) -> None:
        self._client: Client | None = None
        self._on_start = on_start

    def colorize(
        self,
        picture: Picture,
        hints: HintTiles | None,
        kept: HintTiles | None,
        options: Options,
        on_band: OnBand,
        on_progress: OnProgress,
    ) -> dict[str, Any]:
        """Chroma of a picture in bands of layout "ab16", see `Client.colorize`; bands may come again from the top.

        Raises ColorizeError: a service that fails is started again once, and its second failure raised.
        """

        def ask() -> dict[str, Any]:
            return self._connected().colorize(
                picture, hints, options, kept=kept, layout="ab16", on_band=on_band, on_progress=on_progress
            )

        try:
            return ask()
        except RETRIED:
            self.close()
        try:
            return ask()
        except RETRIED:
            self.close()
            raise

    def _connected(self) -> Client:
        if self._client is None:
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
