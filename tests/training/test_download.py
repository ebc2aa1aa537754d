"""Lists of URLs, against a real server of this process."""

import hashlib
import io
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from colorize_training.data import Skipped, Unusable, download, pack, read_photographs
from colorize_training.data.download import RetryPolicy, download_all
from PIL import Image

QUICK = RetryPolicy(tries=3, pause=0.01, timeout=0.5, deadline=5.0, most_bytes=50_000)


def picture(colour: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (32, 32), colour).save(file, "PNG")
    return file.getvalue()


class Handler(BaseHTTPRequestHandler):
    """Answers as the path says; the server counts the questions."""

    def do_GET(self) -> None:
        self.server.asked[self.path] += 1
        kind = self.path.strip("/").split("/")[0]
        getattr(self, f"_{kind}")(self.server.asked[self.path])

    def _answer(self, status: int, body: bytes, length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def _red(self, _: int) -> None:
        self._answer(200, picture("red"))

    def _blue(self, _: int) -> None:
        self._answer(200, picture("blue"))

    def _moved(self, _: int) -> None:
        self.send_response(301)
        self.send_header("Location", "/red")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _absent(self, _: int) -> None:
        self._answer(404, b"nothing here")

    def _weak(self, time: int) -> None:
        self._answer(*(503, b"busy") if time <= 2 else (200, picture("lime")))

    def _down(self, _: int) -> None:
        self._answer(500, b"broken")

    def _short(self, _: int) -> None:
        self._answer(200, picture("red")[:50], length=500)

    def _text(self, _: int) -> None:
        self._answer(200, b"<html>not a picture</html>")

    def _large(self, _: int) -> None:
        self._answer(200, bytes(60_000))

    def _endless(self, _: int) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(bytes(60_000))

    def _silent(self, _: int) -> None:
        self.server.quiet.wait(10)

    def log_message(self, *_: object) -> None:
        """The test's output is no access log."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.quiet = Counter(), threading.Event()
    server.handle_error = lambda *_: None  # a client that went away is what some tests want
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.quiet.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def at(server: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_port}"


def test_files_are_fetched_once_and_kept_whole(server: ThreadingHTTPServer, at: str, tmp_path: Path) -> None:
    right = hashlib.sha256(picture("blue")).hexdigest()
    wanted = {f"{at}/red": None, f"{at}/blue": right, f"{at}/moved": None, f"{at}/red/with a space/ü": None}
    found = download_all(wanted, tmp_path, QUICK)
    assert found[f"{at}/red"].read_bytes() == found[f"{at}/moved"].read_bytes() == picture("red")
    assert found[f"{at}/blue"].read_bytes() == picture("blue")
    assert len(list(tmp_path.iterdir())) == 4
    before = server.asked.total()
    assert download_all(wanted, tmp_path, QUICK) == found
    assert server.asked.total() == before


@pytest.mark.parametrize(
    ("path", "times", "reason"),
    [
        ("absent", 1, "the server answers 404"),
        ("down", 3, "the server answers 500 Internal Server Error, at each of 3 tries"),
        ("short", 3, "50 of 500 bytes came"),
        ("large", 1, "60000 bytes are announced, 50000 are taken at most"),
        ("endless", 1, "more than 50000 bytes"),
        ("silent", 3, "timed out"),
    ],
)
def test_what_fails_has_a_reason_and_leaves_nothing(
    server: ThreadingHTTPServer, at: str, tmp_path: Path, path: str, times: int, reason: str
) -> None:
    outcome = download_all({f"{at}/{path}": None}, tmp_path, QUICK)[f"{at}/{path}"]
    assert isinstance(outcome, Unusable)
    assert reason in str(outcome)
    assert server.asked[f"/{path}"] == times
    assert not list(tmp_path.iterdir())


def test_a_server_that_fails_twice_is_asked_a_third_time(server: ThreadingHTTPServer, at: str, tmp_path: Path) -> None:
    assert download_all({f"{at}/weak": None}, tmp_path, QUICK)[f"{at}/weak"].read_bytes() == picture("lime")
    assert server.asked["/weak"] == 3


def test_a_wrong_checksum_is_refused_also_of_what_was_kept(
    server: ThreadingHTTPServer, at: str, tmp_path: Path
) -> None:
    url = f"{at}/red"
    assert "SHA-256" in str(download_all({url: "0" * 64}, tmp_path, QUICK)[url])
    assert not list(tmp_path.iterdir())
    kept = download_all({url: None}, tmp_path, QUICK)[url]
    kept.write_bytes(b"damaged")
    right = hashlib.sha256(picture("red")).hexdigest()
    assert download_all({url: right}, tmp_path, QUICK)[url].read_bytes() == picture("red")
    assert server.asked["/red"] == 3


@pytest.mark.parametrize("url", ["http://", "http://[", "http://127.0.0.1:1/a", "http://127.0.0.1:port/a"])
def test_a_url_that_leads_nowhere_has_a_reason(url: str, tmp_path: Path, at: str) -> None:
    assert str(download_all({url: None}, tmp_path, QUICK)[url])


def test_a_full_disk_is_no_fault_of_the_server(at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(download.os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        download_all({f"{at}/red": None}, tmp_path, QUICK)


def test_the_next_call_goes_on_after_ctrl_c(
    server: ThreadingHTTPServer, at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(jobs: dict, **_: object) -> Iterator:
        next(iter(jobs)).result()
        raise KeyboardInterrupt

    wanted = {f"{at}/red": None, f"{at}/silent": None, f"{at}/blue": None}
    one_by_one = RetryPolicy(pause=0.01, timeout=0.2, at_once=1)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(download, "as_completed", interrupted)
        download_all(wanted, tmp_path, one_by_one)
    assert server.asked["/blue"] == 0
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [picture("red")]
    server.quiet.set()
    found = download_all(wanted, tmp_path, one_by_one)
    assert found[f"{at}/blue"].read_bytes() == picture("blue")
    assert server.asked["/red"] == 1


def test_a_list_with_urls_becomes_a_pack(
    server: ThreadingHTTPServer, at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "RetryPolicy", lambda: QUICK)
    (tmp_path / "own.png").write_bytes(picture("teal"))
    lines = [f"{at}/red", "own.png", f"{at}/absent", f"{at}/text", f"{at}/blue {'0' * 64}", f"{at}/weak"]
    (tmp_path / "list.txt").write_text("\n".join(lines))
    skipped = Skipped()
    found = list(read_photographs([tmp_path / "list.txt"], skipped, tmp_path / "cache" / "downloads", 32))
    assert [p.name for p in found] == [f"{at}/red", "own.png", f"{at}/weak"]
    assert skipped.reasons.keys() == {f"{at}/absent", f"{at}/text", f"{at}/blue"}
    packed = pack([tmp_path / "list.txt"], tmp_path / "cache", 32)
    assert np.array_equal(packed[2], found[2].pixels)
    asked = server.asked.total()
    assert pack([tmp_path / "list.txt"], tmp_path / "cache", 32).digest == packed.digest
    assert server.asked.total() == asked
