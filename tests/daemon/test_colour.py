"""Colour science against scikit-image, and the promises about gamut and lightness over the whole range."""

import numpy as np
import pytest
import torch
from colorize_engine.colour import conversions, gamut
from skimage import color, data

PHOTOGRAPHS = ["astronaut", "coffee", "chelsea", "rocket"]
# What scikit-image's rounded matrix and white differ from the ones derived from the primaries.
REFERENCE_TOLERANCE = 0.05


def photograph(name: str) -> torch.Tensor:
    """A real photograph (3, H, W), encoded sRGB 0..1."""
    return torch.from_numpy(getattr(data, name)().astype(np.float32) / 255.0).permute(2, 0, 1)


def gray_steps(lightness: torch.Tensor) -> torch.Tensor:
    """Lightness in 8-bit gray steps."""
    return conversions.linear_to_srgb(conversions.cube((lightness.double() + 16.0) / 116.0)) * 255.0


def any_colours(count: int = 200_000, reach: float = 128.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Random lightness (1, count) with both ends included and chroma (2, 1, count) in +-reach."""
    generator = torch.Generator().manual_seed(1)
    lightness = torch.rand((1, count), generator=generator) * 100.0
    lightness[0, :100], lightness[0, -100:] = 0.0, 100.0
    return lightness, (torch.rand((2, 1, count), generator=generator) * 2.0 - 1.0) * reach


def lightness_of(pixels: torch.Tensor, top: float) -> torch.Tensor:
    """Lightness of encoded pixels (H, W, 3)."""
    return conversions.srgb_to_lab(pixels.permute(2, 0, 1).double() / top)[0]


def on_each_device() -> list[str]:
    return ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_lab_agrees_with_scikit_image(name: str) -> None:
    rgb = photograph(name)
    expected = color.rgb2lab(rgb.permute(1, 2, 0).double().numpy())
    found = conversions.srgb_to_lab(rgb).permute(1, 2, 0).numpy()
    assert np.abs(found - expected).max() < REFERENCE_TOLERANCE


def test_lab_back_to_srgb_agrees_with_scikit_image() -> None:
    lab = conversions.srgb_to_lab(photograph("coffee"))
    expected = color.lab2rgb(lab.permute(1, 2, 0).double().numpy())
    assert np.abs(conversions.lab_to_srgb(lab).permute(1, 2, 0).numpy() - expected).max() < 1e-3


def test_every_8_bit_level_survives_a_round_trip() -> None:
    levels = torch.arange(256) / 255.0
    cube = torch.stack(torch.meshgrid(levels[::5], levels[::5], levels, indexing="ij")).reshape(3, 52, -1)
    assert torch.allclose(conversions.lab_to_srgb(conversions.srgb_to_lab(cube)), cube, atol=2e-5)


def test_transfer_function_agrees_with_scikit_image() -> None:
    encoded = np.linspace(0.0, 1.0, 1001)
    neutral = np.repeat(encoded[None, :, None], 3, axis=2)
    expected = color.rgb2xyz(neutral)[0, :, 1]
    assert np.abs(conversions.srgb_to_linear(torch.from_numpy(encoded)).numpy() - expected).max() < 1e-6
    assert torch.allclose(conversions.linear_to_srgb(torch.from_numpy(expected)), torch.from_numpy(encoded), atol=1e-6)


def test_batches_are_converted_picture_by_picture() -> None:
    batch = torch.rand((2, 4, 3, 5, 7), generator=torch.Generator().manual_seed(0))
    assert torch.allclose(conversions.srgb_to_lab(batch)[1, 2], conversions.srgb_to_lab(batch[1, 2]), atol=1e-5)


@pytest.mark.parametrize("value", [0.0, 1e-4, 0.5, 1.0])
def test_conversions_have_finite_gradients(value: float) -> None:
    rgb = torch.full((3, 2, 2), value, requires_grad=True)
    conversions.lab_to_srgb(conversions.srgb_to_lab(rgb)).sum().backward()
    assert torch.isfinite(rgb.grad).all()


@pytest.mark.parametrize(("dtype", "top"), [(np.uint8, 255), (np.uint16, 65535)])
def test_gray_lightness_agrees_with_scikit_image(dtype: type, top: int) -> None:
    gray = np.arange(top + 1, dtype=dtype).reshape(16, -1)
    expected = color.rgb2lab(np.repeat(gray[..., None] / top, 3, axis=2))[..., 0]
    found = conversions.gray_to_lightness(gray)
    assert found.dtype == torch.float32
    assert np.abs(found.numpy() - expected).max() < 1e-3
    assert found.min() >= 0.0 and found.max() == 100.0


@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.uint32])
def test_gray_of_another_type_is_refused(dtype: type) -> None:
    with pytest.raises(TypeError, match="uint8 or uint16"):
        conversions.gray_to_lightness(np.zeros((2, 2), dtype))


@pytest.mark.parametrize(("dtype", "layout"), [(np.uint8, "rgb8"), (np.uint16, "rgb16")])
def test_gray_comes_back_bit_exact(dtype: type, layout: str) -> None:
    gray = np.arange(np.iinfo(dtype).max + 1, dtype=dtype).reshape(16, -1)
    rendered = gamut.render_band(conversions.gray_to_lightness(gray), torch.zeros(2, *gray.shape), layout)
    assert (rendered == gray[..., None]).all()


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_a_photographs_own_chroma_gives_the_photograph(name: str) -> None:
    rgb = photograph(name)
    lab = conversions.srgb_to_lab(rgb)
    rendered = torch.from_numpy(gamut.render_band(lab[0], lab[1:], "rgb8")).permute(2, 0, 1)
    assert (rendered - (rgb * 255.0)).abs().max() < 1.001


@pytest.mark.parametrize("device", on_each_device())
@pytest.mark.parametrize("reach", [128.0, 20.0, 1e6])
def test_8_bit_lightness_is_kept_for_any_chroma(device: str, reach: float) -> None:
    lightness, ab = any_colours(reach=reach)
    pixels = gamut.render(lightness.to(device), ab.to(device), "rgb8").cpu()
    assert (gray_steps(lightness_of(pixels, 255.0)) - gray_steps(lightness)).abs().max() <= 1.0


@pytest.mark.parametrize("reach", [128.0, 20.0])
def test_16_bit_lightness_is_kept_for_any_chroma(reach: float) -> None:
    lightness, ab = any_colours(reach=reach)
    pixels = gamut.render(lightness, ab, "rgb16").to(torch.int32)
    error = gray_steps(lightness_of(pixels, 65535.0)) - gray_steps(lightness)
    assert error.abs().max() <= 8.0 / 257.0


def test_fitted_chroma_is_inside_keeps_hue_and_is_not_needlessly_gray() -> None:
    lightness, ab = any_colours()
    fitted = gamut.fit_gamut(lightness, ab)
    channels = conversions.lab_to_linear(torch.cat((lightness[None], fitted)).double())
    steps = conversions.linear_to_srgb(channels) * 255.0
    overshoot = torch.maximum(-steps, steps - 255.0).amax(dim=0)
    assert overshoot.max() < 0.75
    assert (overshoot > 0.05).float().mean() < 1e-3
    ratio = fitted.norm(dim=0) / ab.norm(dim=0)
    assert ratio.max() <= 1.0 + 1e-6
    assert (fitted - ab * ratio).abs().max() < 1e-3
    pulled = ratio < 0.999
    further = torch.cat((lightness[None], fitted * 1.05 + 0.05 * fitted.sign()))
    beyond = conversions.lab_to_linear(further)
    outside = (beyond.amin(0) < 0.0) | (beyond.amax(0) > 1.0)
    assert pulled.float().mean() > 0.5
    assert outside[pulled].float().mean() > 0.999


def test_chroma_inside_the_gamut_is_untouched() -> None:
    lab = conversions.srgb_to_lab(photograph("astronaut"))
    inside = torch.cat((lab[:1], lab[1:] * 0.95))
    assert torch.equal(gamut.fit_gamut(inside[0], inside[1:]), inside[1:])


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("channel", [0, 1])
def test_chroma_that_is_no_number_becomes_gray(bad: float, channel: int) -> None:
    ab = torch.full((2, 3, 3), 20.0)
    ab[channel, 1, 1] = bad
    fitted = gamut.fit_gamut(torch.full((3, 3), 50.0), ab)
    assert (fitted[:, 1, 1] == 0.0).all()
    assert torch.isfinite(fitted).all() and (fitted[:, 0] == 20.0).all()


@pytest.mark.parametrize(("lightness", "level"), [(float("nan"), 0), (float("inf"), 255), (-5.0, 0), (120.0, 255)])
def test_lightness_outside_its_range_is_black_or_white(lightness: float, level: int) -> None:
    rendered = gamut.render_band(torch.full((2, 2), lightness), torch.zeros(2, 2, 2), "rgb8")
    assert (rendered == level).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 30_000), (30_000, 1), (7, 13), (0, 5), (200, 331)])
@pytest.mark.parametrize("layout", ["rgb8", "rgb16", "ab16"])
def test_bands_of_any_shape(shape: tuple[int, int], layout: str) -> None:
    generator = torch.Generator().manual_seed(2)
    lightness = torch.rand(shape, generator=generator) * 100.0
    ab = (torch.rand((2, *shape), generator=generator) - 0.5) * 100.0
    band = gamut.render_band(lightness, ab, layout)
    assert band.shape == (*shape, 2 if layout == "ab16" else 3)
    assert band.flags.c_contiguous
    whole = [gamut.render_band(lightness[y : y + 1], ab[:, y : y + 1], layout) for y in range(min(shape[0], 20))]
    assert all((row[0] == band[y]).all() for y, row in enumerate(whole))


def test_ab16_is_the_fitted_chroma_times_256() -> None:
    lightness, ab = any_colours(5000)
    band = gamut.render_band(lightness, ab, "ab16")
    expected = gamut.fit_gamut(lightness, ab).permute(1, 2, 0).numpy() * 256.0
    assert band.dtype == np.int16
    assert np.abs(band - expected).max() <= 0.5


def test_an_unknown_layout_is_an_error() -> None:
    with pytest.raises(KeyError):
        gamut.render_band(torch.zeros(1, 1), torch.zeros(2, 1, 1), "rgba8")
