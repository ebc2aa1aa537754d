"""Every source of pictures, and every kind of file that cannot be used."""

import hashlib
import io
import pickle
import struct
import tarfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from colorize_training.data import PackedPhotographs, Skipped, decoding, pack, read_photographs
from colorize_training.data.data_option import source_of
from colorize_training.data.labelled import cut
from PIL import Image
from torchvision.datasets import CIFAR10

SIDE = 48


@pytest.fixture(scope="module")
def rgb(photograph) -> np.ndarray:
    """A real photograph, small."""
    return np.asarray(Image.fromarray(photograph("coffee").rgb).resize((SIDE, SIDE)))


def stored(rgb: np.ndarray, kind: str, mode: str = "RGB", **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(rgb).convert(mode).save(file, kind, **options)
    return file.getvalue()


def deep_png(rgb: np.ndarray) -> bytes:
    """The photograph with 16 bits a channel, which Pillow cannot write."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    height, width = rgb.shape[:2]
    rows = b"".join(b"\0" + row.tobytes() for row in rgb.astype(">u2") * 257)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def read(sources: list, downloads: Path, short_side: int = 32) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The photographs, and the reasons of what was skipped, each by its file's name."""
    skipped = Skipped()
    found = {Path(p.name).name: p.pixels for p in read_photographs(sources, skipped, downloads, short_side)}
    return found, {Path(name).name: why for name, why in skipped.reasons.items()}


def bad_files(rgb: np.ndarray) -> dict[str, tuple[bytes, str]]:
    """Name -> content, and what the reason says."""
    gray = rgb.mean(2).astype(np.uint8)
    nearly = np.stack([gray, gray, np.clip(gray.astype(int) + 1, 0, 255).astype(np.uint8)], 2)
    noise = np.random.default_rng(0).integers(0, 255, rgb.shape, dtype=np.uint8)
    return {
        "nonsense.jpg": (b"not a picture", "cannot identify"),
        "empty.png": (b"", "cannot identify"),
        "truncated.jpg": (stored(noise, "JPEG")[:-900], "truncated"),
        "truncated.png": (stored(noise, "PNG")[:-900], ""),
        "truncated.webp": (stored(noise, "WEBP", lossless=True)[:-900], ""),
        "truncated.tif": (stored(noise, "TIFF")[:-900], ""),
        "gray.png": (stored(rgb, "PNG", "L"), "mode L"),
        "gray-alpha.png": (stored(rgb, "PNG", "LA"), "mode LA"),
        "one-bit.png": (stored(rgb, "PNG", "1"), "mode 1"),
        "gray-as-rgb.png": (stored(np.stack([gray] * 3, 2), "PNG"), "gray: its mean chroma is 0.0"),
        "gray-as-rgb.jpg": (stored(np.stack([gray] * 3, 2), "JPEG"), "gray: its mean chroma"),
        "nearly-gray.png": (stored(nearly, "PNG"), "gray: its mean chroma"),
        "cmyk.jpg": (stored(rgb, "JPEG", "CMYK"), "CMYK"),
        "deep-gray.png": (stored(gray.astype(np.uint16) * 257, "PNG", "I;16"), "8 bits"),
        "deep-colour.png": (deep_png(rgb), "8 bits"),
        "float.tif": (stored(rgb, "TIFF", "F"), "8 bits"),
        "dot.gif": (stored(rgb[:1, :1], "GIF"), "1x1 is too small"),
    }


def test_what_cannot_be_used_is_skipped_with_its_reason(rgb: np.ndarray, tmp_path: Path) -> None:
    bad = bad_files(rgb)
    for name, (content, _) in bad.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "good.jpg").write_bytes(stored(rgb, "JPEG"))
    (tmp_path / "folder.jpg").mkdir()
    found, reasons = read([tmp_path], tmp_path)
    assert list(found) == ["good.jpg"]
    assert reasons.keys() == bad.keys()
    for name, (_, reason) in bad.items():
        assert reason in reasons[name], (name, reasons[name])
        assert reasons[name]


