"""Packs: what is in them, that they stay what they are, and how they are divided."""

import os
import tarfile
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from colorize_engine.colour.conversions import srgb_to_lab
from colorize_training.data import PackedPhotographs, draw_crop, lightness_statistics, manifest, overlap, pack, split
from PIL import Image


def save_noise(folder: Path, count: int, seed: int = 0, side: int = 32) -> None:
    """Small coloured pictures, no two of them equal."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(seed)
    for number in range(count):
        colour = rng.integers(0, 255, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(colour).resize((side, side), Image.Resampling.NEAREST).save(folder / f"{number:03d}.png")


def test_folders_and_shards_give_the_same_photographs(picture_folder: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "shard.tar", "w") as shard:
        for path in sorted(picture_folder.iterdir()):
            shard.add(path, path.name)
    a, b = pack([picture_folder], tmp_path / "a", 96), pack([tmp_path / "shard.tar"], tmp_path / "b", 96)
    assert len(a) == len(b) == 12
    assert all(np.array_equal(a[n], b[n]) for n in range(12))
    assert a.digest == b.digest
    assert a.labels is None
    assert all(min(a[n].shape[:2]) == 96 for n in range(12))


def test_nothing_to_learn_from_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no colour photograph"):
        pack([tmp_path / "empty"], tmp_path / "cache")
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        pack([tmp_path / "absent"], tmp_path / "cache")


def test_an_interrupted_pack_is_made_again(picture_folder: Path, tmp_path: Path) -> None:
    first = pack([picture_folder], tmp_path, 96)
    index = next(tmp_path.glob("*/index.json"))
    index.unlink()
    (index.parent / "pixels.part").write_bytes(b"half")
    assert pack([picture_folder], tmp_path, 96).digest == first.digest


def test_a_pack_is_opened_not_made_again(tmp_path: Path) -> None:
    save_noise(tmp_path / "in", 3)
    pack([tmp_path / "in"], tmp_path / "cache")
    before = next((tmp_path / "cache").glob("*/pixels.u8")).stat().st_mtime_ns
    again = pack([tmp_path / "in"], tmp_path / "cache")
    assert next((tmp_path / "cache").glob("*/pixels.u8")).stat().st_mtime_ns == before
    assert len(list((tmp_path / "cache").iterdir())) == 1
    assert not again.pixels.flags.writeable  # the file's own pages, not a copy


def test_a_change_far_down_in_a_folder_asks_for_a_new_pack(tmp_path: Path) -> None:
    save_noise(tmp_path / "in", 2)
    save_noise(tmp_path / "in" / "deep", 2, seed=1)
    first = pack([tmp_path / "in"], tmp_path / "cache")
    Image.new("RGB", (32, 32), "teal").save(tmp_path / "in" / "deep" / "new.png")
    assert (len(first), len(pack([tmp_path / "in"], tmp_path / "cache"))) == (4, 5)
    os.utime(tmp_path / "in" / "deep" / "new.png", ns=(1, 1))
    pack([tmp_path / "in"], tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 3


def test_calls_that_pack_at_once_share_one_pack(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    """Of threads here, for speed: the lock belongs to an open file, so processes see the same."""
    save_noise(tmp_path / "in", 40)
    with ThreadPoolExecutor(3) as pool:
        packs = list(pool.map(lambda _: pack([tmp_path / "in"], tmp_path / "cache"), range(3)))
    assert len({photographs.digest for photographs in packs}) == 1
    assert capfd.readouterr().err.count("decoding photographs: 0img") == 1
    assert packs[0].digest == pack([tmp_path / "in"], tmp_path / "other").digest


def test_packing_needs_no_more_memory_for_more_photographs(tmp_path: Path) -> None:
    peaks = []
    for count in (4, 16):
        save_noise(tmp_path / str(count), count, side=256)
        tracemalloc.start()
        pack([tmp_path / str(count)], tmp_path / "cache", 256)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 2 * 256 * 256 * 3  # twelve photographs more, less than two in memory


def test_a_subset_keeps_names_and_pixels_and_its_digest_tells_it(packed: PackedPhotographs) -> None:
    part = packed.subset([5, 0])
    assert part.names == [packed.names[5], packed.names[0]]
    assert np.array_equal(part[0], packed[5])
    assert len({packed.digest, part.digest, packed.subset([0, 5]).digest, packed.subset([5]).digest}) == 4
    assert part.digest == packed.subset(np.array([5, 0])).digest
    assert part.subset([1]).names == [packed.names[0]]


def test_a_split_is_random_disjoint_and_whole(tmp_path: Path) -> None:
    save_noise(tmp_path / "in", 40)
    photographs = pack([tmp_path / "in"], tmp_path / "cache")
    parts = split(photographs, (75, 15, 10), 3)
    assert [len(part) for part in parts] == [30, 6, 4]
    assert sorted(name for part in parts for name in part.names) == photographs.names
    again, other = split(photographs, (75, 15, 10), 3), split(photographs, (75, 15, 10), 4)
    assert [part.digest for part in again] == [part.digest for part in parts]
    assert [part.names for part in other] != [part.names for part in parts]
    assert not overlap(parts[0], parts[1])
    assert overlap(parts[0], photographs) == parts[0].names
    assert manifest(parts[1]) | manifest(parts[0]) | manifest(parts[2]) == manifest(photographs)
    assert [len(part) for part in split(photographs, (1, 1, 0), 3)] == [20, 20, 0]


def test_equal_photographs_stay_on_one_side_of_a_split(tmp_path: Path) -> None:
    save_noise(tmp_path / "in", 10)
    photographs = pack([tmp_path / "in"], tmp_path / "cache").subset(np.repeat(np.arange(10), 3))
    for seed in range(5):
        train, validation, test = split(photographs, (60, 20, 20), seed)
        assert (len(train), len(validation), len(test)) == (18, 6, 6)
        assert not overlap(train, validation) + overlap(train, test) + overlap(validation, test)


@pytest.mark.parametrize(("shares", "reason"), [((75, 15, 10), "too few"), ((0, 0, 0), "shares"), ((2, -1, 1), "shar")])
def test_a_split_that_cannot_be_is_refused(packed: PackedPhotographs, shares: tuple, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        split(packed.subset([0, 1]), shares, 0)


def test_lightness_statistics_count_every_photograph_the_same(tmp_path: Path, packed: PackedPhotographs) -> None:
    Image.new("RGB", (32, 32), (0, 0, 255)).save(tmp_path / "blue.png")  # L* 32.30
    Image.new("RGB", (64, 64), (255, 255, 0)).save(tmp_path / "yellow.png")  # L* 97.14
    mean, deviation = lightness_statistics(pack([tmp_path], tmp_path / "cache"))
    assert mean == pytest.approx((0.3230 + 0.9714) / 2, abs=1e-4)
    assert deviation == pytest.approx((0.9714 - 0.3230) / 2, abs=1e-4)
    one = packed.subset([3])
    lightness = srgb_to_lab(torch.from_numpy(one[0].transpose(2, 0, 1).astype(np.float64) / 255))[0] / 100
    assert lightness_statistics(one, sample=5) == pytest.approx(
        (lightness.mean().item(), lightness.std().item()), abs=1e-4
    )
    with pytest.raises(ValueError, match="no photographs"):
        lightness_statistics(packed.subset([]))


def test_crops_repeat_with_their_seed_and_lie_inside(photograph) -> None:
    rgb = photograph("rocket").rgb
    crops = [draw_crop(rgb, 64, np.random.default_rng(5)) for _ in range(2)]
    assert np.array_equal(*crops)
    assert not np.array_equal(crops[0], draw_crop(rgb, 64, np.random.default_rng(6)))
    tiny = draw_crop(rgb[:5, :40], 64, np.random.default_rng(1))
    assert tiny.shape == (64, 64, 3)


def write_pair(folder: Path, name: str, labels: np.ndarray, palette: bool = False, side: int = 96) -> None:
    """A coloured picture NAME.jpg and a label map NAME.png, of 16 bits where 8 are too few."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(len(name))
    colour = rng.integers(0, 255, (4, 4, 3), dtype=np.uint8)
    Image.fromarray(colour).resize((side, side), Image.Resampling.BICUBIC).save(folder / f"{name}.jpg", quality=95)
    label_map = Image.fromarray(labels.astype(np.uint16 if labels.max() > 255 else np.uint8))
    if palette:
        label_map.putpalette(rng.integers(0, 255, 768, dtype=np.uint8).tobytes())
    label_map.save(folder / f"{name}.png")


