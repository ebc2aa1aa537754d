import threading, time, subprocess, sys
import conftest
import pytest, progress
conftest.HUNG=6.0
def test_hang(): time.sleep(100)
def test_event(): threading.Event().wait(100)
def test_child(): subprocess.run(["sleep","100"])
def test_busy_child(): subprocess.run(["timeout", "10", "sh","-c","while :; do :; done"])
@pytest.mark.timeout(4)
def test_cap(): subprocess.run(["timeout", "10", "sh","-c","while :; do :; done"])
def test_wait(): progress.wait_until(lambda: False, "never", quiet=5)
def test_wait_cap(): 
    with subprocess.Popen(["timeout", "10", "sh","-c","while :; do :; done"]) as p: progress.wait_until(lambda: p.poll() is not None, "x", quiet=3)
