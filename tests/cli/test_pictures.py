"""What comes out of the command: depth, lightness, profile, metadata, orientation, transparency, every kind of file."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import pyvips
import tifffile
from iccprofiles import ADOBE_GAMMA, ADOBE_LUMINANCE, adobe_rgb, gray
from PIL import Image, ImageCms
from skimage import color, data

Colour = Callable[..., Path]

# Half a step of 8 bits, in L: where L rises fastest with the encoded value, 0.43 per step.
STEP8 = 0.25
# scikit-image rounds its white and matrix to six digits; a step of 16 bits is 0.0017.
STEP16 = 0.004
# What JPEG at quality 95 changes, on average over a photograph.
JPEG_MEAN = 0.6


# Little CMS converts 16 bits through tables: this much L in shadows (below SHADOW) and elsewhere.
TABLE_SHADOW, TABLE_ELSEWHERE, SHADOW = 0.4, 0.08, 15.0


def assert_converted(before: np.ndarray, after: np.ndarray, rounding: float) -> None:
    error = np.abs(after - before)
    assert error.max() <= rounding + TABLE_SHADOW
    assert error[before > SHADOW].max() <= rounding + TABLE_ELSEWHERE


def lightness(pixels: np.ndarray) -> np.ndarray:
    """L of encoded sRGB (H, W, 3) or gray (H, W) by scikit-image."""
    pixels = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
    return color.rgb2lab(pixels / float(np.iinfo(pixels.dtype).max))[..., 0]


def chroma(pixels: np.ndarray) -> np.ndarray:
    lab = color.rgb2lab(pixels / float(np.iinfo(pixels.dtype).max))
    return np.hypot(lab[..., 1], lab[..., 2])


def read(path: Path) -> np.ndarray:
    return pyvips.Image.new_from_file(str(path)).numpy()


def save(path: Path, pixels: np.ndarray, **options: object) -> Path:
    pyvips.Image.new_from_array(pixels).copy(**_interpretation(pixels)).write_to_file(str(path), **options)
    return path


def _interpretation(pixels: np.ndarray) -> dict[str, str]:
    deep, colours = pixels.dtype == np.uint16, pixels.ndim == 3 and pixels.shape[2] > 2
    return {"interpretation": ("rgb16" if deep else "srgb") if colours else ("grey16" if deep else "b-w")}


def camera(dtype: type = np.uint8) -> np.ndarray:
    """A photograph of 128 x 128, with the finer values that 16 bits allow."""
    small = data.camera().astype(float).reshape(128, 4, 128, 4).mean(axis=(1, 3))
    return np.rint(small * (257 if dtype == np.uint16 else 1)).astype(dtype)


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize(("dtype", "step"), [(np.uint8, STEP8), (np.uint16, STEP16)])
def test_depth_and_lightness_are_kept(tmp_path: Path, colour: Colour, suffix: str, dtype: type, step: float) -> None:
    photo = camera(dtype)
    result = read(colour(save(tmp_path / f"camera.{suffix}", photo)))
    assert result.dtype == dtype
    assert np.abs(lightness(result) - lightness(photo)).max() <= step
    assert np.median(chroma(result)) > 3


def test_jpeg(tmp_path: Path, colour: Colour) -> None:
    path = save(tmp_path / "camera.jpg", camera(), Q=95)
    result = colour(path)
    assert result.name == "camera-colorized.jpg"
    assert np.abs(lightness(read(result)) - lightness(read(path))).mean() < JPEG_MEAN
    assert np.median(chroma(read(result))) > 3


def test_a_colour_photograph_keeps_its_luminance(tmp_path: Path, colour: Colour) -> None:
    photo = (data.astronaut()[::4, ::4].astype(np.uint16) * 257).copy()
    result = read(colour(save(tmp_path / "astronaut.png", photo)))
    assert np.abs(lightness(result) - lightness(photo)).max() <= STEP16


def test_saturation_zero_gives_the_gray_back(tmp_path: Path, colour: Colour) -> None:
    photo = camera(np.uint16)
    result = read(colour(save(tmp_path / "camera.tif", photo), "--saturation", "0"))
    assert (result == photo[..., None]).all()


def test_no_profile_in_means_none_out(tmp_path: Path, colour: Colour) -> None:
    result = pyvips.Image.new_from_file(str(colour(save(tmp_path / "camera.png", camera()))))
    assert result.get_typeof("icc-profile-data") == 0


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_an_rgb_profile_is_returned_to(tmp_path: Path, colour: Colour, dtype: type) -> None:
    photo = np.repeat(camera(dtype)[..., None], 3, axis=2)
    image = pyvips.Image.new_from_array(photo).copy(**_interpretation(photo))
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", adobe_rgb())
    image.write_to_file(str(tmp_path / "adobe.tif"))
    result = pyvips.Image.new_from_file(str(colour(tmp_path / "adobe.tif")))
    assert result.get("icc-profile-data") == adobe_rgb()
    assert result.numpy().dtype == dtype
    before, after = _adobe_lightness(photo), _adobe_lightness(result.numpy())
    assert_converted(before, after, STEP8 if dtype == np.uint8 else 0.0)


def _adobe_lightness(pixels: np.ndarray) -> np.ndarray:
    y = (pixels / float(np.iinfo(pixels.dtype).max)) ** ADOBE_GAMMA @ np.array(ADOBE_LUMINANCE)
    return np.where(y > (6 / 29) ** 3, 116 * np.cbrt(y) - 16, y * (29 / 3) ** 3)


def test_a_gray_profile_becomes_srgb_and_says_so(tmp_path: Path, run: Callable) -> None:
    photo = camera(np.uint16)
    image = pyvips.Image.new_from_array(photo).copy(interpretation="grey16")
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", gray(1.8))
    image.write_to_file(str(tmp_path / "gray.tif"))
    done = run(tmp_path / "gray.tif", "--json")
    result = pyvips.Image.new_from_file(done.objects[0]["output"])
    assert any("gray profile" in note for note in done.objects[0]["notes"])
    assert result.get("icc-profile-data") == pyvips.Image.profile_load("srgb")
    y = (photo / 65535.0) ** 1.8
    expected = np.where(y > (6 / 29) ** 3, 116 * np.cbrt(y) - 16, y * (29 / 3) ** 3)
    assert_converted(expected, lightness(result.numpy()), 0.0)


def test_srgb_in_another_spelling_is_not_converted(tmp_path: Path, colour: Colour) -> None:
    photo = np.repeat(camera()[..., None], 3, axis=2)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(photo).save(tmp_path / "camera.png", icc_profile=profile)
    result = colour(tmp_path / "camera.png", "--saturation", "0")
    assert (read(result) == photo).all()
    assert opened(result).info["icc_profile"] == profile


def test_a_broken_profile_is_said(tmp_path: Path, run: Callable) -> None:
    Image.fromarray(camera()).save(tmp_path / "camera.jpg", icc_profile=b"not a profile" * 20)
    done = run(tmp_path / "camera.jpg", "--json")
    assert any("profile cannot be used" in note for note in done.objects[0]["notes"])


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x010F], tags[0x0112], tags[0x8298] = "Voigtlaender", orientation, "J. Doe"
    tags.get_ifd(0x8769)[0x9003] = "1931:05:06 07:08:09"
    return tags


def opened(path: Path) -> Image.Image:
    """Pillow's picture, the file closed behind it."""
    with Image.open(path) as image:
        image.load()
        image.getexif().get_ifd(0x8769)
        return image