def test_the_pack_lists_what_was_skipped(rgb: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "good.png").write_bytes(stored(rgb, "PNG"))
    for name, (content, _) in bad_files(rgb).items():
        (tmp_path / "in" / name).write_bytes(content)
    pack([tmp_path / "in"], tmp_path / "cache", 32)
    lines = next((tmp_path / "cache").glob("*/skipped.tsv")).read_text().splitlines()
    assert len(lines) == 1 + len(bad_files(rgb))
    assert f"{tmp_path / 'in' / 'cmyk.jpg'}\tCMYK, whose colours depend on the press" in lines
    printed = capsys.readouterr().out
    assert printed.startswith("17 files skipped")
    assert "and 7 more" in printed
    assert "skipped.tsv" in printed


def test_huge_files_are_refused_before_they_are_decoded(
    rgb: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "large.png").write_bytes(stored(rgb, "PNG"))
    monkeypatch.setattr(decoding, "MAX_PIXELS", SIDE * SIDE - 1)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    assert "48x48 is larger than" in read([tmp_path], tmp_path)[1]["large.png"]
    monkeypatch.setattr(decoding, "MAX_BYTES", 100)
    assert "bytes are more than" in read([tmp_path], tmp_path)[1]["large.png"]


def test_a_decompression_bomb_is_skipped(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    body = b"IHDR" + header
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body)) + b"\0\0\0\4IDAT"
    (tmp_path / "bomb.png").write_bytes(bomb)
    found, reasons = read([tmp_path], tmp_path)
    assert not found
    assert "pixels" in reasons["bomb.png"]


def test_damaged_files_never_crash(rgb: np.ndarray, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    kinds = {
        "jpg": stored(rgb, "JPEG"),
        "png": stored(rgb, "PNG"),
        "webp": stored(rgb, "WEBP"),
        "gif": stored(rgb, "GIF"),
    }
    kinds |= {"tif": stored(rgb, "TIFF", compression="tiff_lzw"), "bmp": stored(rgb, "BMP")}
    for kind, whole in kinds.items():
        for number in range(40):
            damaged = np.frombuffer(whole, np.uint8).copy()
            damaged[rng.integers(0, min(len(damaged), 400), 6)] = rng.integers(0, 255, 6)
            (tmp_path / f"{number}.{kind}").write_bytes(damaged.tobytes())
    found, reasons = read([tmp_path], tmp_path)
    assert len(found) + len(reasons) == 240
    assert len(reasons) > 40
    assert all(reasons.values())


def test_pictures_come_upright_opaque_and_still(rgb: np.ndarray, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    (tmp_path / "turned.png").write_bytes(stored(rgb[:40], "PNG", exif=exif))
    clear = np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])
    clear[:20, :, 3], clear[20:30, :, 3] = 0, 128
    Image.fromarray(clear).save(tmp_path / "clear.png")
    Image.fromarray(rgb).quantize(64).save(tmp_path / "palette.png")
    spare = Image.fromarray(rgb).quantize(64)
    spare.save(tmp_path / "palette-clear.png", transparency=spare.getpixel((0, 0)))
    frames = [Image.fromarray(rgb), Image.fromarray(rgb[::-1])]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "moving.webp", save_all=True, append_images=frames[1:], lossless=True)
    found, reasons = read([tmp_path], tmp_path, SIDE)
    assert not reasons
    assert np.array_equal(found["turned.png"], np.rot90(rgb[:40], -1))
    assert (found["clear.png"][:20] == 255).all()
    assert np.abs(found["clear.png"][20:30].astype(int) - (rgb[20:30].astype(int) + 255) / 2).max() <= 1.5
    assert np.array_equal(found["clear.png"][30:], rgb[30:])
    assert np.abs(found["palette.png"].astype(int) - rgb).mean() < 12
    assert (found["palette-clear.png"][0, 0] == 255).all()
    assert np.abs(found["moving.gif"].astype(int) - rgb).mean() < 12
    assert np.array_equal(found["moving.webp"], rgb)


