"""What the whole suite shares: a state folder of its own, and real photographs made gray."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest

STATE_VARIABLE = "GIMP_COLORIZE_STATE"
OUTPUT = Path(__file__).parent / "output"
# scikit-image carries these photographs itself; its others would be downloaded.
PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")


@dataclass(frozen=True)
class Photograph:
    """A colour photograph and what a gray scan of it would hold.

    Attributes:
        name: scikit-image's name of it.
        rgb: sRGB-encoded colour, uint8, (H, W, 3).
        gray: sRGB-encoded luminance of `rgb`, uint8, (H, W).
        gray16: the same luminance without the rounding to 8 bits, uint16, (H, W).
    """

    name: str
    rgb: np.ndarray
    gray: np.ndarray
    gray16: np.ndarray


def luminance(rgb: np.ndarray) -> np.ndarray:
    """sRGB-encoded luminance 0..1 of sRGB-encoded uint8 colour, by IEC 61966-2-1, (H, W) float64."""
    encoded = rgb / 255.0
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    y = linear @ np.array([0.2126, 0.7152, 0.0722])
    return np.where(y <= 0.0031308, 12.92 * y, 1.055 * y ** (1 / 2.4) - 0.055)


@cache
def load_photograph(name: str) -> Photograph:
    """One of PHOTOGRAPHS; its arrays cannot be written to, since all tests share them."""
    from skimage import data

    rgb = np.ascontiguousarray(getattr(data, name)())
    encoded = luminance(rgb)
    planes = (rgb, np.rint(encoded * 255).astype(np.uint8), np.rint(encoded * 65535).astype(np.uint16))
    for plane in planes:
        plane.setflags(write=False)
    return Photograph(name, *planes)


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
    """Where a test leaves pictures for a person to look at; kept after the run."""
    OUTPUT.mkdir(parents=True, exist_ok=True)
    return OUTPUT


@pytest.fixture(scope="session", autouse=True)
def state_folder() -> Iterator[Path]:
    """The service's folder for this run, private and with a short path (a socket's has at most 107 bytes).

    In the environment of all that the tests start, so that no test meets the service of the person who runs them.
    """
    folder = Path(tempfile.mkdtemp(prefix="gc-", dir="/tmp"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(STATE_VARIABLE, str(folder))
        yield folder
    shutil.rmtree(folder, ignore_errors=True)


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
