"""What the product is measured beside: the network alone, a copy of the same bytes, the bytes through a bare socket."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import numpy as np
import torch
import zmq
from colorize_client import Options
from colorize_engine import rendering, weights
from colorize_engine.colorizer import Colorizer
from colorize_engine.network_input import NetworkInput
from colorize_engine.networks.served import CHROMA_STRIDE, HINT_PLANES

REPEATS = 5
PASSES = 10  # of each process
PATIENCE_MS = 60_000


class BareNetwork:
    """The default weights on a plane of noise of the network's own size: torch and nothing else."""

    def __init__(self, device: str = "auto") -> None:
        record = next(record for record in weights.available() if record.default)
        self.record, self._colorizer = record, Colorizer.load(record, device)
        self.device = str(self._colorizer.device)

    def seconds(self, height: int, width: int) -> dict[str, list[float]]:
        """Of encode, decode, and both with the chroma they give, for this size; the first pass is not counted."""
        both = [self._pass(height, width) for _ in range(REPEATS + 1)][1:]
        encode, decode, _ = ([times[i] for times in both] for i in range(3))
        return {"encode": encode, "decode": decode, "forward": [sum(times) for times in both]}

    @torch.inference_mode()
    def _pass(self, height: int, width: int) -> tuple[float, float, float]:
        network, device = self._colorizer.network, self._colorizer.device
        rows, columns = NetworkInput.fit(height, width, self.record.side, network.stride).padded
        lightness = torch.rand(1, 1, rows, columns, device=device) * 100
        hints = torch.zeros(1, HINT_PLANES, rows // CHROMA_STRIDE, columns // CHROMA_STRIDE, device=device)
        start = self._now()
        embedding = network.encode(lightness)
        encoded = self._now()
        output = network.decode(embedding, hints)
        decoded = self._now()
        network.chroma(output, Options().temperature)
        return encoded - start, decoded - encoded, self._now() - decoded

    def passes(self, height: int, width: int, count: int) -> float:
        """So many passes, one after the other; returns their seconds."""
        begin = time.monotonic()
        for _ in range(count):
            self._pass(height, width)
        return time.monotonic() - begin

    def rate(self, height: int, width: int) -> float:
        """Passes per second, the better of: one after the other on all threads; in a process for each processor, on one
        thread each. The second is tried on the CPU alone."""
        together = 1 / median(self.seconds(height, width)["forward"])
        return max(together, _rate_apart(height, width)) if self.device == "cpu" else together

    def _now(self) -> float:
        if self._colorizer.device.type == "cuda":
            torch.cuda.synchronize()
        return time.monotonic()


def _rate_apart(height: int, width: int) -> float:
    """Passes per second of one process for each processor; their starts are not counted."""
    words = [sys.executable, str(Path(__file__).with_name("bare_peer.py")), *map(str, (height, width, PASSES))]
    count = len(os.sched_getaffinity(0))
    peers = [
        subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        for _ in range(count)
    ]
    try:
        for peer in peers:
            _expect(peer, "ready")
        begin = time.monotonic()
        for peer in peers:
            peer.stdin.write("\n")
        for peer in peers:
            _expect(peer, "done")
        return count * PASSES / (time.monotonic() - begin)
    finally:
        for peer in peers:
            peer.kill()
            peer.communicate()


def _expect(peer: subprocess.Popen, word: str) -> None:
    said = peer.stdout.readline().strip()
    if said != word:
        raise RuntimeError(f"the bare network's process said {said!r} instead of {word!r}")


def copy_seconds(count: int) -> list[float]:
    """Of copying so many bytes from one place in memory to another that is already there."""
    source, target = np.ones(count, np.uint8), np.zeros(count, np.uint8)
    return _repeated(lambda: np.copyto(target, source))


def socket_seconds(folder: Path, up: int, down: int, bytes_per_pixel: int) -> list[float]:
    """Of sending `up` bytes through a bare ipc DEALER to another process, and having `down` bytes back.

    They come back in messages of the size of the service's bands.
    """
    with _peer(folder / "plain.sock", rendering.BAND_PIXELS * bytes_per_pixel) as dealer:
        content = bytes(up)
        _round_trip(dealer, b"", 1)  # the connection is there
        return _repeated(lambda: _round_trip(dealer, content, down))


def _round_trip(dealer: zmq.Socket, content: bytes, down: int) -> None:
    dealer.send_multipart([str(down).encode(), content], copy=False)
    while down > 0:
        if not dealer.poll(PATIENCE_MS):
            raise TimeoutError("the bare socket's other end does not answer")
        down -= len(dealer.recv())


@contextmanager
def _peer(path: Path, piece: int) -> Iterator[zmq.Socket]:
    endpoint = f"ipc://{path}"
    command = [sys.executable, str(Path(__file__).with_name("plain_peer.py")), endpoint, str(piece)]
    process = subprocess.Popen(command)
    try:
        with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
            dealer.linger = 0
            dealer.connect(endpoint)
            yield dealer
    finally:
        process.kill()
        process.wait()


def _repeated(action: Callable[[], None]) -> list[float]:
    times = []
    for _ in range(REPEATS):
        start = time.monotonic()
        action()
        times.append(time.monotonic() - start)
    return times


def merged(measurements: list[dict[str, list[float]]]) -> dict[str, float]:
    """The median of each of several measurements taken before and after something else."""
    return {name: median(seconds for each in measurements for seconds in each[name]) for name in measurements[0]}
