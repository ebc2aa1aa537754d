"""What the tests of GIMP need outside of it: a profile with the plug-in installed, and a service to talk to."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import progress
import pytest
import pyvips
from colorize_client import Client, ColorizeError, paths
from host import Host, hosts_folder

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
PLUG_IN = REPOSITORY / "gimp_plugin"
GIMPS_OWN = ("python-eval", "file-png")  # of GIMP's plug-ins, all that batch runs use: the rest would cost seconds
# As the user gives them in Edit > Keyboard Shortcuts.
KEYS = {"plug-in-colorize-hints": "F5", "plug-in-colorize-show-result": "F9"}
POLL = 0.02
WORK_SECONDS = 0.1  # how often the service's work is written down


class Service:
    """A daemon outside of GIMP, in a folder that GIMP sees; it is started, killed and watched by request.

    The plug-in starts services itself, but cannot do it from inside a host, where there is no torch. There its
    `daemon.json` names a command that puts a request into `requests`, which this object's thread fulfils.
    """

    def __init__(self, state: Path, requests: Path, log: Path) -> None:
        self.state, self.requests, self.log = state, requests, log
        self.work = requests.parent / "service-work"
        self.plug_in_peak = 0
        self._written = 0.0
        self._process: subprocess.Popen | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Service:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._thread.join()
        if self._process:
            self._process.terminate()
            self._process.wait()

    def _serve(self) -> None:
        duties = {
            "launch": self._launch,
            "kill": self._kill_now,
            "kill-when-working": self._kill,
            "kill-plug-in-when-working": self._kill_plug_in,
            "watch-plug-in": self._watch_plug_in,
        }
        while not self._ended.wait(POLL):
            self._write_work()
            for name, duty in duties.items():
                if (self.requests / name).exists():
                    duty(self.requests / name)

    def _write_work(self) -> None:
        """The service's processor seconds, for those inside who wait for it and cannot see it."""
        if self._process and time.monotonic() - self._written > WORK_SECONDS:
            with suppress(OSError):
                seconds = progress.Process(self._process.pid).seconds
                self.work.with_suffix(".new").write_text(str(seconds))
                self.work.with_suffix(".new").replace(self.work)
            self._written = time.monotonic()

    def _launch(self, request: Path) -> None:
        command = os.environ.get("GIMP_COLORIZE_TEST_DAEMON")
        words = command.split() if command else [sys.executable, "-m", "colorize_daemon.main"]
        environment = os.environ | {paths.STATE_VARIABLE: str(self.state)}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(words, env=environment, stdout=log, stderr=log)
        request.unlink()

    def _kill_now(self, request: Path) -> None:
        self._process.kill()
        self._process.wait()
        request.unlink()

    def _kill(self, request: Path) -> None:
        """SIGKILL for the service, as soon as it works on a picture."""
        if self._is_working():
            self._process.kill()
            self._process.wait()
            request.unlink()

    def _kill_plug_in(self, request: Path) -> None:
        """SIGKILL for the plug-in, as soon as the service works on its picture."""
        if self._is_working():
            for process in self._plug_ins():
                os.kill(int(process.name), signal.SIGKILL)
            request.unlink()

    def _is_working(self) -> bool:
        with suppress(ColorizeError), Client(f"ipc://{self.state}/service.sock") as service:
            return service.status()["state"] == "working"
        return False

    def _watch_plug_in(self, _request: Path) -> None:
        """Notes the peak memory, in bytes, of the plug-in's process while there is one."""
        for process in self._plug_ins():
            with suppress(OSError):
                lines = (process / "status").read_text().splitlines()
                peak = next((line for line in lines if line.startswith("VmHWM")), "VmHWM: 0 kB")
                self.plug_in_peak = max(self.plug_in_peak, 1024 * int(peak.split()[1]))

    def _plug_ins(self) -> list[Path]:
        """The folders in /proc of this suite's running plug-ins; a host's processes are seen from outside."""
        program = os.fsencode(self.requests.parent / "profile/plug-ins/colorize/colorize.py")
        return [process for process in Path("/proc").glob("[0-9]*") if program in _command_line(process)]


