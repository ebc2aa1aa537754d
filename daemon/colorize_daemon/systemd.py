"""What systemd gives and wants: a listening socket, news of how the service is, a fed watchdog."""

from __future__ import annotations

import os
import socket
import time

FIRST_ACTIVATED_FD = 3  # sd_listen_fds(3)


def activated_socket() -> socket.socket | None:
    """The listening socket that systemd handed over (sd_listen_fds(3)), None where there is none."""
    if os.environ.pop("LISTEN_PID", "") != str(os.getpid()):
        return None
    count = int(os.environ.pop("LISTEN_FDS", "0"))
    os.environ.pop("LISTEN_FDNAMES", None)
    if count == 0:
        return None
    if count > 1:
        raise ValueError(f"{count} sockets were handed over, the service listens on one")
    os.set_inheritable(FIRST_ACTIVATED_FD, False)
    return socket.socket(fileno=FIRST_ACTIVATED_FD)


class Notifier:
    """Tells systemd how the service is (sd_notify(3)); without NOTIFY_SOCKET it tells nobody."""

    def __init__(self) -> None:
        self._address = os.environ.pop("NOTIFY_SOCKET", "").replace("@", "\0", 1)
        self._interval = int(os.environ.pop("WATCHDOG_USEC", "0")) / 2e6
        self._last = 0.0

    def send(self, text: str) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams:
            datagrams.sendto(text.encode(), self._address)

    def tick(self) -> None:
        """Feeds the watchdog when half of its time is over."""
        now = time.monotonic()
        if self._interval and now - self._last >= self._interval:
            self._last = now
            self.send("WATCHDOG=1")
