"""A run over what an earlier one finished, or was broken off in: nothing is done twice, nothing half counts as done."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data


def photo(path: Path, width: int = 64, height: int = 48) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(data.camera()[200 : 200 + height, 200 : 200 + width]).save(path)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("where", [[], ["-o", "out"], ["--format", "tiff"], ["--format", "jpeg", "-o", "out"]])
def test_a_folder_again_does_what_is_new(tmp_path: Path, run: Callable, monkeypatch, where: list[str]) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "deep/b.tif", "c.jpg", "d.webp"):
        photo(tmp_path / "in" / name)
    assert run("in", *where).status == 0
    before = contents(tmp_path)
    again = run("in", *where)
    assert (again.status, again.out) == (0, "")
    assert again.err == "gimp-colorize: 0 done, 4 there already; --overwrite makes those again\n"
    photo(tmp_path / "in" / "new.png")
    more = run("in", *where)
    assert (more.status, more.out.count("->")) == (0, 1)
    assert more.err == "gimp-colorize: 1 done, 4 there already; --overwrite makes those again\n"
    assert contents(tmp_path).items() >= before.items()
    anew = run("in", *where, "--overwrite", "--saturation", "0")
    assert (anew.status, anew.out.count("->"), anew.err) == (0, 5, "")
    assert [name for name, content in contents(tmp_path).items() if before.get(name, content) != content]


def test_skipped_in_json(tmp_path: Path, run: Callable) -> None:
    path = photo(tmp_path / "in/a.png")
    (tmp_path / "in/bad.png").write_text("no picture")
    run(tmp_path / "in")
    done = run(tmp_path / "in", "--json")
    assert done.status == 1
    assert Counter(item["status"] for item in done.objects) == {"skipped": 1, "failed": 1}
    skipped = next(item for item in done.objects if item["status"] == "skipped")
    assert skipped["input"] == str(path)
    assert skipped["output"] == str(path.with_name("a-colorized.png"))
    assert "0 done, 1 failed, 1 there already" in done.err


def test_one_picture_again_is_said_plainly(tmp_path: Path, run: Callable) -> None:
    path = photo(tmp_path / "a.png")
    assert run(path).status == 0
    done = run(path)
    target = tmp_path / "a-colorized.png"
    assert (done.status, done.out) == (0, "")
    assert done.err == f"gimp-colorize: {target} is there already; --overwrite makes it again\n"


def test_a_result_that_was_named_is_never_skipped(tmp_path: Path, run: Callable) -> None:
    path = photo(tmp_path / "a.png")
    assert run(path, "-o", tmp_path / "b.png").status == 0
    done = run(path, "-o", tmp_path / "b.png")
    assert done.status == 1
    assert "b.png exists already; add --overwrite" in done.err


def test_all_files_of_a_folder_by_name_again(tmp_path: Path, run: Callable) -> None:
    """As by *.png, which now also names the results."""
    for name in ("a.png", "b.jpg"):
        photo(tmp_path / name)
    assert run(*sorted(tmp_path.iterdir()), "--format", "tiff").status == 0
    before = contents(tmp_path)
    done = run(*sorted(tmp_path.iterdir()), "--format", "tiff")
    assert done.status == 0
    assert "0 done, 2 there already" in done.err
    assert contents(tmp_path) == before
    alone = run(tmp_path / "a-colorized.tif")
    assert alone.status == 0
    assert (tmp_path / "a-colorized-colorized.tif").exists()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def gray(path: Path) -> None:
    Image.open(path).convert("L").save(path)


def of_another_size(path: Path) -> None:
    Image.open(path).resize((30, 30)).save(path)


def of_another_kind(path: Path) -> None:
    Image.open(path).save(path, "JPEG" if path.suffix == ".png" else "PNG")


SPOILT = [cut, empty, zeros, gray, of_another_size, of_another_kind]


@pytest.mark.parametrize("spoil", SPOILT)
@pytest.mark.parametrize("form", ["png", "tiff", "jpeg"])
def test_what_is_no_whole_result_is_not_taken_for_one(
    tmp_path: Path, run: Callable, form: str, spoil: Callable
) -> None:
    path = photo(tmp_path / "a.webp")
    run(path, "--format", form)
    target = next(tmp_path.glob("a-colorized.*"))
    spoil(target)
    spoilt = target.read_bytes()
    done = run(path, "--format", form)
    assert done.status == 1
    assert f"{target} exists already and " in done.err
    assert "--overwrite" in done.err
    assert target.read_bytes() == spoilt
    assert run(path, "--format", form, "--overwrite").status == 0


def test_a_photograph_on_its_side_is_finished_in_any_format(tmp_path: Path, run: Callable) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    Image.fromarray(data.camera()[:48, :64]).save(tmp_path / "a.jpg", exif=exif)
    for form in ("jpeg", "png"):
        assert run(tmp_path / "a.jpg", "--format", form).out.count("->") == 1
        assert "is there already" in run(tmp_path / "a.jpg", "--format", form).err
    assert np.asarray(Image.open(tmp_path / "a-colorized.png")).shape == (64, 48, 3)


def test_two_runs_at_once_do_not_fail_each_other(tmp_path: Path, run: Callable) -> None:
    for number in range(12):
        photo(tmp_path / "in" / f"{number}.png")
    run(photo(tmp_path / "warm.png"))
    words = [sys.executable, "-m", "colorize_cli.main", tmp_path / "in", "--json"]
    runs = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [json.loads(line) for each in runs for line in each.communicate()[0].splitlines()]
    assert [each.returncode for each in runs] == [0, 0]
    counts = Counter(item["status"] for item in said)
    assert counts["done"] >= 12
    assert counts["done"] + counts["skipped"] == 24
    assert len(list(tmp_path.glob("in/*-colorized.png"))) == 12
    assert not list(tmp_path.glob("in/.*"))


def test_all_there_needs_no_service(tmp_path: Path, run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    path = photo(tmp_path / "a.png")
    run(path)
    monkeypatch.setenv("GIMP_COLORIZE_STATE", str(tmp_path / "none"))
    monkeypatch.setenv("GIMP_COLORIZE_DAEMON", "/no/such/program")
    assert run(path).status == 0


def test_linked_folders_are_named(tmp_path: Path, run: Callable) -> None:
    photo(tmp_path / "in/a.png")
    photo(tmp_path / "other/b.png")
    links = {
        "away": tmp_path / "other",
        "circle": tmp_path / "in",
        ".hidden": tmp_path / "other",
        "nowhere": tmp_path / "x",
    }
    for name, target in links.items():
        (tmp_path / "in" / name).symlink_to(target)
    done = run(tmp_path / "in", "--json")
    assert done.status == 0
    assert done.err.splitlines() == [f"gimp-colorize: {tmp_path}/in/away: {done.objects[0]['reason']}"]
    assert [item["status"] for item in done.objects] == ["skipped", "done"]
    assert done.objects[0]["input"] == f"{tmp_path}/in/away"
    assert not list(tmp_path.glob("other/*-colorized*"))
    both = run(tmp_path / "in", tmp_path / "in" / "away")
    assert (both.status, both.out.count("->")) == (0, 1)
    assert "link" not in both.err


def test_a_folder_of_links_alone_has_no_picture(tmp_path: Path, run: Callable) -> None:
    (tmp_path / "in").mkdir()
    os.symlink("/", tmp_path / "in" / "root")
    done = run(tmp_path / "in")
    assert done.status == 1
    assert "no picture in this folder" in done.err
    assert "in/root: this link to a folder was not followed" in done.err