def four_things() -> np.ndarray:
    """A label map (96, 96): label 1 in two pieces, 2 too small, 3 too large, 300 a column, the rest nothing."""
    labels = np.zeros((96, 96), int)
    labels[:16, :16] = labels[:8, 40:60] = 1
    labels[20:23, :3] = 2
    labels[30:, :92] = 3
    labels[:, 92:] = 300
    return labels


def test_label_maps_become_masks_of_connected_things(tmp_path: Path) -> None:
    write_pair(tmp_path / "in", "drawn", four_things())
    write_pair(tmp_path / "in", "second", np.ones((96, 96)))  # one thing, which is the whole picture
    save_noise(tmp_path / "in", 2, side=96)  # PNG files that are photographs
    packed = pack([tmp_path / "in"], tmp_path / "cache", 48)
    assert [Path(name).name for name in packed.names] == ["000.png", "001.png", "drawn.jpg", "second.jpg"]
    assert packed.with_things().tolist() == [2]
    masks = packed.things(2)
    assert masks.shape == (3, 24, 24)
    assert masks.sum((1, 2)).tolist() == [24, 16, 10]
    assert [tuple(np.argwhere(mask)[0]) for mask in masks] == [(0, 23), (0, 0), (0, 10)]
    assert packed.things(0).shape == (0, 24, 24)
    assert np.array_equal(packed.subset([3, 2]).things(1), masks)
    assert packed.subset([3, 2]).with_things().tolist() == [1]


