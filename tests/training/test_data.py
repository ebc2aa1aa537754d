import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from colorize_training.data import Skipped, draw_crop, pack, read_photographs
from PIL import Image


def test_folders_and_shards_give_the_same_photographs(picture_folder: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "shard.tar", "w") as shard:
        for path in sorted(picture_folder.iterdir()):
            shard.add(path, path.name)
    a, b = pack([picture_folder], tmp_path / "a", 96), pack([tmp_path / "shard.tar"], tmp_path / "b", 96)
    assert len(a) == len(b) == 12
    assert all(np.array_equal(a[n], b[n]) for n in range(12))
    assert a.digest == b.digest
    assert all(min(a[n].shape[:2]) == 96 for n in range(12))


def test_unusable_files_are_skipped_with_their_reason(picture_folder: Path, tmp_path: Path, photograph) -> None:
    rgb = photograph("coffee").rgb
    Image.fromarray(rgb).save(tmp_path / "good.jpg")
    whole = io.BytesIO()
    Image.fromarray(rgb).save(whole, "PNG")
    (tmp_path / "truncated.png").write_bytes(whole.getvalue()[:5000])
    (tmp_path / "nonsense.jpg").write_bytes(b"not a picture")
    Image.fromarray(photograph("coffee").gray).save(tmp_path / "gray.png")
    Image.fromarray(rgb).convert("CMYK").save(tmp_path / "cmyk.jpg")
    skipped = Skipped()
    names = [Path(name).name for name, _ in read_photographs([tmp_path], skipped)]
    assert names == ["cmyk.jpg", "good.jpg"]
    assert {Path(n).name for n in skipped.reasons} == {"truncated.png", "nonsense.jpg", "gray.png"}
    assert "no colour" in skipped.reasons[str(tmp_path / "gray.png")]
    assert str(skipped).startswith("3 files skipped")


def test_nothing_to_learn_from_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no colour photograph"):
        pack([tmp_path / "empty"], tmp_path / "cache")
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        pack([tmp_path / "absent"], tmp_path / "cache")


def test_an_interrupted_pack_is_made_anew(picture_folder: Path, tmp_path: Path) -> None:
    first = pack([picture_folder], tmp_path, 96)
    index = next(tmp_path.glob("*/index.json"))
    index.unlink()
    (index.parent / "pixels.part").write_bytes(b"half")
    assert pack([picture_folder], tmp_path, 96).digest == first.digest


def test_crops_repeat_with_their_seed_and_lie_inside(photograph) -> None:
    rgb = photograph("rocket").rgb
    crops = [draw_crop(rgb, 64, np.random.default_rng(5)) for _ in range(2)]
    assert np.array_equal(*crops)
    assert not np.array_equal(crops[0], draw_crop(rgb, 64, np.random.default_rng(6)))
    tiny = draw_crop(rgb[:5, :40], 64, np.random.default_rng(1))
    assert tiny.shape == (64, 64, 3)
