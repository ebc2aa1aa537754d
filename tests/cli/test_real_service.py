"""The command over the service that users run: the installed network, started by the command itself."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import pyvips
from PIL import Image
from skimage import color, data


@pytest.fixture
def real_service(monkeypatch: pytest.MonkeyPatch, run: Callable) -> Iterator[None]:
    folder = tempfile.mkdtemp(prefix="gc-real-", dir="/tmp")
    monkeypatch.setenv("GIMP_COLORIZE_STATE", folder)
    monkeypatch.delenv("GIMP_COLORIZE_DAEMON")
    yield
    assert run("stop").status == 0
    shutil.rmtree(folder)


def lightness_in_gimp(rgb: np.ndarray) -> np.ndarray:
    """L under D50 of 16-bit sRGB, by the Y row of its ICC profile."""
    encoded = rgb / 65535.0
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    y = linear @ np.array([0.2225, 0.7169, 0.0606])
    return np.where(y > (6 / 29) ** 3, 116 * np.cbrt(y) - 16, y * (29 / 3) ** 3)


def test_photographs_get_colour_and_keep_their_lightness(tmp_path: Path, run: Callable, real_service: None) -> None:
    gray = Image.fromarray(data.astronaut()).convert("L")
    deep = np.asarray(gray).astype(np.uint16) * 257
    gray.save(tmp_path / "plain.png")
    Image.fromarray(deep).save(tmp_path / "deep.png")
    hints = np.zeros((512, 512, 4), np.uint8)
    hints[20:120, 380:480] = (170, 60, 60, 255)
    Image.fromarray(hints).save(tmp_path / "strokes.PNG")
    done = run(tmp_path / "plain.png", tmp_path / "deep.png", "--hints", tmp_path / "strokes.PNG", "--json")
    assert done.status == 0, done.err
    assert all(item["hint_cells"] > 0 for item in done.objects)
    lab = color.rgb2lab(np.asarray(Image.open(tmp_path / "plain-colorized.png").convert("RGB")))
    before = color.rgb2lab(np.repeat(np.asarray(gray)[..., None], 3, axis=2))[..., 0]
    assert np.abs(lab[..., 0] - before).max() <= 0.3
    wide = pyvips.Image.new_from_file(str(tmp_path / "deep-colorized.png")).numpy()
    assert np.abs(color.rgb2lab(wide)[..., 0] - before).max() <= 0.01
    gray_wide = np.repeat(deep[..., None], 3, axis=2)
    assert np.abs(lightness_in_gimp(wide) - lightness_in_gimp(gray_wide)).mean() <= 0.4  # as README says
    assert np.hypot(lab[..., 1], lab[..., 2]).mean() > 3
    assert np.median(lab[30:110, 390:470, 1]) > 10  # the red that was painted there
