"""Which files are read, and where their results go."""

from pathlib import Path

import pytest
from colorize_cli.plan import UsageError, plan


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def targets(folder: Path, *arguments: object) -> dict[str, str]:
    jobs, problems = plan(*arguments)
    assert problems == []
    return {str(job.source.relative_to(folder)): str(job.target.relative_to(folder)) for job in jobs}


def test_beside_the_photograph(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.JPG", "c.webp")
    inputs = [tmp_path / name for name in ("a.png", "b.JPG", "c.webp")]
    assert targets(tmp_path, inputs, None, None) == {
        "a.png": "a-colorized.png",
        "b.JPG": "b-colorized.JPG",
        "c.webp": "c-colorized.png",
    }


def test_a_folder_keeps_its_tree(tmp_path: Path) -> None:
    touch(tmp_path, "album/1931/Zoë am See.tif", "album/1932/a.jpeg", "album/notes.txt", "album/.hidden.png")
    assert targets(tmp_path, [tmp_path / "album"], tmp_path / "out", None) == {
        "album/1931/Zoë am See.tif": "out/1931/Zoë am See.tif",
        "album/1932/a.jpeg": "out/1932/a.jpeg",
    }


def test_a_folder_of_results_is_not_taken_for_photographs(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "a-colorized.png", "out/a.png")
    assert targets(tmp_path, [tmp_path], tmp_path / "out", None) == {"a.png": "out/a.png"}
    assert targets(tmp_path, [tmp_path / "a.png"], None, None) == {"a.png": "a-colorized.png"}


def test_names_that_would_meet_are_told_apart(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "a.jpg", "b.jpg")
    assert targets(tmp_path, [tmp_path], tmp_path / "out", "tiff") == {
        "a.jpg": "out/a.jpg.tif",
        "a.png": "out/a.png.tif",
        "b.jpg": "out/b.tif",
    }


def test_a_photograph_named_twice_is_coloured_once(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    assert len(plan([tmp_path / "a.png", tmp_path, tmp_path / "." / "a.png"], None, None)[0]) == 1


def test_the_original_is_never_the_target(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.png")
    jobs, problems = plan([tmp_path], tmp_path, None)
    assert jobs == []
    assert all("would replace the original" in str(problem) for problem in problems)


def test_a_link_to_the_original_is_not_a_target(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "a.png")
    jobs, problems = plan([tmp_path / "a.png"], tmp_path / "link.png", None)
    assert (jobs, len(problems)) == ([], 1)


def test_one_result_by_name(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    jobs, _ = plan([tmp_path / "a.png"], tmp_path / "new" / "b.tif", None)
    assert (jobs[0].target, jobs[0].format) == (tmp_path / "new" / "b.tif", "tiff")


@pytest.mark.parametrize(
    ("names", "output", "chosen"),
    [
        (["a.png"], "b.png", "jpeg"),
        (["a.png"], "b.webp", None),
        (["a.png", "c.png"], "b.png", None),
        (["a.png", "c.png"], "a.png", None),
        (["a.png"], "plain", None),
        (["a.png"], "b.gif", None),
        (["a.png", "c.png"], "b.gif", None),
        (["a.png"], "nowhere", None),
    ],
)
def test_what_contradicts_itself_is_refused(tmp_path: Path, names: list[str], output: str, chosen: str | None) -> None:
    touch(tmp_path, "a.png", "c.png", "plain")
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    with pytest.raises(UsageError, match=output):
        plan([tmp_path / name for name in names], tmp_path / output, chosen)


def test_an_empty_folder_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    jobs, problems = plan([tmp_path / "empty"], None, None)
    assert jobs == []
    assert "no picture in this folder" in str(problems[0])
