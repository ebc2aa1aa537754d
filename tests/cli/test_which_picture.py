"""Which of a file's pictures is coloured, what its channels are, and what is no photograph at all."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
import tifffile
from PIL import Image
from skimage import color, data
from test_metadata import packet, xmp_of
from test_pictures import JPEG_MEAN, STEP8, lightness, read

CFA, LINEAR_RAW = 32803, 34892
RAW_WORDS = "camera's raw file"


def camera(dtype: type = np.uint8) -> np.ndarray:
    return data.camera()[::4, ::4].astype(dtype) * (257 if dtype == np.uint16 else 1)


def pages(path: Path, *written: tuple[np.ndarray, dict]) -> Path:
    with tifffile.TiffWriter(path) as file:
        for pixels, options in written:
            file.write(pixels, **({"photometric": "minisblack", "metadata": None} | options))
    return path


def thumbnail() -> np.ndarray:
    return np.ascontiguousarray(camera()[::4, ::4])


@pytest.mark.parametrize("flag", [{"subfiletype": 1}, {"extratags": [(255, 3, 1, 2, True)]}])
def test_a_preview_that_comes_first_is_passed_over(tmp_path: Path, run: Callable, flag: dict) -> None:
    path = pages(tmp_path / "first.tif", (thumbnail(), flag), (camera(), {}))
    done = run(path, "--saturation", "0", "--json")
    assert (read(Path(done.objects[0]["output"]))[..., 0] == camera()).all()
    assert done.objects[0]["notes"] == ["the file begins with a reduced preview; its full-size picture was coloured"]


def test_a_full_size_picture_below_its_preview_is_found(tmp_path: Path, colour: Callable) -> None:
    path = pages(tmp_path / "below.tif", (thumbnail(), {"subfiletype": 1, "subifds": 1}), (camera(), {}))
    assert (read(colour(path, "--saturation", "0"))[..., 0] == camera()).all()


def test_previews_that_come_after_are_not_pages(tmp_path: Path, run: Callable) -> None:
    path = pages(tmp_path / "after.tif", (camera(), {"subifds": 1}), (thumbnail(), {"subfiletype": 1}))
    with tifffile.TiffWriter(path, append=True) as file:
        file.write(thumbnail(), photometric="minisblack", subfiletype=1, metadata=None)
    done = run(path, "--saturation", "0", "--json")
    assert (read(Path(done.objects[0]["output"]))[..., 0] == camera()).all()
    assert done.objects[0]["notes"] == []


def test_the_page_that_was_coloured_is_named(tmp_path: Path, run: Callable) -> None:
    path = pages(tmp_path / "mixed.tif", (thumbnail(), {"subfiletype": 1}), (camera(), {}), (camera(), {}))
    assert any("first of the file's 2 pages" in note for note in run(path, "--json").objects[0]["notes"])


@pytest.mark.parametrize("photometric", [CFA, LINEAR_RAW])
@pytest.mark.parametrize("below", [False, True])
def test_a_cameras_raw_pixels_are_refused(tmp_path: Path, run: Callable, photometric: int, below: bool) -> None:
    pixels = camera(np.uint16) if photometric == CFA else np.repeat(camera(np.uint16)[..., None], 3, axis=2)
    raw = (pixels, {"photometric": photometric})
    preview = (thumbnail(), {"subfiletype": 1, "subifds": 1})
    done = run(pages(tmp_path / "camera.tif", *((preview, raw) if below else (raw,))))
    assert done.status == 1
    assert RAW_WORDS in done.err
    assert "develop it" in done.err


@pytest.mark.parametrize(
    "content",
    [
        *(b"FUJIFILMCCD-RAW 0201", b"IIRO\x08\0\0\0", b"IIU\0\x18\0\0\0", b"\0MRM\0\0\0\0", b"FOVb\0\0\0\0"),
        *(b"II\x1a\0\0\0HEAPCCDR", b"\0\0\0\x18ftypcrx \0\0\0\x01", b"II*\0\x10\0\0\0CR\2\0"),
    ],
)
def test_raw_files_are_known_by_their_first_bytes(tmp_path: Path, run: Callable, content: bytes) -> None:
    (tmp_path / "camera.tif").write_bytes(content.ljust(400, b"\0"))
    done = run(tmp_path / "camera.tif")
    assert done.status == 1
    assert RAW_WORDS in done.err


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"\xff\x0a\xfa\x1f", "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"\xff\x4f\xff\x51\0\x29", "JPEG 2000"),
        (b"8BPS\0\1", "Photoshop"),
        (b"gimp xcf v011\0", "GIMP"),
        (b"GIF89a", "GIF"),
        (b"%PDF-1.7", "PDF"),
    ],
)
def test_other_kinds_are_named_and_not_called_damaged(tmp_path: Path, run: Callable, content: bytes, name: str) -> None:
    (tmp_path / "other.jpg").write_bytes(content.ljust(400, b"\0"))
    done = run(tmp_path / "other.jpg")
    assert done.status == 1
    assert f"{name}" in done.err
    assert "save the picture as" in done.err
    assert "copy it again" not in done.err


def with_compression(path: Path, number: int) -> Path:
    """A TIFF that says of its uncompressed pixels that they are compressed so."""
    tifffile.imwrite(path, camera(), photometric="minisblack", metadata=None)
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages[0].tags["Compression"].overwrite(number)
    return path


@pytest.mark.parametrize(
    ("number", "name"),
    [
        *((50000, "Zstandard"), (34926, "Zstandard"), (34712, "JPEG 2000"), (34887, "LERC"), (50001, "WebP")),
        *((6, "old-style JPEG"), (50002, "JPEG XL"), (52546, "JPEG XL"), (34925, "LZMA2"), (34661, "JBIG")),
    ],
)
def test_a_compression_that_is_not_known_is_named(tmp_path: Path, run: Callable, number: int, name: str) -> None:
    done = run(with_compression(tmp_path / "packed.tif", number))
    assert done.status == 1
    assert f"a TIFF with {name} compression cannot be read" in done.err
    assert "save it again" in done.err
    assert "copy it again" not in done.err


@pytest.mark.parametrize(
    ("frame", "precision", "name"),
    [(0xC1, 12, "12 bits per channel"), (0xC3, 8, "lossless JPEG"), (0xC5, 8, "hierarchical")],
)
def test_a_coding_of_jpeg_that_is_not_known_is_named(
    tmp_path: Path, run: Callable, frame: int, precision: int, name: str
) -> None:
    Image.fromarray(camera()).save(tmp_path / "coded.jpg")
    content = bytearray((tmp_path / "coded.jpg").read_bytes())
    at = content.index(b"\xff\xc0")
    content[at + 1], content[at + 4] = frame, precision
    (tmp_path / "coded.jpg").write_bytes(content)
    done = run(tmp_path / "coded.jpg")
    assert done.status == 1
    assert name in done.err
    assert "save it again" in done.err


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("colours", [1, 3])
@pytest.mark.parametrize("kinds", [(0,), (0, 0), (2, 0), (0, 2)])
def test_channels_that_are_no_transparency_are_kept_in_tiff(
    tmp_path: Path, colour: Callable, dtype: type, colours: int, kinds: tuple[int, ...]
) -> None:
    infrared = [np.ascontiguousarray(np.roll(camera(dtype), 7 * at + 1, axis=1)) for at in range(len(kinds))]
    pixels = np.dstack([camera(dtype)] * colours + infrared)
    photometric = "minisblack" if colours == 1 else "rgb"
    path = tmp_path / "scan.tif"
    tifffile.imwrite(path, pixels, photometric=photometric, extrasamples=kinds, planarconfig="contig", metadata=None)
    with tifffile.TiffFile(colour(path, "--saturation", "0")) as file:
        result, tag = file.asarray(), file.pages[0].tags["ExtraSamples"].value
    assert np.abs(result[..., 0].astype(int) - camera(dtype)).max() == 0
    assert tuple(tag) == tuple(sorted(kinds, reverse=True))  # transparency first
    order = sorted(range(len(kinds)), key=lambda at: -kinds[at])
    for place, at in enumerate(order):
        assert (result[..., 3 + place] == infrared[at]).all()


@pytest.mark.parametrize("form", ["png", "jpeg"])
def test_channels_that_cannot_be_kept_are_said(tmp_path: Path, run: Callable, form: str) -> None:
    pixels = np.dstack([camera(), camera()[::-1]])
    tifffile.imwrite(tmp_path / "scan.tif", pixels, photometric="minisblack", extrasamples=(0,), metadata=None)
    done = run(tmp_path / "scan.tif", "--format", form, "--saturation", "0", "--json")
    result = read(Path(done.objects[0]["output"]))
    assert result.shape == (128, 128, 3)
    assert np.abs(lightness(result) - lightness(camera())).mean() < JPEG_MEAN
    assert any("infrared" in note and "--format tiff" in note for note in done.objects[0]["notes"])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("colours", [1, 3])
def test_colours_multiplied_by_alpha_are_divided_again(
    tmp_path: Path, colour: Callable, colours: int, dtype: type
) -> None:
    most = int(np.iinfo(dtype).max)
    alpha = np.tile(np.linspace(most // 12, most, 128).astype(dtype), (128, 1))
    alpha[:, -20:] = most
    multiplied = np.rint(camera(dtype) * (alpha / most)).astype(dtype)
    tifffile.imwrite(
        tmp_path / "multiplied.tif",
        np.dstack([multiplied] * colours + [alpha]),
        photometric="minisblack" if colours == 1 else "rgb",
        extrasamples=(1,),
        metadata=None,
    )
    with tifffile.TiffFile(colour(tmp_path / "multiplied.tif", "--saturation", "0")) as file:
        result, kind = file.asarray(), file.pages[0].tags["ExtraSamples"].value
    assert tuple(kind) == (2,)
    assert (result[..., 3] == alpha).all()
    assert (result[:, -20:, 0] == camera(dtype)[:, -20:]).all()
    assert (np.abs(result[..., 0].astype(int) - camera(dtype)) <= 0.5 * most / alpha + 1).all()


LAB, ICC_LAB, ITU_LAB = 8, 9, 10
WHITES = {(LAB, np.uint8): 255, (ICC_LAB, np.uint8): 255, (ITU_LAB, np.uint8): 255, (LAB, np.uint16): 65535}


@pytest.mark.parametrize(
    ("kind", "dtype", "white"), [(*key, white) for key, white in WHITES.items()] + [(9, np.uint16, 65280)]
)
def test_cielab_keeps_its_lightness(tmp_path: Path, run: Callable, kind: int, dtype: type, white: int) -> None:
    lab = np.zeros((128, 128, 3), dtype)
    wanted = lightness(camera())
    lab[..., 0] = np.rint(wanted / 100 * white)
    lab[..., 1:] = 0 if kind == LAB else (128 if dtype == np.uint8 else 32768)
    tifffile.imwrite(tmp_path / "lab.tif", lab, photometric=kind, metadata=None)
    done = run(tmp_path / "lab.tif", "--json")
    result = read(Path(done.objects[0]["output"]))
    assert result.dtype == dtype
    assert np.abs(lightness(result) - wanted).max() <= (2 * STEP8 if dtype == np.uint8 else 0.02)
    assert any("CIELAB" in note for note in done.objects[0]["notes"])


@pytest.mark.parametrize("form", ["PNG", "WEBP", "AVIF"])
def test_an_animation_is_said(tmp_path: Path, run: Callable, form: str) -> None:
    frames = [Image.fromarray(np.roll(camera(), 40 * at, axis=0)) for at in range(3)]
    path = tmp_path / f"film.{form.lower()}"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100)
    done = run(path, "--json")
    assert done.objects[0]["notes"] == ["the file is animated; only its first picture was coloured"]
    assert np.abs(lightness(read(Path(done.objects[0]["output"]))) - lightness(camera())).mean() < 2 * JPEG_MEAN


def test_a_jpeg_of_several_pictures_is_said(tmp_path: Path, run: Callable) -> None:
    frames = [Image.fromarray(np.roll(camera(), 40 * at, axis=0)) for at in range(3)]
    frames[0].save(tmp_path / "several.jpg", "MPO", save_all=True, append_images=frames[1:])
    done = run(tmp_path / "several.jpg", "--json")
    assert done.objects[0]["notes"] == ["only the first of the file's 3 pictures was coloured"]


def heic(path: Path, pixels: np.ndarray, **options: object) -> Path:
    mode = ("L" if pixels.ndim == 2 else "RGB" if pixels.shape[2] == 3 else "RGBA") + ";16" * (
        pixels.dtype == np.uint16
    )
    picture = pillow_heif.from_bytes(mode, (pixels.shape[1], pixels.shape[0]), pixels.tobytes())
    picture.save(path, quality=-1, **options)  # without loss
    return path


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_heic_keeps_depth_and_lightness(tmp_path: Path, colour: Callable, dtype: type) -> None:
    photo = np.repeat(camera(dtype)[..., None], 3, axis=2)
    photo[0, 0] = np.iinfo(dtype).max
    result = read(colour(heic(tmp_path / "phone.heic", photo, chroma=444), "--saturation", "0"))
    assert result.dtype == dtype
    step = 65535 / 1023 if dtype == np.uint16 else 1  # 10 bits
    assert np.abs(result.astype(int) - photo).max() <= 2 * step
    assert (result[0, 0] == np.iinfo(dtype).max).all()


def test_heic_keeps_its_metadata_and_lies_upright(tmp_path: Path, run: Callable) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Voigtlaender", 6
    xmp = packet(attributes='tiff:Orientation="6"')
    turned = Image.fromarray(np.repeat(camera()[:96][..., None], 3, axis=2))
    pillow_heif.from_pillow(turned).save(tmp_path / "phone.heic", quality=-1, exif=exif.tobytes(), xmp=xmp)
    size = pillow_heif.open_heif(tmp_path / "phone.heic").size
    done = run(tmp_path / "phone.heic", "--json")
    with Image.open(done.objects[0]["output"]) as result:
        assert result.size == size
        assert result.getexif()[0x010F] == "Voigtlaender"
        assert result.getexif().get(0x0112, 1) == 1
    assert xmp_of(Path(done.objects[0]["output"])) == packet(attributes='tiff:Orientation="1"')


def test_gray_heic(tmp_path: Path, colour: Callable) -> None:
    result = read(colour(heic(tmp_path / "gray.heic", camera()), "--saturation", "0"))
    assert np.abs(result[..., 0].astype(int) - camera()).max() <= 1


def test_a_damaged_heic_is_refused(tmp_path: Path, run: Callable) -> None:
    path = heic(tmp_path / "phone.heic", np.repeat(camera()[..., None], 3, axis=2))
    path.write_bytes(path.read_bytes()[:-300])
    done = run(path)
    assert done.status == 1
    assert "damaged or cut short" in done.err


def test_a_huge_heic_is_refused_by_its_header(tmp_path: Path, run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    path = heic(tmp_path / "phone.heic", np.repeat(camera()[..., None], 3, axis=2))
    content = path.read_bytes()
    at = content.index(b"ispe") + 8
    path.write_bytes(content[:at] + (60000).to_bytes(4, "big") + (60000).to_bytes(4, "big") + content[at + 8 :])
    done = run(path)
    assert done.status == 1
    assert "too many" in done.err or "damaged" in done.err


def test_colour_of_lab_is_not_needed(tmp_path: Path, run: Callable) -> None:
    """A coloured CIELAB picture keeps the L of its pixels, whatever a and b are."""
    lab = color.rgb2lab(data.astronaut()[::4, ::4])
    codes = np.dstack([lab[..., 0] * 2.55, lab[..., 1] + 128, lab[..., 2] + 128])
    tifffile.imwrite(tmp_path / "lab.tif", np.rint(codes).astype(np.uint8), photometric=ICC_LAB, metadata=None)
    result = read(Path(run(tmp_path / "lab.tif", "--json").objects[0]["output"]))
    assert np.abs(lightness(result) - lab[..., 0]).max() <= 2 * STEP8
