"""The suite's own waits: given up when nothing goes on, and not before."""

import subprocess
import sys
import time

import pytest
from progress import NoProgress, wait_until

BUSY = "import time; end = time.monotonic() + 4\nwhile time.monotonic() < end: pass"


def test_a_wait_for_what_never_comes_ends_and_says_what_it_was() -> None:
    with subprocess.Popen(["sleep", "60"]) as idle:
        with pytest.raises(NoProgress, match=r"the moon: nothing has gone on for 2 s"):
            wait_until(lambda: False, "the moon", quiet=2.0)
        idle.kill()


def test_a_wait_goes_on_while_a_process_works() -> None:
    with subprocess.Popen([sys.executable, "-c", BUSY]) as busy:
        begun = time.monotonic()
        wait_until(lambda: busy.poll() is not None, "the end of the work", quiet=2.0)
    assert time.monotonic() - begun > 3.0  # longer than it waits for one that rests


def test_a_wait_has_an_end_also_where_something_goes_on() -> None:
    with subprocess.Popen([sys.executable, "-c", BUSY]) as busy:
        with pytest.raises(NoProgress, match="not within 1 s, though something goes on"):
            wait_until(lambda: False, "the moon", cap=1.0)
        busy.kill()
