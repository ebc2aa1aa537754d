"""Files that are damaged, cut short, or only a little out of order: refused, or coloured with a word about it."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from colorize_cli.photograph import Result
from colorize_cli.problems import PictureError
from colorize_cli.reading import read_photograph
from colorize_cli.writing import write_result
from PIL import Image
from skimage import data

END = b"\xff\xd9"


def photograph() -> Image.Image:
    return Image.fromarray(data.camera()[:160, 100:340])


def saved(form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    photograph().save(stream, form, **options)
    return stream.getvalue()


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def scans(jpeg: bytes) -> list[int]:
    """Where the scans of a JPEG begin."""
    return [at for at in range(len(jpeg) - 1) if jpeg[at : at + 2] == b"\xff\xda"]


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
@pytest.mark.parametrize("share", [0.4, 0.7, 0.98])  # the last is within the last rows
def test_a_jpeg_with_a_hole_is_refused(tmp_path: Path, run: Callable, options: dict, share: float) -> None:
    whole = bytearray(saved("JPEG", quality=90, **options))
    at = int(len(whole) * share)
    whole[at : at + 60] = bytes([255, 0xC4, 0, 1] * 15)
    done = run(written(tmp_path / "hole.jpg", bytes(whole)))
    assert done.status == 1
    assert "damaged" in done.err
    assert "copy it again" in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["hole.jpg"]


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_a_jpeg_that_lacks_its_end_marker_alone_is_coloured(tmp_path: Path, run: Callable, options: dict) -> None:
    whole = saved("JPEG", quality=90, **options)
    assert whole.endswith(END)
    done = run(written(tmp_path / "whole.jpg", whole), written(tmp_path / "cut.jpg", whole.removesuffix(END)), "--json")
    assert done.status == 0, done.err
    assert [item["notes"] for item in done.objects] == [[], ["the file lacks its end, but none of its pixels"]]
    results = [np.asarray(Image.open(item["output"])) for item in done.objects]
    assert (results[0] == results[1]).all()


@pytest.mark.parametrize("lacking", [3, 40, 2000])
def test_a_jpeg_that_lacks_pixels_is_refused(tmp_path: Path, run: Callable, lacking: int) -> None:
    done = run(written(tmp_path / "cut.jpg", saved("JPEG", quality=90)[:-lacking]))
    assert done.status == 1
    assert "cut short" in done.err


def test_a_progressive_jpeg_that_lacks_whole_scans_is_refused(tmp_path: Path, run: Callable) -> None:
    whole = saved("JPEG", quality=90, progressive=True)
    done = run(written(tmp_path / "cut.jpg", whole[: scans(whole)[-1]]))
    assert done.status == 1
    assert "cut short" in done.err


def test_bytes_that_do_no_harm_are_said(tmp_path: Path, run: Callable) -> None:
    whole = saved("JPEG", quality=90)
    tables = whole.index(b"\xff\xdb")
    written(tmp_path / "odd.jpg", whole[:tables] + b"\x00\x01\x02" + whole[tables:])
    written(tmp_path / "whole.jpg", whole)
    done = run(tmp_path / "odd.jpg", tmp_path / "whole.jpg", "--json")
    assert any("3 extraneous bytes" in note and "look whether" in note for note in done.objects[0]["notes"])
    results = [np.asarray(Image.open(item["output"])) for item in done.objects]
    assert (results[0] == results[1]).all()


def test_a_damaged_tiff_that_can_be_decoded_is_said(tmp_path: Path, run: Callable) -> None:
    whole = bytearray(saved("TIFF", compression="packbits"))
    whole[len(whole) // 2 : len(whole) // 2 + 60] = bytes(60)
    done = run(written(tmp_path / "hole.tif", bytes(whole)), "--json")
    assert any("damaged" in note and "look whether" in note for note in done.objects[0]["notes"])


@pytest.mark.parametrize("form", ["WEBP", "AVIF", "PNG"])
def test_other_formats_that_are_cut_short_are_refused(tmp_path: Path, run: Callable, form: str) -> None:
    whole = saved(form)
    done = run(written(tmp_path / f"cut.{form.lower()}", whole[: len(whole) * 2 // 3]))
    assert done.status == 1
    assert "damaged or cut short" in done.err


def test_a_png_that_lacks_its_end_chunk_alone_is_coloured(tmp_path: Path, run: Callable) -> None:
    done = run(written(tmp_path / "cut.png", saved("PNG")[:-12]), "--json")
    assert done.objects[0]["notes"] == ["the file lacks its end, but none of its pixels"]


def seeds() -> dict[str, bytes]:
    options = {"exif": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x0f\x01\x02\0\x04\0\0\0abc\0\0\0\0\0", "quality": 90}
    return {
        **{form.lower(): saved(form, **options) for form in ("JPEG", "PNG", "WEBP", "AVIF")},
        **{f"{name}.tif": saved("TIFF", compression=name) for name in ("packbits", "tiff_lzw", "raw")},
    }


def changed(content: bytes, random: np.random.Generator) -> bytes:
    """A file with some bytes turned, mostly in its first thousand, where its structure is."""
    data = bytearray(content)
    for _ in range(random.choice([1, 3, 10])):
        at = random.integers(min(len(data), random.choice([100, 1000, len(data)])))
        data[at : at + random.choice([1, 4])] = random.bytes(random.choice([1, 4]))
    return bytes(data)


@pytest.mark.parametrize("seed", range(4))
def test_any_damage_is_met_by_a_result_or_a_sentence(tmp_path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    read = 0
    for name, content in seeds().items():
        for _ in range(15):
            path = written(tmp_path / f"a.{name}", changed(content, random))
            try:
                photograph = read_photograph(path)
            except PictureError as problem:
                assert len(problem.reason) > 20
                continue
            read += 1
            result = Result(photograph, "tiff")
            result.upright[:] = 0
            write_result(result, tmp_path / "result.tif", True)
    assert read > 0
