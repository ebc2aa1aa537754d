"""What the whole suite shares: a state folder of its own, and real photographs made gray."""

import os
import shutil
import signal
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import progress
import pytest
import pytest_timeout
from colorize_client.paths import STATE_VARIABLE
from colorize_daemon.resources import share_processors
from photographs import PHOTOGRAPHS, Photograph, load_photograph
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

OUTPUT = Path(__file__).parent / "output"
HUNG = 300.0  # seconds in which nothing has gone on: the test hangs
TOGETHER = ("gimp", "install")  # parts whose tests share a machine that is slow to make
REASON = pytest.StashKey[str]()
PART_SECONDS: dict[str, float] = defaultdict(float)


@pytest.fixture(scope="session")
def photograph() -> Callable[[str], Photograph]:
    """Loads a photograph by its name: `photograph("coffee").gray`."""
    return load_photograph


@pytest.fixture(scope="session", params=PHOTOGRAPHS)
def any_photograph(request: pytest.FixtureRequest) -> Photograph:
    """Each of the photographs in turn."""
    return load_photograph(request.param)


@pytest.fixture(scope="session")
def output_folder() -> Path:
    """Where a test leaves pictures for the user to look at; kept after the run."""
    OUTPUT.mkdir(parents=True, exist_ok=True)
    return OUTPUT


@pytest.fixture(scope="session", autouse=True)
def state_folder() -> Iterator[Path]:
    """The service's folder for this run, private and with a short path (a socket's has at most 107 bytes).

    In the environment of all that the tests start, so that no test meets the service of the user who runs them.
    """
    folder = Path(tempfile.mkdtemp(prefix="gc-", dir="/tmp"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(STATE_VARIABLE, str(folder))
        yield folder
    shutil.rmtree(folder, ignore_errors=True)


def pytest_configure() -> None:
    """A run in the background ignores Ctrl-C, and so would every program that a test starts and interrupts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    share_processors()  # the tests' own torch, too, shares them with daemon and GIMP
    os.environ[progress.MARK] = str(os.getpid())


class FilesAndMachines(LoadScopeScheduling):
    """Of tests that run side by side, those of a file run in one process, as do those of a part in TOGETHER."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        part = file.split("/")[1]
        return part if part in TOGETHER else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> FilesAndMachines:
    return FilesAndMachines(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: pytest_timeout.Settings) -> bool:
    """A test ends after `timeout` seconds, and before that when nothing has gone on for a while."""
    done = threading.Event()

    def watch() -> None:
        patience = progress.Patience(HUNG, settings.timeout)
        while not done.wait(1.0):
            if reason := patience.end():
                item.stash[REASON] = reason
                signal.pthread_kill(threading.main_thread().ident, signal.SIGALRM)
                return

    def give_up(*_signal: object) -> None:
        __tracebackhide__ = True
        pytest_timeout.dump_stacks(item.config.get_terminal_writer())
        pytest.fail(f"given up: {item.stash[REASON]}")

    thread = threading.Thread(target=watch, name="timeout", daemon=True)

    def cancel() -> None:
        done.set()
        thread.join()
        signal.signal(signal.SIGALRM, signal.SIG_DFL)

    item.cancel_timeout = cancel  # pytest-timeout calls it
    signal.signal(signal.SIGALRM, give_up)
    thread.start()
    return True


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-skips",
        action="append",
        default=[],
        metavar="FOLDER",
        help="a skipped test in this folder counts as failed (may be given several times)",
    )


def may_not_skip(node: pytest.Collector | pytest.Item) -> bool:
    folders = (Path(folder).resolve() for folder in node.config.getoption("--no-skips"))
    return any(node.path.is_relative_to(folder) for folder in folders)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and may_not_skip(item):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} may not be skipped here: {report.longrepr[2]}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    report = yield
    if report.skipped and may_not_skip(collector):
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} may not be skipped here: {report.longrepr[2]}"
    return report


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """The time of a test, of its set-up and of its clean-up belong to its part, the folder below tests/."""
    folders = Path(report.nodeid.split("::")[0]).parts
    PART_SECONDS[folders[1] if len(folders) > 2 else "other"] += report.duration


@pytest.hookimpl(trylast=True)  # after the slowest tests, and before pytest's closing line
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if PART_SECONDS:
        parts = " · ".join(f"{part} {seconds:.0f} s" for part, seconds in PART_SECONDS.items())
        terminalreporter.section("time of each part")
        terminalreporter.write_line(parts)
