"""Each suite's GIMP is made, gets the plug-in, and runs all checks once; each check is then a test of its own."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from host import SUITES, Host, HostError, NotRoot, ensure  # noqa: E402
from workshop import Outcomes, Service, Workshop  # noqa: E402

LARGE = 4  # times as wide and high as the photograph: work enough to be killed in the middle of


@pytest.fixture(scope="session")
def hosts(request: pytest.FixtureRequest) -> dict[str, Host | HostError]:
    """A root folder with GIMP, or why there is none, of each suite that a test wants."""
    callspecs = (getattr(item, "callspec", None) for item in request.session.items)
    wanted = {callspec.params.get("host") for callspec in callspecs if callspec}
    return ensure(suite for suite in SUITES if suite in wanted)


@pytest.fixture(scope="session", params=SUITES)
def host(request: pytest.FixtureRequest, hosts: dict[str, Host | HostError]) -> Host:
    """A root folder with GIMP, made where it is missing; without root there is none, and the test is skipped."""
    host = hosts[request.param]
    if isinstance(host, NotRoot):
        pytest.skip(str(host))
    if isinstance(host, HostError):
        raise host
    return host


@pytest.fixture(scope="session")
def workshops(
    hosts: dict[str, Host | HostError], output_folder: Path, photograph: Callable
) -> Iterator[dict[str, Workshop]]:
    """Of each host that there is: the host with the plug-in installed, and a service."""
    with ExitStack() as stack:
        there = [host for host in hosts.values() if isinstance(host, Host)]
        yield {host.suite: stack.enter_context(_workshop(host, output_folder, photograph)) for host in there}


@contextmanager
def _workshop(host: Host, output_folder: Path, photograph: Callable) -> Iterator[Workshop]:
    """The host with the plug-in installed, photographs in its folder, and a service that starts when it is asked."""
    folder = Path(tempfile.mkdtemp(prefix=f"gc-{host.suite}-", dir="/tmp"))
    state = folder / "state"
    state.mkdir(mode=0o700)
    log = output_folder / f"gimp-{host.suite}-service.log"
    with Service(state, folder / "requests", log) as service:
        workshop = Workshop(host, folder, service)
        workshop.install()
        _put_photographs(workshop, photograph)
        yield workshop
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def workshop(host: Host, workshops: dict[str, Workshop]) -> Workshop:
    return workshops[host.suite]


def _put_photographs(workshop: Workshop, photograph: Callable) -> None:
    for name in ("chelsea", "coffee", "rocket"):
        workshop.photo(name, photograph(name).gray)
    workshop.photo("chelsea-16", photograph("chelsea").gray16)
    workshop.photo("colour", photograph("coffee").rgb)
    workshop.photo("large", np.kron(photograph("astronaut").gray, np.ones((LARGE, LARGE), np.uint8)))


@pytest.fixture(scope="session")
def running_checks(workshops: dict[str, Workshop], output_folder: Path) -> Iterator[dict[str, Future[Outcomes]]]:
    """All of checks.py in each suite's GIMP, at the same time: neither uses much more than one processor."""
    with ThreadPoolExecutor() as pool:
        yield {suite: pool.submit(_checked, workshop, output_folder) for suite, workshop in workshops.items()}


def _checked(workshop: Workshop, output_folder: Path) -> Outcomes:
    """All of checks.py, in one GIMP; what it found is kept with the output."""
    arguments = f"{str(workshop.folder)!r}, {str(workshop.plug_in)!r}"
    code = f"import sys; sys.path.append({str(workshop.folder)!r}); import checks; checks.run_all({arguments})"
    status = workshop.run_batch(code, "checks.log")
    file = workshop.folder / "outcomes.json"
    by_name = json.loads(file.read_text()) if file.exists() else {}
    (output_folder / f"gimp-{workshop.host.suite}.json").write_text(json.dumps(by_name, indent=1))
    return Outcomes(workshop, status, by_name)


@pytest.fixture(scope="session")
def outcomes(workshop: Workshop, running_checks: dict[str, Future[Outcomes]]) -> Outcomes:
    return running_checks[workshop.host.suite].result()
