"""What a list's URLs name, fetched once and kept in a folder.

A file is written beside its place and renamed when it is whole, under a name made from its URL: a call that was
stopped, or a machine that lost power, leaves only whole files, and the next call fetches the others.
"""

import hashlib
import http.client
import os
import string
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from colorize_training.data.decoding import MAX_BYTES, Unusable
from colorize_training.writing import explained, make_folder

CHUNK = 2**16
AGENT = "gimp-colorize-train"
TEMPORARY = {408, 425, 429, 500, 502, 503, 504}  # statuses that may be others at the next try


@dataclass(frozen=True)
class RetryPolicy:
    """How long a server is waited for, and how much is taken from it."""

    tries: int = 3
    pause: float = 1.0  # seconds before the second try, doubled before each further one
    timeout: float = 20.0  # seconds without a byte
    deadline: float = 300.0  # seconds for one file
    most_bytes: int = MAX_BYTES
    at_once: int = 8  # files


class _Temporary(Exception):
    """A failure that another try may mend; the text is its reason."""


def download_all(
    wanted: Mapping[str, str | None], folder: Path, policy: RetryPolicy | None = None
) -> dict[str, Path | Unusable]:
    """Fetch URLs (with their SHA-256, or None) into `folder`; each gives its file, or the reason why there is none.

    Ctrl-C passes through, at most one timeout after it came; what is whole is kept.
    """
    if not wanted:
        return {}
    make_folder(folder)
    fetcher = _Fetcher(folder, policy or RetryPolicy())
    pool = ThreadPoolExecutor(fetcher.policy.at_once)
    try:
        jobs = {pool.submit(fetcher.fetch, url, sha256): url for url, sha256 in wanted.items()}
        done = tqdm(as_completed(jobs), desc="downloading", total=len(jobs), unit="file")
        return {jobs[job]: _outcome(job) for job in done}
    finally:
        fetcher.stopped.set()
        pool.shutdown(cancel_futures=True)


def _outcome(job: Future) -> Path | Unusable:
    try:
        return job.result()
    except Unusable as reason:
        return reason


class _Fetcher:
    def __init__(self, folder: Path, policy: RetryPolicy) -> None:
        self.folder, self.policy = folder, policy
        self.stopped = threading.Event()

    def fetch(self, url: str, sha256: str | None) -> Path:
        """The file with what `url` gives; what an earlier call kept is checked, not fetched. Raises Unusable."""
        target = self.folder / hashlib.blake2b(url.encode(), digest_size=16).hexdigest()
        if target.exists() and (sha256 is None or _sha256(target) == sha256):
            return target
        part = target.with_suffix(f".{os.getpid()}.part")
        try:
            self._fetch_with_retries(url, part)
            check_sha256(_sha256(part), sha256)
            os.replace(part, target)
        finally:
            part.unlink(missing_ok=True)
        return target

    def _fetch_with_retries(self, url: str, part: Path) -> None:
        reason = ""
        for number in range(self.policy.tries):
            if number and self.stopped.wait(self.policy.pause * 2 ** (number - 1)):
                break
            try:
                self._fetch_once(url, part)
                return
            except _Temporary as temporary:
                reason = str(temporary)
        raise Unusable(f"{reason}, at each of {self.policy.tries} tries")

    def _fetch_once(self, url: str, part: Path) -> None:
        with _explained():
            quoted = urllib.parse.quote(url, safe=string.punctuation)
            request = urllib.request.Request(quoted, headers={"User-Agent": AGENT})
            response = urllib.request.urlopen(request, timeout=self.policy.timeout)
        with response:
            self._keep(response, part)

    def _keep(self, response: http.client.HTTPResponse, part: Path) -> None:
        announced = -1 if response.length is None else response.length
        if announced > self.policy.most_bytes:
            raise Unusable(f"{announced} bytes are announced, {self.policy.most_bytes} are taken at most")
        count = 0
        with explained(part), open(part, "wb") as file:
            for chunk in self._chunks(response):
                count += file.write(chunk)
                if count > self.policy.most_bytes:
                    raise Unusable(f"more than {self.policy.most_bytes} bytes")
        if 0 <= announced != count:
            raise _Temporary(f"{count} of {announced} bytes came")

    def _chunks(self, response: http.client.HTTPResponse) -> Iterator[bytes]:
        end = time.monotonic() + self.policy.deadline
        while chunk := _read(response):
            if self.stopped.is_set() or time.monotonic() > end:
                raise Unusable(f"not whole after {self.policy.deadline:g} seconds")
            yield chunk


def _read(response: http.client.HTTPResponse) -> bytes:
    with _explained():
        return response.read(CHUNK)


@contextmanager
def _explained() -> Iterator[None]:
    """What goes wrong on the way to a server, as _Temporary or Unusable with a reason in plain words."""
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        kind = _Temporary if error.code in TEMPORARY else Unusable
        raise kind(f"the server answers {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise _Temporary(f"no answer ({error.reason})") from error
    except (OSError, http.client.IncompleteRead) as error:
        raise _Temporary(f"the connection broke ({error})") from error
    except (http.client.HTTPException, ValueError) as error:
        raise Unusable(f"not a URL, or not HTTP ({error})") from error


def check_sha256(found: str, wanted: str | None) -> None:
    """Raises Unusable where a checksum was given and is another."""
    if wanted is not None and found != wanted:
        raise Unusable(f"its SHA-256 is {found}, not {wanted}")


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
