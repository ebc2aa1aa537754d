"""Strokes measured: fillers whose marks are known beforehand, what is found to paint on, and the command."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from colorize_engine import networks, weights
from colorize_engine.colour.conversions import lab_to_srgb
from colorize_training.evaluation.methods import Bare, Levin, Method, served, takes_hints, with_chroma
from colorize_training.evaluation.metrics import to_lab
from colorize_training.evaluation.strokes import table
from colorize_training.evaluation.strokes.cases import Case, Thing, find_cases, find_thing
from colorize_training.evaluation.strokes.measures import change_of, choose_colour, choose_strokes, measure_strokes
from colorize_training.evaluation.strokes.oracle import TrueThing
from colorize_training.evaluation.strokes.painting import Stroke, level_stroke, paint
from colorize_training.evaluation.strokes.sheets import draw_case
from colorize_training.evaluation.strokes.user import next_stroke, strokes_needed, within_gamut
from colorize_training.main import main
from colorize_training.tables import Table, read_rows
from PIL import Image

SHIPPED = next(record.path for record in weights.available() if record.default)
UPPER, LOWER, OTHER = np.s_[40:90, 60:120], np.s_[90:140, 60:120], np.s_[20:120, 200:280]


def gray_picture(height: int, width: int, lightness: float) -> np.ndarray:
    """8-bit sRGB (height, width, 3) of one L."""
    lab = torch.zeros(3, height, width)
    lab[0] = lightness
    return (lab_to_srgb(lab).permute(1, 2, 0) * 255).round().byte().numpy()


def mask_of(*parts: tuple[slice, slice]) -> np.ndarray:
    mask = np.zeros((160, 320), bool)
    for part in parts:
        mask[part] = True
    return mask


def case_with(lightness: float) -> Case:
    """Two rectangles of this L on a darker ground."""
    first, second = mask_of(UPPER, LOWER), mask_of(OTHER)
    rgb = gray_picture(160, 320, 40)
    rgb[first | second] = gray_picture(1, 1, lightness)[0]
    things = [Thing(mask, level_stroke(mask)) for mask in (first, second)]
    return Case("folder/case.png", rgb, *things)


class Filler(Method):
    """Gray without strokes; each area takes the colour of the uppermost stroke that touches its trigger."""

    def __init__(self, *areas: tuple[np.ndarray, np.ndarray]) -> None:
        super().__init__("filler")
        self.areas = areas

    def colorize(self, rgb: np.ndarray, hints) -> np.ndarray:
        ab = np.zeros((*rgb.shape[:2], 2))
        layer = hints.pixels
        for trigger, area in self.areas:
            painted = trigger & (layer[..., 3] > 0)
            if painted.any():
                ab[area] = to_lab(layer[..., :3])[painted][0, 1:]
        return with_chroma(rgb, ab)


def measured(method: Method, case: Case) -> dict[str, float]:
    return measure_strokes(method, case, choose_strokes(case, [method]))


def test_a_perfect_filler_has_perfect_marks() -> None:
    case = case_with(60)
    for method in (TrueThing(case, Filler()), Filler(*((t.mask, t.mask) for t in (case.first, case.second)))):
        row = measured(method, case)
        assert (row["fill"], row["tenth"]) == (pytest.approx(1, abs=0.02), pytest.approx(1, abs=0.02))
        assert (row["near"], row["far"], row["moved"]) == (0, 0, 0)
        assert (row["strokes"], row["done"]) == (1, 1)
        assert row["obedience"] < 1


def test_what_srgb_lacks_is_missing_in_the_fill_and_not_in_the_strokes() -> None:
    case = case_with(12)
    row = measured(TrueThing(case, Filler()), case)
    assert 0.2 < row["fill"] < 0.9
    assert (row["strokes"], row["done"], row["far"]) == (1, 1, 0)
    assert row["obedience"] > 5


def test_a_tint_of_all_is_far_and_no_stroke_mends_it() -> None:
    case, everywhere = case_with(60), np.ones((160, 320), bool)
    row = measured(Filler((everywhere, everywhere)), case)
    assert row["fill"] == pytest.approx(1, abs=0.02)
    assert row["far"] > 0.5
    assert row["near"] > 0.5
    assert row["moved"] > 30
    assert (row["strokes"], row["done"]) == (10, 0)


def test_half_a_thing_needs_a_stroke_in_the_other_half() -> None:
    case = case_with(60)
    upper, lower = mask_of(UPPER), mask_of(LOWER)
    row = measured(Filler((upper, upper), (lower, lower)), case)
    assert row["fill"] == pytest.approx(0.5, abs=0.02)
    assert row["tenth"] == pytest.approx(0, abs=0.01)
    assert (row["strokes"], row["done"]) == (2, 1)


def test_what_was_changed_beside_the_thing_gets_a_stroke_of_its_old_colour() -> None:
    case = case_with(60)
    thing, other = case.first.mask, case.second.mask
    method, stroke = Filler((thing, thing), (thing | other, other)), Stroke(case.first.place, np.array([200, 60, 60]))
    plain, after = (method.colorize(case.rgb, case.painted(*s)) for s in ((), (stroke,)))
    added = next_stroke(case, stroke, plain, after)
    assert other[added.place].all()
    assert np.ptp(added.colour) <= 1  # gray, as it was
    assert strokes_needed(method, case, stroke, plain, after) == (2, True)


def test_a_little_change_of_the_rest_is_allowed() -> None:
    case = case_with(60)
    corner = mask_of(np.s_[:20, :40])
    method, stroke = (
        Filler((case.first.mask, case.first.mask | corner)),
        Stroke(case.first.place, np.array([200, 60, 60])),
    )
    plain, after = (method.colorize(case.rgb, case.painted(*s)) for s in ((), (stroke,)))
    assert strokes_needed(method, case, stroke, plain, after) == (1, True)


def test_near_and_far_are_shares_of_what_was_asked() -> None:
    case = case_with(60)
    plain = np.zeros((160, 320, 2))
    stroke = Stroke(case.first.place, np.array([200, 60, 60], np.uint8))
    asked = to_lab(stroke.colour[None, None])[0, 0, 1:]
    after = plain.copy()
    after[case.near] = asked / 2
    row = change_of(case, plain, after, stroke)
    assert (row["fill"], row["near"], row["far"]) == (0, pytest.approx(0.5), 0)
    after[case.far] = -asked / 4
    assert change_of(case, plain, after, stroke)["far"] == pytest.approx(0.25)
    assert not (case.near & case.far).any()
    assert not (case.rest & case.first.mask).any()


def test_levin_fills_a_thing_and_leaks() -> None:
    row = measured(Levin("Levin"), case_with(60))
    assert row["fill"] > 0.9
    assert row["far"] > 0.1
    assert row["strokes"] > 1


def test_colours_are_the_same_for_all_methods_and_expected_by_none() -> None:
    case = case_with(60)
    strokes = choose_strokes(case, [Filler(), Levin("Levin")])
    again = choose_strokes(case, [Levin("Levin"), Filler()])
    assert [s.colour.tolist() for s in strokes] == [s.colour.tolist() for s in again]
    assert strokes[0].colour.tolist() != strokes[1].colour.tolist()
    for seed in range(8):
        found = to_lab(choose_colour(np.random.default_rng(seed), [np.array([40.0, 20.0])])[None, None])[0, 0, 1:]
        assert np.linalg.norm(found - (40, 20)) > 35


def test_a_stroke_stays_in_its_thing_however_thin_that_is() -> None:
    heights = {}
    for thickness in (1, 2, 3, 5, 8, 9, 15, 30):
        mask = np.zeros((40, 200), bool)
        mask[4 : 4 + thickness, 10:190] = True
        place = level_stroke(mask)
        assert mask[place].all(), thickness
        heights[thickness], width = mask[place].shape
        assert 15 <= width <= 51
    assert heights[1] == heights[3] == 1
    assert heights[15] == heights[30] == 5


def test_strokes_become_one_rectangle_of_a_hint_layer() -> None:
    red, blue = np.array([200, 0, 0]), np.array([0, 0, 200])
    painting = paint(20, 30, [Stroke(np.s_[2:5, 3:9], red), Stroke(np.s_[4:6, 8:12], blue)])
    tiles = painting.tiles()
    assert tiles.tiles == [(3, 2, 9, 4)]
    pixels = np.frombuffer(tiles.data[0], np.uint8).reshape(4, 9, 4)
    assert pixels[2, 5].tolist() == [0, 0, 200, 255]  # the later one
    assert pixels[0, 8].tolist() == [0, 0, 0, 0]
    assert paint(20, 30, []).tiles().tiles == []


def test_the_gamut_decides_what_a_colour_can_be() -> None:
    lightness = np.array([[60.0, 5.0]], np.float32)
    colour = np.array([200, 60, 60], np.uint8)
    ab = within_gamut(lightness, colour)[0]
    asked = to_lab(colour[None, None])[0, 0, 1:]
    assert np.linalg.norm(ab[1]) < 0.6 * np.linalg.norm(asked)
    assert np.arctan2(*ab[1]) == pytest.approx(np.arctan2(*asked), abs=0.01)


def test_a_thing_is_a_connected_piece_of_a_label_or_of_one_colour() -> None:
    labels = np.zeros((200, 300), int)
    labels[20:90, 20:120] = labels[120:190, 20:120] = 3
    taken, ab = np.zeros((200, 300), bool), np.zeros((200, 300, 2))
    thing = find_thing(ab, np.random.default_rng(1), taken, labels)
    assert thing.mask.sum() == 7000
    second = find_thing(ab, np.random.default_rng(1), thing.mask, labels)
    assert second.mask.sum() == 7000
    assert not (second.mask & thing.mask).any()
    assert find_thing(ab, np.random.default_rng(1), labels > 0, labels) is None
    ab[20:90, 20:120] = (30, 30)
    found = find_thing(ab, np.random.default_rng(1), taken)
    assert found.mask.sum() == 7000  # the rest is too large


@pytest.fixture
def drawn(tmp_path: Path, photograph) -> Path:
    """A folder with a photograph beside which a label map lies: its left upper quarter."""
    folder = tmp_path / "drawn"
    folder.mkdir()
    rgb = np.ascontiguousarray(photograph("coffee").rgb[:, 100:500])
    labels = np.zeros(rgb.shape[:2], np.uint8)
    labels[:200, :200] = 7
    Image.fromarray(rgb).save(folder / "coffee.webp", quality=95)
    Image.fromarray(labels).save(folder / "coffee.png")
    return folder


def test_drawn_regions_are_taken_where_there_are_some(drawn: Path, tmp_path: Path) -> None:
    shard = tmp_path / "drawn.tar"
    with tarfile.open(shard, "w") as tar:
        for path in sorted(drawn.iterdir()):
            tar.add(path, path.name)
    for source in (drawn, shard):
        (case,) = find_cases([source], 5, tmp_path)
        assert case.rgb.shape == (320, 320, 3)
        assert case.first.mask[2:150, 2:150].all()
        assert case.first.mask.mean() == pytest.approx(200 * 200 / (400 * 400), rel=0.02)
        assert case.second is None
        assert np.isnan(measure_strokes(Filler(), case, choose_strokes(case, [Filler()]))["moved"])


def test_of_many_pictures_some_are_taken_and_always_the_same(picture_folder: Path, tmp_path: Path) -> None:
    names = [case.name for case in find_cases([picture_folder], 3, tmp_path)]
    cases = find_cases([picture_folder], 3, tmp_path)
    assert names == [case.name for case in cases]
    assert 1 <= len(names) <= 3
    assert sorted(names) == names


def test_pictures_without_things_are_named(tmp_path: Path, drawn: Path, capsys: pytest.CaptureFixture) -> None:
    empty, noise = tmp_path / "empty", tmp_path / "noise"
    for folder in (empty, noise):
        folder.mkdir()
    with pytest.raises(ValueError, match="no picture for strokes in .*empty"):
        find_cases([empty], 5, tmp_path)
    rng = np.random.default_rng(0)
    Image.fromarray((rng.random((40, 40, 3)) * (255, 0, 0)).astype(np.uint8).repeat(4, 0)).save(noise / "n.png")
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(drawn / "coffee.png")
    with pytest.raises(ValueError, match="coffee.webp: a label map of 9x9 pixels, but its photograph has 400x400"):
        find_cases([drawn], 5, tmp_path)
    Image.fromarray(np.zeros((400, 400), np.uint8)).save(drawn / "coffee.png")
    with pytest.raises(ValueError, match="no thing for a stroke: a connected region of 2% to 30%"):
        find_cases([drawn], 5, tmp_path)
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        find_cases([tmp_path / "nowhere"], 5, tmp_path)
    (drawn / "torn.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(ValueError, match=r"torn\.jpg"):
        find_cases([drawn], 5, tmp_path)


def test_the_bare_network_answers_without_the_engine(photograph) -> None:
    (method,) = served(SHIPPED, 128, (1.0,))
    bare = Bare(method.engine, "bare")
    rgb = np.ascontiguousarray(photograph("coffee").rgb[100:228, 200:328])
    none, stroke = paint(128, 128, []), paint(128, 128, [Stroke(np.s_[60:65, 40:80], np.array([40, 90, 200]))])
    plain = bare.colorize(rgb, none)
    assert np.array_equal(plain, method.colorize(rgb, none))
    assert np.abs(bare.colorize(rgb, stroke).astype(int) - plain).max() > 20
    assert takes_hints(method.colorizer.network)
    assert [m.name for m in table.compared([method])] == ["Levin 2004", "chroma bare network", "chroma T=1"]
    assert not takes_hints(networks.build("densenet", {}))


def test_means_come_with_their_errors() -> None:
    assert table.mean_and_error([1.0, 3.0, float("nan")]) == (2, pytest.approx(2**0.5 / 2**0.5))
    assert table.mean_and_error([4.0])[0] == 4
    assert np.isnan(table.mean_and_error([])).all()
    measures = dict.fromkeys(table.TITLES, "0.5") | {"moved": "nan"}
    rows = table.summarize_strokes([{"picture": "a", "method": "one"} | measures] * 2)
    meta = {"command": "gimp-colorize-train evaluate", "date": "today", "machine": "this", "versions": "1"}
    text = table.markdown(rows, meta)
    assert "| one | 2 | 0.50 ± 0.00 | 0.50 ± 0.00 | 0.500 ± 0.000 | 0.500 ± 0.000 |  | 0.5 ± 0.0 |" in text
    assert "today, this" in text


def test_stopped_measuring_goes_on(tmp_path: Path) -> None:
    case = case_with(60)
    methods = [Filler((case.first.mask, case.first.mask))]
    path = tmp_path / "strokes-pictures.csv"
    whole = table.measure_cases([case], methods, Filler(), Table(path))
    assert [row["method"] for row in whole] == ["true thing (an oracle)", "filler"]
    path.write_text("\n".join(path.read_text().splitlines()[:2]) + "\n")  # one method is missing
    assert table.measure_cases([case], methods, Filler(), Table(path)) == whole
    assert table.measure_cases([case], methods, Filler(), Table(path)) == read_rows(path)


def test_a_sheet_shows_before_stroke_after_and_a_second_stroke(output_folder: Path) -> None:
    case = case_with(60)
    method = TrueThing(case, Filler())
    sheet = draw_case(case, method, [method])
    assert sheet.shape == (160, 5 * 320 + 4 * 4, 3)
    Image.fromarray(sheet).save(output_folder / "stroke-sheet.png")
    before, _, after = (to_lab(sheet[:, 324 * n : 324 * n + 320])[..., 1:] for n in range(3))
    assert np.abs(before).max() < 1
    assert np.linalg.norm(after[case.first.mask], axis=-1).min() > 20


def test_the_command_measures_strokes(drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / "out"
    call = ["evaluate", str(SHIPPED), "--data", str(drawn), "--out", str(out), "--temperature", "0.4"]
    assert main([*call, "--pictures", "0", "--strokes", "1"]) == 0
    rows = {row["method"]: row for row in read_rows(out / "strokes.csv")}
    names = ["true thing (an oracle)", "Levin 2004", "chroma 256px bare network", "chroma 256px T=0.4"]
    assert list(rows) == names
    assert float(rows[names[0]]["fill"]) >= float(rows[names[3]]["fill"]) > 0
    assert float(rows[names[0]]["far"]) == 0
    assert float(rows[names[3]]["obedience"]) < 8
    assert json.loads((out / "strokes-meta.json").read_text())["machine"]
    assert "| Levin 2004 | 1 |" in (out / "strokes.md").read_text()
    page = (out / "report.html").read_text()
    assert "<h2>Strokes</h2>" in page
    assert page.count("data:image/jpeg") == 1
    sheet = Image.open(io.BytesIO((out / "strokes" / "coffee.webp").read_bytes()))
    assert sheet.size == (3 * 320 + 8, 320)
    assert main([*call, "--pictures", "0", "--strokes", "1", "--sheets", "0"]) == 0  # nothing is measured again
    assert main([*call, "--pictures", "0", "--strokes", "1", "--side", "128"]) == 1
    assert "choose another --out" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*call, "--strokes", "-1"])
    assert "argument --strokes: '-1' is no number of pictures: 0 to 1000000000" in capsys.readouterr().err
