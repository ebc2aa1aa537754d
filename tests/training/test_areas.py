"""Colours within what people drew: pictures whose measures are known beforehand, and the command."""

from pathlib import Path

import numpy as np
import pytest
from colorize_engine import weights
from colorize_training.data.manifests import DIGITS
from colorize_training.data.photographs import fingerprint
from colorize_training.evaluation.areas import find_drawn, measure_areas, read_names
from colorize_training.evaluation.methods import Method, baselines, with_chroma
from colorize_training.main import main
from colorize_training.tables import read_rows
from PIL import Image

SHIPPED = next(record.path for record in weights.available() if record.default)
COAT, FACE, MOTLEY = np.s_[20:300, 20:120], np.s_[20:300, 130:220], np.s_[20:300, 230:318]


def true_chroma() -> np.ndarray:
    """ab (320, 320, 2): an even coat, an even face, something motley, and gray around them."""
    ab = np.zeros((320, 320, 2))
    ab[COAT], ab[FACE] = (10, -30), (15, 20)
    ab[MOTLEY] = (20, 20)
    ab[160:300, 230:318] = (-20, 20)
    return ab


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    """A folder with that picture, what is drawn in it, and a table of names."""
    folder = tmp_path / "drawn"
    folder.mkdir()
    rgb = with_chroma(np.full((320, 320, 3), 130, np.uint8), true_chroma())
    labels = np.zeros((320, 320), np.uint8)
    for number, place in ((1, COAT), (2, FACE), (3, MOTLEY)):
        labels[place] = number
    Image.fromarray(rgb).save(folder / "person.webp", lossless=True)
    Image.fromarray(labels).save(folder / "person.png")
    (tmp_path / "names.tsv").write_text("name\tlabels\nperson.png\t1=clothes;2=skin;3=clothes\n")
    return folder


class Given(Method):
    """Chroma that is known beforehand."""

    def __init__(self, ab: np.ndarray) -> None:
        super().__init__("given")
        self.ab = ab

    def colorize(self, rgb: np.ndarray, hints) -> np.ndarray:
        return with_chroma(rgb, self.ab)


def measured(drawn: Path, ab: np.ndarray) -> tuple[dict, dict]:
    """The measures of the truth and of this chroma."""
    pictures = find_drawn([drawn], 1, drawn, read_names(drawn.parent / "names.tsv"))
    truth, given = measure_areas(pictures, [Given(ab)])
    return truth, given


def test_what_is_even_stays_so_and_what_is_motley_is_not_asked(drawn: Path) -> None:
    truth, given = measured(drawn, true_chroma())
    assert (truth["method"], given["method"]) == ("truth", "given")
    assert truth["blotch_count"] == 2
    assert truth["blotch"] == pytest.approx(0, abs=0.5)
    assert given["error"] == pytest.approx(0, abs=0.6)
    assert given["neutral"] < 0.6


def test_a_patch_within_an_even_thing_is_a_blotch(drawn: Path) -> None:
    ab = true_chroma()
    ab[160:300, 20:120] += (12, 0)  # half of the coat
    _, given = measured(drawn, ab)
    assert given["blotch"] == pytest.approx((6 + 0) / 2, abs=0.3)


def test_soft_borders_of_things_are_no_blotches(drawn: Path) -> None:
    """Smoothing must not carry in what lies beyond the region."""
    ab = true_chroma()
    ab[:, 120:130] = (60, 60)
    _, given = measured(drawn, ab)
    assert given["blotch"] == pytest.approx(0, abs=0.5)


def test_errors_are_of_what_the_labels_are_called(drawn: Path) -> None:
    ab = true_chroma()
    ab[FACE] += (3, 4)
    _, given = measured(drawn, ab)
    assert given["error skin"] == pytest.approx(5, abs=0.3)
    assert given["error clothes"] == pytest.approx(0, abs=0.6)
    assert given["error"] == pytest.approx(5 * (280 * 90 / 320**2) ** 0.5, abs=0.4)


def test_what_is_neutral_and_gets_colour_is_seen(drawn: Path) -> None:
    _, given = measured(drawn, true_chroma() + np.array([0, 8]))
    assert given["neutral"] == pytest.approx(8, abs=0.8)


def test_gray_has_no_blotches_and_the_error_of_the_chroma(drawn: Path) -> None:
    pictures = find_drawn([drawn], 1, drawn, {})
    _, gray, _ = measure_areas(pictures, baselines(levin=False))
    assert (gray["blotch"], gray["neutral"]) == (pytest.approx(0, abs=0.1), pytest.approx(0, abs=0.1))
    assert gray["error"] == pytest.approx(np.sqrt(np.square(true_chroma()).sum(-1).mean()), rel=0.03)
    assert not any(name.startswith("error ") for name in gray)


def test_what_cannot_be_read_is_said(drawn: Path, picture_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no label map beside it"):
        find_drawn([picture_folder], 2, tmp_path, {})
    table = tmp_path / "wrong.tsv"
    for text in (
        "picture\tlabels\na\t1=b\n",
        "name\tlabels\na.png\tskin\n",
        "name\tlabels\na.png\tx=skin\n",
        "name\nb\n",
    ):
        table.write_text(text)
        with pytest.raises(ValueError, match="is no table of labels"):
            read_names(table)
    table.write_text("")
    assert read_names(table) == {}


def test_the_command_measures_areas_and_only_what_is_listed(drawn: Path, tmp_path: Path) -> None:
    rgb = np.asarray(Image.open(drawn / "person.webp"))
    Image.fromarray(np.ascontiguousarray(rgb[:, ::-1])).save(drawn / "other.webp", lossless=True)
    small = np.asarray(Image.fromarray(rgb).resize((224, 224), Image.Resampling.LANCZOS))
    (tmp_path / "list.txt").write_text(fingerprint(small)[:DIGITS] + "\n")
    out = tmp_path / "out"
    call = ["evaluate", str(SHIPPED), "--data", str(drawn), "--out", str(out), "--sheets", "0", "--hints", "0"]
    names = ["--label-names", str(tmp_path / "names.tsv"), "--only", str(tmp_path / "list.txt")]
    assert main([*call, *names, "--areas", "2"]) == 0
    rows = {row["method"]: row for row in read_rows(out / "areas.csv")}
    assert list(rows)[0] == "truth"
    assert list(rows)[-1] == "chroma 256px T=0.37"
    assert rows["truth"]["pictures"] == "1"  # the other has no label map
    assert float(rows["chroma 256px T=0.37"]["error skin"]) > 0
    assert [row["pictures"] for row in read_rows(out / "table.csv")] == ["1"] * 4
    assert "<h2>Areas</h2>" in (out / "report.html").read_text()