def exif_texts(path: Path) -> tuple[str, str, str]:
    tags = opened(path).getexif()
    return tags[0x010F], tags[0x8298], tags.get_ifd(0x8769)[0x9003]


@pytest.mark.parametrize("form", ["jpeg", "png", "tiff"])
def test_exif_goes_from_every_format_to_every_other(tmp_path: Path, colour: Colour, form: str) -> None:
    source = tmp_path / f"source.{form}"
    if form == "tiff":  # written by the command itself, since Pillow leaves the folder of EXIF out
        Image.fromarray(camera()).save(tmp_path / "first.jpg", exif=exif(1))
        colour(tmp_path / "first.jpg", "-o", source)
    else:
        Image.fromarray(camera()).save(source, exif=exif(1))
    for wanted in ("jpeg", "png", "tiff"):
        result = colour(source, "-o", tmp_path / wanted, "--format", wanted)
        assert exif_texts(result) == ("Voigtlaender", "J. Doe", "1931:05:06 07:08:09"), wanted


def test_a_tiff_with_exif_is_a_sound_tiff(tmp_path: Path, colour: Colour) -> None:
    Image.fromarray(camera()).save(tmp_path / "camera.jpg", exif=exif(6), quality=95)
    result = colour(tmp_path / "camera.jpg", "--format", "tiff", "--saturation", "0")
    with tifffile.TiffFile(result) as file:
        assert file.pages[0].tags["ExifTag"].value["DateTimeOriginal"] == "1931:05:06 07:08:09"
        assert (file.asarray()[..., 0] == np.rot90(read(tmp_path / "camera.jpg"), -1)).all()