def _command_line(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:  # it has just ended
        return b""


@dataclass
class Workshop:
    """One suite's GIMP, its profile and its service; the folder is seen inside at its own path."""

    host: Host
    folder: Path
    service: Service
    profile: Path = field(init=False)
    _one: threading.Lock = field(default_factory=threading.Lock, init=False)  # program at a time: they share a service

    def __post_init__(self) -> None:
        self.profile = self.folder / "profile"
        (self.folder / "requests").mkdir(exist_ok=True)

    @property
    def plug_in(self) -> Path:
        return self.profile / "plug-ins" / "colorize"

    def install(self) -> None:
        """The layout that install.sh makes in GIMP's folder, and settings without a welcome window."""
        shutil.copytree(PLUG_IN / "colorize", self.plug_in, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(PLUG_IN / "colorize_client", self.plug_in / "colorize_client")
        shutil.copytree(vendored(), self.plug_in / "vendor")
        for file in (
            HERE / "checks.py",
            HERE / "live_checks.py",
            HERE / "window.py",
            HERE.parent / "progress.py",
            REPOSITORY / "README.md",
        ):
            shutil.copy(file, self.folder)
        shutil.copytree(PLUG_IN / "typings", self.folder / "typings")
        request = self.folder / "requests" / "launch"
        command = ["/bin/sh", "-c", f"touch {request}; exec sleep 120"]
        (self.plug_in / "daemon.json").write_text(json.dumps({"command": command}))
        for name in GIMPS_OWN:
            (self.profile / "plug-ins" / name).symlink_to(f"/usr/lib/x86_64-linux-gnu/gimp/3.0/plug-ins/{name}")
        full = {"3.0": "3.0.4", "3.2": "3.2.6"}[self.host.gimp_version]
        settings = [f'(config-version "{full}")', f'(plug-in-path "{self.profile}/plug-ins")']
        settings += ["(show-welcome-dialog no)", "(check-updates no)", "(save-session-info no)"]
        (self.profile / "gimprc").write_text("\n".join(settings) + "\n")
        shortcuts = ["(file-version 1)", *(f'(action "{name}" "{key}")' for name, key in KEYS.items())]
        (self.profile / "shortcutsrc").write_text("\n".join(shortcuts) + "\n")

    def run(self, words: Sequence[str], log: str, environment: Mapping[str, str] | None = None) -> int:
        """Runs a program inside with the profile; what it prints goes to the log, its exit status comes back."""
        given = {"GIMP3_DIRECTORY": str(self.profile), paths.STATE_VARIABLE: str(self.service.state), "HOME": "/tmp"}
        given[progress.OUTSIDE] = str(self.service.work)
        given |= {"PYTHONDONTWRITEBYTECODE": "1", "NO_AT_BRIDGE": "1", "GTK_A11Y": "none"}
        command = self.host.command(words, shared=[self.folder], environment={**given, **(environment or {})})
        with self._one, (self.folder / log).open("wb") as output:
            return subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False).returncode

    def run_batch(self, code: str, log: str) -> int:
        """Runs Python code in GIMP without a window."""
        words = ["gimp-console", "--no-interface", "--no-data", "--quit"]
        return self.run([*words, "--batch-interpreter=python-fu-eval", "-b", code], log)

    def photo(self, name: str, plane: np.ndarray) -> Path:
        """Puts a gray plane, uint8 or uint16, or a colour picture, uint8, into the folder as a PNG file."""
        file = self.folder / f"{name}.png"
        interpretation = "srgb" if plane.ndim == 3 else "grey16" if plane.dtype == np.uint16 else "b-w"
        pyvips.Image.new_from_array(np.ascontiguousarray(plane), interpretation=interpretation).write_to_file(str(file))
        return file

    def kept(self, facts: Mapping[str, object], kind: str, what: str) -> np.ndarray:
        """Pixels that a check kept: kind "visible" or "photo"; what "rgb" (H, W, 3) 0..1 or "l" (H, W) 0..100."""
        dtype, channels, full = {"rgb": ("<u2", 3, 65535), "l": ("<f4", 1, 1)}[what]
        flat = np.fromfile(self.folder / f"{facts['name']}-{kind}-{what}.raw", dtype)
        shape = (facts["height"], facts["width"], channels)
        return (flat.reshape(shape) / full).squeeze(-1) if channels == 1 else flat.reshape(shape) / full


@dataclass(frozen=True)
class Outcomes:
    """What became of the checks in one suite's GIMP."""

    workshop: Workshop
    status: int
    by_name: dict[str, dict[str, Any]]

    @property
    def suite(self) -> str:
        return self.workshop.host.suite

    @property
    def log(self) -> str:
        return (self.workshop.folder / "checks.log").read_text(errors="replace")

    def facts(self, name: str) -> dict[str, Any]:
        """What a check found out; the test fails where the check did."""
        outcome = self.by_name.get(
            name, {"error": f"it did not run; GIMP ended with status {self.status}:\n{self.log}"}
        )
        if outcome["error"]:
            pytest.fail(outcome["error"], pytrace=False)
        return outcome["facts"]


def vendored() -> Path:
    """pyzmq and msgpack as install.sh puts them beside the plug-in; kept between runs."""
    target = hosts_folder().parent / "vendor"
    subprocess.run([PLUG_IN / "vendor.sh", target], check=True)
    return target
