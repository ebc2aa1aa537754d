"""What the service asks of the operating system: its memory, processors that others want too, systemd's sockets."""

from __future__ import annotations

import os
import resource
import socket
import sys
import time
from pathlib import Path

FIRST_ACTIVATED_FD = 3  # sd_listen_fds(3)


def share_processors() -> None:
    """Lets torch's threads fall asleep soon where they wait for each other; to be called before torch is imported.

    GNU's OpenMP, which torch's packages for Linux carry, lets them spin for milliseconds. With GIMP or a browser at
    work on one of two processors, they spin away the time that the late one needs: a changed stroke took 0.9 to 7 s
    where it takes 0.4 with this count (`tests/bench/run --busy 1`). Alone, this count costs nothing; 0 costs a half.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "5000")


def memory() -> dict[str, int]:
    """Bytes in memory now (`rss`) and at most so far (`peak_rss`)."""
    try:
        text = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:  # not Linux: only the peak is to be had
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        return {"rss": peak, "peak_rss": peak}
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in text.splitlines() if line.endswith(" kB")}
    return {"rss": 1024 * kilobytes["VmRSS"], "peak_rss": 1024 * kilobytes["VmHWM"]}


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