def test_the_same_picture_is_taken_once(rgb: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(stored(rgb, "PNG"))
    (tmp_path / "b.png").write_bytes(stored(rgb, "PNG", compress_level=1))
    (tmp_path / "c.png").write_bytes(stored(rgb[:, ::-1], "PNG"))
    found, reasons = read([tmp_path, tmp_path / "c.png"], tmp_path)
    assert list(found) == ["a.png", "c.png"]
    assert reasons["b.png"] == f"the same picture as {tmp_path / 'a.png'}"
    assert reasons["c.png"] == f"the same picture as {tmp_path / 'c.png'}"


def save_shard(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as shard:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            shard.addfile(member, io.BytesIO(content))


def test_a_shard_that_ends_early_gives_what_comes_before(rgb: np.ndarray, tmp_path: Path) -> None:
    turns = {f"{n}.png": stored(np.rot90(rgb, n), "PNG") for n in range(4)}
    save_shard(tmp_path / "shard.tar", {"0.json": b"{}", **turns})
    whole = (tmp_path / "shard.tar").read_bytes()
    assert list(read([tmp_path / "shard.tar"], tmp_path)[0]) == list(turns)
    (tmp_path / "shard.tar").write_bytes(whole[: whole.index(turns["2.png"]) + 700])
    found, reasons = read([tmp_path], tmp_path)
    assert list(found) == ["0.png", "1.png"]
    assert "shard ends within it" in reasons["2.png"]
    header = whole.index(turns["2.png"]) - 512
    for broken in (whole[: header + 300], whole[:header], whole[:header] + b"x" * 512 + whole[header + 512 :]):
        (tmp_path / "shard.tar").write_bytes(broken)
        found, reasons = read([tmp_path], tmp_path)
        assert list(found) == ["0.png", "1.png"]
        assert "cannot be read to its end" in reasons["shard.tar"]
    (tmp_path / "shard.tar").write_bytes(b"no tar" * 500)
    assert "cannot be read to its end" in read([tmp_path], tmp_path)[1]["shard.tar"]


def test_a_list_names_paths_and_their_checksums(rgb: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    files = {n: stored(np.rot90(rgb, n), "PNG") for n in range(3)}
    (tmp_path / "deep" / "with a space.png").write_bytes(files[0])
    (tmp_path / "checked.png").write_bytes(files[1])
    (tmp_path / "changed.png").write_bytes(files[2])
    right, wrong = hashlib.sha256(files[1]).hexdigest(), "0" * 64
    (tmp_path / "list.txt").write_text(
        f"\ufeff# cats\n\ndeep/with a space.png\n{tmp_path}/checked.png\t{right.upper()}\nchanged.png {wrong}\n"
        "absent.png\nftp://host/a.png\n  deep\n"
    )
    found, reasons = read([tmp_path / "list.txt"], tmp_path)
    assert list(found) == ["with a space.png", "checked.png"]
    assert f"not {wrong}" in reasons["changed.png"]
    assert "No such file" in reasons["absent.png"]
    assert reasons["a.png"] == "only http and https are fetched"
    assert "directory" in reasons["deep"]
    (tmp_path / "list.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="not a UTF-8 text"):
        read([tmp_path / "list.txt"], tmp_path)


@pytest.fixture
def cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Batches as CIFAR-10's, small, with checksums of their own; the first two pictures are equal, the third gray."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    rng = np.random.default_rng(0)

    def save(name: str, content: dict) -> list[str]:
        data = pickle.dumps(content)
        (folder / name).write_bytes(data)
        return [name, hashlib.md5(data, usedforsecurity=False).hexdigest()]

    batches = []
    for name, labels in (("data_batch_1", [3, 3, 5]), ("test_batch", [9, 8])):
        data = rng.integers(0, 255, (len(labels), 3072), dtype=np.uint8)
        if name == "data_batch_1":
            data[1], data[2] = data[0], 77
        batches.append(save(name, {"data": data, "labels": labels}))
    _, md5 = save("batches.meta", {"label_names": [str(n) for n in range(10)]})
    monkeypatch.setattr(CIFAR10, "train_list", batches[:1])
    monkeypatch.setattr(CIFAR10, "test_list", batches[1:])
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": md5})
    return folder


def test_cifar_comes_whole_with_its_labels(cifar: Path, tmp_path: Path) -> None:
    train = pack([f"cifar10:{cifar.parent}"], tmp_path / "cache")
    assert train.labels.tolist() == [3, 3, 5]
    assert train.names[0] == "cifar10/train/00000"
    assert np.array_equal(train[1], CIFAR10(cifar.parent, train=True).data[1])
    assert pack([cifar], tmp_path / "cache").digest == train.digest
    test = pack([Path(f"cifar10:{cifar}:test")], tmp_path / "cache")
    assert test.labels.tolist() == [9, 8]
    assert test.subset([1]).labels.tolist() == [8]
    assert pack([f"cifar10:{cifar}:train", f"cifar10:{cifar}:test"], tmp_path / "cache").labels.tolist() == [
        3,
        3,
        5,
        9,
        8,
    ]


def test_a_changed_cifar_is_never_unpickled(cifar: Path, tmp_path: Path) -> None:
    harm = tmp_path / "harm"
    (cifar / "data_batch_1").write_bytes(b"cos\nmkdir\n(V" + str(harm).encode() + b"\ntR.")
    with pytest.raises(ValueError, match="unchanged CIFAR-10"):
        pack([cifar], tmp_path / "cache")
    assert not harm.exists()
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        source_of(f"cifar10:{tmp_path / 'absent'}:test")


@pytest.fixture
def mosaic(rgb: np.ndarray, tmp_path: Path) -> tuple[Path, np.ndarray]:
    """A tar of two mosaics of 2x3 tiles of 16 pixels, in the wrong order, and the tiles (12, 16, 16, 3)."""
    tiles = np.stack([rgb[8 * (n // 3) : 8 * (n // 3) + 16, 8 * (n % 3) : 8 * (n % 3) + 16] for n in range(12)])
    large = [np.vstack([np.hstack(part[:3]), np.hstack(part[3:])]) for part in (tiles[:6], tiles[6:])]
    names = ("m-001.webp", "m-000.webp")
    save_shard(
        tmp_path / "m.tar", {n: stored(p, "WEBP", lossless=True) for n, p in zip(names, large[::-1], strict=True)}
    )
    return tmp_path / "m.tar", tiles


def test_a_mosaic_is_cut_row_by_row_and_labelled(mosaic: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    path, tiles = mosaic
    np.savez(tmp_path / "l.npz", y=np.arange(20, dtype=np.uint8), names=np.array(["a"] * 20))
    packed = pack([f"mosaic:{path}:16:{tmp_path / 'l.npz'}"], tmp_path / "cache")
    assert all(np.array_equal(packed[n], tiles[n]) for n in range(12))
    assert packed.labels.tolist() == list(range(12))
    np.savez(path.with_suffix(".npz"), labels=np.arange(12) % 3, other=np.arange(12))
    assert pack([f"mosaic:{path}:16"], tmp_path / "cache").labels.tolist() == [0, 1, 2] * 4


def test_without_labels_for_all_there_are_none(
    mosaic: tuple[Path, np.ndarray], rgb: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    path, _ = mosaic
    assert pack([f"mosaic:{path}:16"], tmp_path / "cache").labels is None
    (tmp_path / "one.png").write_bytes(stored(rgb, "PNG"))
    np.savez(path.with_suffix(".npz"), labels=np.arange(12))
    mixed: PackedPhotographs = pack([f"mosaic:{path}:16", tmp_path / "one.png"], tmp_path / "cache")
    assert (len(mixed), mixed.labels) == (13, None)
    assert "packed without" in capsys.readouterr().out


def test_a_mosaic_that_is_not_one_is_an_error(mosaic: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    path, _ = mosaic
    with pytest.raises(ValueError, match="no whole tiles of 17"):
        pack([f"mosaic:{path}:17"], tmp_path / "cache")
    with pytest.raises(ValueError, match="SIDE in pixels"):
        source_of(f"mosaic:{path}")
    with pytest.raises(FileNotFoundError, match="named for the labels"):
        source_of(f"mosaic:{path}:16:{tmp_path / 'absent.npz'}")
    np.savez(path.with_suffix(".npz"), labels=np.arange(11))
    with pytest.raises(ValueError, match="11 labels, fewer than"):
        pack([f"mosaic:{path}:16"], tmp_path / "cache")
    np.savez(path.with_suffix(".npz"), a=np.arange(12), b=np.arange(12))
    with pytest.raises(ValueError, match="called labels; it has a, b"):
        pack([f"mosaic:{path}:16"], tmp_path / "cache")
    path.with_suffix(".npz").unlink()
    save_shard(path, {"m.webp": b"nothing"})
    with pytest.raises(ValueError, match=r"m\.tar/m\.webp"):
        pack([f"mosaic:{path}:16"], tmp_path / "cache")


def test_tiles_run_row_by_row() -> None:
    mosaic = np.arange(4 * 6).reshape(4, 6, 1).repeat(3, 2)
    assert cut(mosaic, 2)[:, 0, 0, 0].tolist() == [0, 2, 4, 12, 14, 16]
