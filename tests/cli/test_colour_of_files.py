"""What a file's values mean: profiles near to linear, and PNG's and AVIF's numbers instead of a profile."""

import io
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import pyvips
import tifffile
from colorize_cli import pngchunks
from iccprofiles import adobe_rgb, gray
from PIL import Image
from test_pictures import STEP8, STEP16, camera, chroma, lightness, read

EXACT = 2 * STEP16


def l_of(luminance: np.ndarray) -> np.ndarray:
    return np.where(luminance > (6 / 29) ** 3, 116 * np.cbrt(luminance) - 16, luminance * (29 / 3) ** 3)


def ramp() -> np.ndarray:
    """16-bit grays of every brightness, the dark ones finely."""
    return np.concatenate([np.arange(0, 4096), np.linspace(4096, 65535, 4096)]).astype(np.uint16).reshape(64, 128)


def with_profile(path: Path, pixels: np.ndarray, profile: bytes) -> Path:
    tifffile.imwrite(path, pixels, photometric="minisblack" if pixels.ndim == 2 else "rgb", iccprofile=profile)
    return path


@pytest.mark.parametrize("gamma", [1.0, 1.1, 1.5, 1.8, 2.2])
def test_gray_of_any_gamma_keeps_its_lightness_in_shadows_too(tmp_path: Path, colour: Callable, gamma: float) -> None:
    gamma = round(gamma * 256) / 256  # as profiles hold it
    result = read(colour(with_profile(tmp_path / "gray.tif", ramp(), gray(gamma)), "--saturation", "0"))
    assert np.abs(lightness(result) - l_of((ramp() / 65535) ** gamma)).max() <= EXACT


def parametric(kind: int, *values: float) -> bytes:
    numbers = b"".join(struct.pack(">i", round(value * 65536)) for value in values)
    return b"para\0\0\0\0" + struct.pack(">HH", kind, 0) + numbers


def sampled(points: np.ndarray) -> bytes:
    return (
        b"curv\0\0\0\0" + struct.pack(">I", len(points)) + points.astype(">u2").tobytes() + bytes(len(points) % 2 * 2)
    )


CURVES = {
    "square": (parametric(0, 2.0), lambda v: v**2),
    "offset": (parametric(1, 2.0, 0.5, 0.5), lambda v: (0.5 * v + 0.5) ** 2),
    "rec709": (
        parametric(3, 1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081),
        lambda v: np.where(v >= 0.081, ((v + 0.099) / 1.099) ** (1 / 0.45), v / 4.5),
    ),
    "sampled": (sampled(np.round(np.linspace(0, 1, 1024) ** 1.3 * 65535)), lambda v: v**1.3),
}


@pytest.mark.parametrize("name", CURVES)
def test_every_kind_of_curve(tmp_path: Path, colour: Callable, name: str) -> None:
    curve, expected = CURVES[name]
    profile = gray(1.0)
    start = profile.index(b"curv")
    offset = len(profile)  # the new curve goes to the end, and the table of tags says so
    entry = profile.index(b"kTRC")
    table = profile[:entry] + b"kTRC" + struct.pack(">II", offset, len(curve)) + profile[entry + 12 :]
    whole = (offset + len(curve)).to_bytes(4, "big") + table[4:] + curve
    assert start < offset
    result = read(colour(with_profile(tmp_path / "gray.tif", ramp(), whole), "--saturation", "0"))
    assert np.abs(lightness(result) - l_of(expected(ramp() / 65535))).max() <= 2 * EXACT


def test_rgb_by_a_matrix_is_read_exactly(tmp_path: Path, colour: Callable) -> None:
    from colorize_cli.reading import read_photograph

    path = with_profile(tmp_path / "adobe.tif", np.repeat(ramp()[..., None], 3, axis=2), adobe_rgb())
    expected = l_of((ramp() / 65535) ** (563 / 256))
    assert np.abs(lightness(read_photograph(path).gray) - expected).max() <= 2 * EXACT