def test_label_maps_are_found_in_shards_and_beside_a_file_of_its_own(tmp_path: Path) -> None:
    write_pair(tmp_path / "in", "drawn", np.kron(np.arange(9).reshape(3, 3), np.ones((32, 32))))
    write_pair(tmp_path / "in", "palette", np.kron(np.arange(4).reshape(2, 2), np.ones((48, 48))), palette=True)
    with tarfile.open(tmp_path / "shard.tar", "w") as shard:
        for name in ("drawn.jpg", "drawn.png", "palette.png", "palette.jpg"):
            shard.add(tmp_path / "in" / name, f"deep/{name}")
    sources = (
        [tmp_path / "in"],
        [tmp_path / "shard.tar"],
        [tmp_path / "in" / f"{n}.jpg" for n in ("drawn", "palette")],
    )
    packs = [pack(source, tmp_path / "cache", 96) for source in sources]
    assert [len(packed) for packed in packs] == [2, 2, 2]
    assert [len(packs[0].things(number)) for number in (0, 1)] == [8, 3]
    for other in packs[1:]:
        assert other.digest == packs[0].digest
        assert all(np.array_equal(other.things(n), packs[0].things(n)) for n in (0, 1))


def test_other_label_maps_are_other_data(tmp_path: Path) -> None:
    write_pair(tmp_path / "in", "drawn", four_things())
    first = pack([tmp_path / "in"], tmp_path / "cache")
    write_pair(tmp_path / "in", "drawn", four_things().T)
    second = pack([tmp_path / "in"], tmp_path / "cache")
    (tmp_path / "in" / "drawn.png").unlink()
    without = pack([tmp_path / "in"], tmp_path / "cache")
    assert first.fingerprints == second.fingerprints == without.fingerprints
    assert len({first.digest, second.digest, without.digest}) == 3


def test_a_label_map_that_does_not_fit_is_named_and_its_photograph_kept(tmp_path: Path) -> None:
    write_pair(tmp_path / "in", "drawn", np.ones((40, 50)))
    write_pair(tmp_path / "in", "broken", four_things())
    broken = tmp_path / "in" / "broken.png"
    broken.write_bytes(broken.read_bytes()[:60])
    packed = pack([tmp_path / "in"], tmp_path / "cache")
    assert len(packed) == 2
    assert not len(packed.with_things())
    lines = next((tmp_path / "cache").glob("*/skipped.tsv")).read_text().splitlines()[1:]
    assert any("drawn.jpg: label map\ta label map of 50x40 pixels, but its photograph has 96x96" in li for li in lines)
    assert any("broken.jpg: label map\t" in line for line in lines)
