"""Real photographs on disk, for the training tests."""

from pathlib import Path

import numpy as np
import pytest
import torch
from colorize_training.data import PackedPhotographs, pack
from PIL import Image


@pytest.fixture(scope="session")
def picture_folder(tmp_path_factory: pytest.TempPathFactory, photograph) -> Path:
    """Four photographs and eight quarters of them, as PNG files."""
    folder = tmp_path_factory.mktemp("pictures")
    for name in ("astronaut", "chelsea", "coffee", "rocket"):
        rgb = photograph(name).rgb
        half = rgb.shape[0] // 2
        for part, pixels in (("whole", rgb), ("top", rgb[:half]), ("bottom", rgb[half:])):
            Image.fromarray(np.ascontiguousarray(pixels)).save(folder / f"{name}-{part}.png")
    return folder


@pytest.fixture(scope="session")
def packed(picture_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> PackedPhotographs:
    return pack([picture_folder], tmp_path_factory.mktemp("cache"), short_side=96, regions=True)


@pytest.fixture(autouse=True)
def one_thread():
    """The same sums in the same order in every test; a second thread spares small networks nothing.

    Beside other work on two processors it costs: a step of 64 x 64 pixels took 0.27 s with one, 0.9 s with two.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
