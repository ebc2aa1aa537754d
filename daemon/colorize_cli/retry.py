"""The retry policy of the command line: connected when first needed; a service that fails is started again, once."""

from types import TracebackType
from typing import Any

from colorize_client import Client, HintTiles, Options, Picture, connect
from colorize_client.client import OnBand, OnProgress
from colorize_client.errors import ServiceLost, ServiceSilent, ServiceStopping

from colorize_cli import CLIENT_NAME

RETRIED = (ServiceLost, ServiceSilent, ServiceStopping)


class RetryingClient:
    """One connection that outlives the service's end once per picture."""

    def __init__(self) -> None:
        self._client: Client | None = None

    def colorize(
        self, picture: Picture, hints: HintTiles | None, options: Options, on_band: OnBand, on_progress: OnProgress
    ) -> dict[str, Any]:
        """Chroma of a picture in bands of layout "ab16", see `Client.colorize`; bands may come again from the top.

        Raises ColorizeError: a service that fails is started again once, and its second failure raised.
        """
        try:
            return self._ask(picture, hints, options, on_band, on_progress)
        except RETRIED:
            self.close()
        try:
            return self._ask(picture, hints, options, on_band, on_progress)
        except RETRIED:
            self.close()
            raise

    def _ask(
        self, picture: Picture, hints: HintTiles | None, options: Options, on_band: OnBand, on_progress: OnProgress
    ) -> dict[str, Any]:
        if self._client is None:
            self._client = connect(client=CLIENT_NAME, launch=True)
        return self._client.colorize(picture, hints, options, layout="ab16", on_band=on_band, on_progress=on_progress)

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