def test_other_byte_order_of_exif_survives(tmp_path: Path, colour: Colour) -> None:
    tifffile.imwrite(
        tmp_path / "big.tif",
        camera(),
        byteorder=">",
        photometric="minisblack",
        extratags=[(0x010F, 2, 0, "Voigtlaender", True), (0x8298, 2, 0, "J. Doe", True)],
    )
    result = opened(colour(tmp_path / "big.tif"))
    assert (result.tag_v2[0x010F], result.tag_v2[0x8298]) == ("Voigtlaender", "J. Doe")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_the_same_format_is_the_files_own(tmp_path: Path, colour: Colour, orientation: int) -> None:
    photo = camera()[:96]
    Image.fromarray(photo).save(tmp_path / "turned.png", exif=exif(orientation))
    result = colour(tmp_path / "turned.png", "--saturation", "0")
    assert (read(result) == photo[..., None]).all()
    assert opened(result).getexif()[0x0112] == orientation


@pytest.mark.parametrize("orientation", range(1, 9))
def test_another_format_is_written_upright(tmp_path: Path, colour: Colour, orientation: int) -> None:
    photo = camera()[:96]
    Image.fromarray(photo).save(tmp_path / "turned.png", exif=exif(orientation))
    result = colour(tmp_path / "turned.png", "--saturation", "0", "--format", "tiff")
    upright = pyvips.Image.new_from_array(photo).copy()
    upright.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    assert (read(result) == upright.autorot().numpy()[..., None]).all()
    assert opened(result).getexif().get(0x0112, 1) == 1


def test_the_service_sees_the_picture_upright(tmp_path: Path, run: Callable) -> None:
    Image.fromarray(camera()[:96]).save(tmp_path / "turned.jpg", exif=exif(6))
    found = run(tmp_path / "turned.jpg", "--json").objects[0]
    assert (found["width"], found["height"]) == (96, 128)


def test_resolution_is_kept(tmp_path: Path, colour: Colour) -> None:
    for suffix in ("png", "jpg", "tif"):
        Image.fromarray(camera()).save(tmp_path / f"camera.{suffix}", dpi=(600, 600))
        assert opened(colour(tmp_path / f"camera.{suffix}")).info["dpi"] == pytest.approx((600, 600), abs=0.1)


def test_xmp_is_kept(tmp_path: Path, colour: Colour) -> None:
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF/></x:xmpmeta>'
    image = pyvips.Image.new_from_array(camera()).copy(interpretation="b-w")
    image.set_type(pyvips.GValue.blob_type, "xmp-data", packet)
    image.write_to_file(str(tmp_path / "camera.jpg"))
    assert pyvips.Image.new_from_file(str(colour(tmp_path / "camera.jpg"))).get("xmp-data") == packet


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("orientation", [1, 6])
def test_alpha_is_kept(tmp_path: Path, colour: Colour, dtype: type, orientation: int) -> None:
    photo = camera(dtype)[:96]
    alpha = np.linspace(0, np.iinfo(dtype).max, photo.size).astype(dtype).reshape(photo.shape)
    image = pyvips.Image.new_from_array(np.dstack([photo, alpha])).copy(**_interpretation(photo))
    image.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    image.write_to_file(str(tmp_path / "alpha.tif"))
    result = read(colour(tmp_path / "alpha.tif"))
    assert (result[..., 3] == alpha).all()
    assert np.abs(lightness(result[..., :3]) - lightness(photo)).max() <= STEP8


