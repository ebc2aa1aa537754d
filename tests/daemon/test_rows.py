"""The numpy planes against scikit-image and against the torch colour science."""

import numpy as np
import pytest
from colorize_engine.colour import rows
from colorize_engine.colour.constants import AB16_SCALE
from reference_colour import merge
from skimage import color, data

# scikit-image rounds the D65 white and the matrix to six digits; L agrees to this.
LIGHTNESS = 0.002


def ramp(dtype: type) -> np.ndarray:
    levels = np.iinfo(dtype).max + 1
    return np.arange(levels, dtype=dtype).reshape(-1, 16)


def ab16(lab: np.ndarray) -> np.ndarray:
    return np.round(lab[..., 1:] * AB16_SCALE).astype(np.int16)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_neutral_stays_what_it_was(dtype: type) -> None:
    gray = ramp(dtype)
    merged = merge(gray, np.zeros((*gray.shape, 2), np.int16), np.dtype(dtype))
    assert (merged == gray[..., None]).all()


@pytest.mark.parametrize(("dtype", "factor"), [(np.uint8, 257), (np.uint16, 1)])
def test_luminance_of_neutral_is_exact(dtype: type, factor: int) -> None:
    gray = ramp(dtype)
    assert (rows.luminance(np.repeat(gray[..., None], 3, axis=2)) == gray.astype(np.uint16) * factor).all()


def test_a_photograph_comes_back() -> None:
    photograph = data.astronaut()
    lab = color.rgb2lab(photograph)
    merged = merge(rows.luminance(photograph), ab16(lab), np.dtype(np.uint8))
    assert np.abs(merged.astype(int) - photograph).max() <= 1


def test_lightness_is_kept_to_the_depth_of_the_result() -> None:
    photograph = data.astronaut()
    lab = color.rgb2lab(photograph)
    merged = merge(rows.luminance(photograph), ab16(lab), np.dtype(np.uint16))
    assert np.abs(color.rgb2lab(merged / 65535.0)[..., 0] - lab[..., 0]).max() < LIGHTNESS


def test_what_is_out_of_gamut_is_clipped() -> None:
    vivid = np.full((1, 1, 2), 120 * AB16_SCALE, np.int16)
    merged = merge(np.full((1, 1), 128, np.uint8), vivid, np.dtype(np.uint8))
    assert merged[0, 0, 0] == 255
    assert merged[0, 0, 2] == 0
