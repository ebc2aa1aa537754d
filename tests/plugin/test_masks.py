"""Pixels chosen by a mask, in formats of any size."""

from __future__ import annotations

import masks
import numpy as np
import pytest


@pytest.mark.parametrize("size", [1, 3, 4, 6, 8, 12, 16, 32])
def test_each_pixel_comes_whole_from_where_its_weight_says(size: int) -> None:
    dice = np.random.default_rng(size)
    weights = dice.choice(np.array([0, 1, 254, 255], np.uint8), 1000)
    old, mixed, new = (dice.integers(0, 256, (1000, size), np.uint8) for _ in range(3))
    expected = np.where((weights == 0)[:, None], old, np.where((weights == 255)[:, None], new, mixed))
    composed = masks.composed(weights.tobytes(), old.tobytes(), mixed.tobytes(), new.tobytes())
    assert composed == expected.tobytes()