def png(path: Path, pixels: np.ndarray, *chunks: tuple[bytes, bytes], **options: object) -> Path:
    """A PNG whose own chunks come after its header."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", **options)
    content = stream.getvalue()
    added = b"".join(pngchunks.chunk(kind, body) for kind, body in chunks)
    path.write_bytes(content[:33] + added + content[33:])
    return path


def gama(gamma: float) -> tuple[bytes, bytes]:
    return b"gAMA", round(100000 / gamma).to_bytes(4, "big")


SRGB_PLACES = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
P3_PLACES = (31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
SRGB_CHUNK = (b"sRGB", b"\0")


def chrm(places: tuple[int, ...]) -> tuple[bytes, bytes]:
    return b"cHRM", struct.pack(">8I", *places)


@pytest.mark.parametrize("gamma", [1.0, 1.8, 3.0])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_pngs_gamma_is_heeded(tmp_path: Path, run: Callable, gamma: float, dtype: type) -> None:
    photo = camera(dtype)
    done = run(png(tmp_path / "gamma.png", photo, gama(gamma)), "--json", "--saturation", "0")
    result = pyvips.Image.new_from_file(done.objects[0]["output"])
    assert result.numpy().dtype == dtype
    expected = l_of((photo / np.iinfo(dtype).max) ** (100000 / round(100000 / gamma)))
    assert np.abs(lightness(result.numpy()) - expected).max() <= (STEP8 if dtype == np.uint8 else EXACT)
    assert result.get("icc-profile-data") == pyvips.Image.profile_load("srgb")
    assert any("gamma" in note and "sRGB" in note for note in done.objects[0]["notes"])


@pytest.mark.parametrize(
    "chunks",
    [
        [gama(2.2)],
        [(b"gAMA", (45455).to_bytes(4, "big")), chrm(SRGB_PLACES)],
        [(b"gAMA", (45000).to_bytes(4, "big"))],
        [SRGB_CHUNK, gama(1.0)],
        [(b"cICP", bytes((1, 13, 0, 1))), gama(1.0)],
        [(b"cICP", bytes((1, 1, 0, 1))), gama(1.0)],
        [(b"gAMA", bytes(4))],
    ],
)
def test_srgb_by_any_name_is_left_alone(tmp_path: Path, run: Callable, chunks: list) -> None:
    photo = camera(np.uint16)
    done = run(png(tmp_path / "srgb.png", photo, *chunks), "--json", "--saturation", "0")
    assert (read(Path(done.objects[0]["output"])) == photo[..., None]).all()
    assert done.objects[0]["notes"] == []


def test_a_profile_goes_before_a_gamma_and_cicp_before_a_profile(tmp_path: Path, colour: Callable) -> None:
    photo = np.repeat(camera()[..., None], 3, axis=2)
    with_both = png(tmp_path / "both.png", photo, gama(1.0), icc_profile=adobe_rgb())
    plain = png(tmp_path / "plain.png", photo, icc_profile=adobe_rgb())
    assert (read(colour(with_both, "--saturation", "0")) == read(colour(plain, "--saturation", "0"))).all()
    cicp = png(tmp_path / "cicp.png", photo, (b"cICP", bytes((1, 8, 0, 1))), icc_profile=adobe_rgb())
    result = read(colour(cicp, "--saturation", "0"))
    assert np.abs(lightness(result) - l_of(photo[..., 0] / 255)).max() <= STEP8


@pytest.mark.parametrize("chunks", [[(b"cICP", bytes((12, 13, 0, 1)))], [gama(2.2), chrm(P3_PLACES)]])
def test_other_primaries_give_other_lightness(tmp_path: Path, colour: Callable, chunks: list) -> None:
    """Display P3's own red, whose luminance over D65 is 0.22897 by its published matrix (SMPTE EG 432-1)."""
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 255
    result = read(colour(png(tmp_path / "red.png", red, *chunks), "--saturation", "0"))
    assert np.abs(lightness(result) - l_of(np.array(0.22897))).max() <= STEP8
    assert chroma(result).max() < 0.1


@pytest.mark.parametrize(("codes", "word"), [((9, 16, 0, 1), "PQ"), ((9, 18, 0, 1), "HLG"), ((1, 13, 0, 0), "video")])
def test_video_values_are_refused(tmp_path: Path, run: Callable, codes: tuple[int, ...], word: str) -> None:
    done = run(png(tmp_path / "video.png", camera(), (b"cICP", bytes(codes))))
    assert done.status == 1
    assert word in done.err
    assert "sRGB" in done.err


def with_codes(path: Path, primaries: int, transfer: int) -> Path:
    """An AVIF whose values are named by these numbers."""
    Image.fromarray(np.repeat(camera()[..., None], 3, axis=2)).save(path, quality=100, subsampling="4:4:4")
    content = bytearray(path.read_bytes())
    at = content.index(b"nclx") + 4
    content[at : at + 4] = struct.pack(">HH", primaries, transfer)
    path.write_bytes(content)
    return path


def test_avif_with_values_of_high_range_is_refused(tmp_path: Path, run: Callable) -> None:
    done = run(with_codes(tmp_path / "hdr.avif", 9, 16))
    assert done.status == 1
    assert "PQ" in done.err


def test_avif_with_linear_values_is_heeded(tmp_path: Path, colour: Callable) -> None:
    result = read(colour(with_codes(tmp_path / "linear.avif", 1, 8), "--saturation", "0"))
    assert np.abs(lightness(result) - l_of(camera() / 255)).mean() < 1.0


@pytest.mark.parametrize("places", [(0,) * 8, (31270, 32900) + (30000, 30000) * 3, (31270, 0) + SRGB_PLACES[2:]])
def test_impossible_primaries_are_refused(tmp_path: Path, run: Callable, places: tuple[int, ...]) -> None:
    photo = np.repeat(camera()[..., None], 3, axis=2)
    done = run(png(tmp_path / "odd.png", photo, gama(1.0), chrm(places)))
    assert done.status == 1
    assert "impossible primaries" in done.err