def test_alpha_does_not_go_into_jpeg(tmp_path: Path, run: Callable) -> None:
    save(tmp_path / "alpha.png", np.dstack([camera(), camera()]))
    done = run(tmp_path / "alpha.png", "--format", "jpeg")
    assert done.status == 1
    assert "partly transparent" in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["alpha.png"]


def test_sixteen_bits_into_jpeg_says_so(tmp_path: Path, run: Callable) -> None:
    done = run(save(tmp_path / "camera.png", camera(np.uint16)), "--format", "jpeg", "--json")
    assert done.objects[0]["bits"] == 8
    assert any("JPEG holds 8 bits" in note for note in done.objects[0]["notes"])


def test_cmyk_jpeg(tmp_path: Path, run: Callable) -> None:
    Image.fromarray(np.repeat(camera()[..., None], 3, axis=2)).convert("CMYK").save(tmp_path / "press.jpg")
    done = run(tmp_path / "press.jpg", "--json")
    result = pyvips.Image.new_from_file(done.objects[0]["output"])
    assert result.bands == 3
    assert any("CMYK" in note for note in done.objects[0]["notes"])
    assert np.corrcoef(lightness(result.numpy()).ravel(), lightness(camera()).ravel())[0, 1] > 0.98


@pytest.mark.parametrize("mode", ["P", "1", "LA"])
def test_small_modes_of_png(tmp_path: Path, colour: Colour, mode: str) -> None:
    Image.fromarray(camera()).convert(mode).save(tmp_path / "small.png")
    expected = np.asarray(opened(tmp_path / "small.png").convert("L"))
    assert np.abs(lightness(read(colour(tmp_path / "small.png"))) - lightness(expected)).max() <= STEP8


@pytest.mark.parametrize("white", [1.0, 255.0])
def test_float_tiff_is_read_as_16_bits(tmp_path: Path, run: Callable, white: float) -> None:
    photo = (camera(np.uint16) / 65535.0 * white).astype(np.float32)
    photo[0, 0], photo[0, 1], photo[0, 2] = np.nan, np.inf, white
    tifffile.imwrite(tmp_path / "float.tif", photo)
    done = run(tmp_path / "float.tif", "--saturation", "0", "--json")
    result = read(Path(done.objects[0]["output"]))
    assert result.dtype == np.uint16
    assert (result[0, :3] == [[0] * 3, [0] * 3, [65535] * 3]).all()
    assert np.abs(result[1:, :, 0].astype(int) - camera(np.uint16)[1:]).max() <= 1
    assert any("16 bits" in note for note in done.objects[0]["notes"])


def test_webp_becomes_png(tmp_path: Path, colour: Colour) -> None:
    Image.fromarray(camera()).save(tmp_path / "camera.webp", lossless=True)
    result = colour(tmp_path / "camera.webp")
    assert result.name == "camera-colorized.png"
    assert np.abs(lightness(read(result)) - lightness(camera())).max() <= STEP8


def test_only_the_first_page_is_coloured_and_that_is_said(tmp_path: Path, run: Callable) -> None:
    tifffile.imwrite(tmp_path / "pages.tif", np.stack([camera(), camera()]), photometric="minisblack")
    notes = run(tmp_path / "pages.tif", "--json").objects[0]["notes"]
    assert any("first of the file's 2 pages" in note for note in notes)


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 1)])
def test_thin_pictures(tmp_path: Path, colour: Colour, shape: tuple[int, int]) -> None:
    photo = np.resize(camera(), shape)
    assert read(colour(save(tmp_path / "thin.png", photo))).shape == (*shape, 3)


def test_the_result_lies_on_the_original_in_a_viewer(tmp_path: Path, colour: Colour) -> None:
    """An independent decoder agrees on size and order."""
    stream = io.BytesIO()
    Image.fromarray(camera()[:96]).save(stream, "JPEG", exif=exif(8), quality=95)
    (tmp_path / "turned.jpg").write_bytes(stream.getvalue())
    result = opened(colour(tmp_path / "turned.jpg"))
    before = np.asarray(opened(tmp_path / "turned.jpg"), int)
    assert np.abs(np.asarray(result.convert("L"), int) - before).mean() < 3
