"""One DEALER socket that notices when the other side goes away, and never waits longer than it was told to."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType

import zmq
from zmq.utils.monitor import recv_monitor_message

from colorize_client import messages
from colorize_client.errors import NotAllowed, ServiceLost, ServiceSilent
from colorize_client.messages import Buffer

RECEIVE_QUEUE = 4  # bands that wait on this side, so that a slow writer slows the service and not the memory
_REFUSED = zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
_ENDED = zmq.EVENT_DISCONNECTED | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_CONNECT_RETRIED


@dataclass(frozen=True)
class CurveKeys:
    """CURVE keys (Z85 text) for a service on another machine: its public key and this client's pair."""

    server: bytes
    public: bytes
    secret: bytes


class Wire:
    """A connection to an endpoint; `send` and `receive` whole messages as lists of frames."""

    def __init__(self, endpoint: str, curve: CurveKeys | None = None) -> None:
        self._context = zmq.Context()
        self._dealer = self._context.socket(zmq.DEALER)
        self._dealer.linger = 0
        self._dealer.rcvhwm = RECEIVE_QUEUE
        self._dealer.maxmsgsize = messages.MAX_FRAME_BYTES
        if curve is not None:
            self._dealer.curve_serverkey = curve.server
            self._dealer.curve_publickey, self._dealer.curve_secretkey = curve.public, curve.secret
        self._monitor = self._dealer.get_monitor_socket(_REFUSED | _ENDED)
        self._monitor.linger = 0
        self._poller = zmq.Poller()
        self._poller.register(self._dealer, zmq.POLLIN)
        self._poller.register(self._monitor, zmq.POLLIN)
        self._dealer.connect(endpoint)

    def send(self, frames: Sequence[Buffer], seconds: float) -> None:
        """Hands the frames over; they must not change until the service has answered."""
        if not self._dealer.poll(int(seconds * 1000), zmq.POLLOUT):
            raise ServiceSilent(f"the request could not be sent within {seconds:g} s")
        self._dealer.send_multipart(frames, copy=False)

    def receive(self, deadline: float) -> list[bytes]:
        """The next message; ServiceSilent past the deadline (time.monotonic), ServiceLost when the peer is gone."""
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise ServiceSilent("no answer in time")
            ready = dict(self._poller.poll(int(left * 1000) + 1))
            if self._dealer in ready or (ready and self._dealer.poll(0)):  # what came before the end still counts
                return self._dealer.recv_multipart()
            if ready:
                self._raise_event()

    def receive_now(self) -> list[bytes] | None:
        """A message that has come, or None; ServiceLost when the peer is gone."""
        ready = dict(self._poller.poll(0))
        if self._dealer in ready or (ready and self._dealer.poll(0)):
            return self._dealer.recv_multipart()
        if ready:
            self._raise_event()
        return None

    def fileno(self) -> int:
        """Becomes readable when something may have come; then, and after each `send`, `receive_now` until None."""
        return int(self._dealer.fd)

    def _raise_event(self) -> None:
        event = recv_monitor_message(self._monitor)["event"]
        if event & _REFUSED:
            raise NotAllowed("the handshake with the service failed")
        if event == zmq.EVENT_CONNECT_RETRIED:
            raise ServiceLost("nothing listens at the endpoint any more")
        raise ServiceLost("the connection was closed by the service")

    def wait_closed(self, deadline: float) -> bool:
        """Whether the service closes the connection before the deadline; messages are thrown away."""
        try:
            while True:
                self.receive(deadline)
        except ServiceLost:
            return True
        except ServiceSilent:
            return False

    def close(self) -> None:
        self._dealer.disable_monitor()
        self._monitor.close(0)
        self._dealer.close(0)
        self._context.term()

    def __enter__(self) -> Wire:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
