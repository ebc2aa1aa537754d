"""Evaluation: its measures against independent references, and the command from weights to the page."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from colorize_engine import weights
from colorize_engine.networks.spaces import CIELAB
from colorize_training.evaluation import metrics
from colorize_training.evaluation.behaviour import behave, obedience
from colorize_training.evaluation.features import Lpips, Recognizer
from colorize_training.evaluation.levin import spread_hints
from colorize_training.evaluation.methods import Served, baselines, cost, served
from colorize_training.evaluation.protocols import PROTOCOLS
from colorize_training.main import main
from colorize_training.pictures import gray_of
from safetensors.torch import save_file
from skimage.color import deltaE_ciede2000, lab2rgb, rgb2lab
from skimage.filters import gaussian
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torchvision import models

SHIPPED = next(record.path for record in weights.available() if record.default)
GRAY = "grey"  # codespell:ignore grey


@pytest.fixture(scope="module")
def pair(photograph) -> tuple[np.ndarray, np.ndarray]:
    """A photograph of 128x128 pixels, and itself with other colours."""
    truth = photograph("coffee").rgb[100:228, 200:328]
    return np.ascontiguousarray(truth[..., [0, 2, 1]]), np.ascontiguousarray(truth)


def test_measures_agree_with_independent_ones(pair) -> None:
    image, truth = pair
    measured = metrics.measure(image, truth, CIELAB)
    assert measured["psnr"] == pytest.approx(peak_signal_noise_ratio(truth, image), abs=1e-6)
    wanted = structural_similarity(
        truth, image, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
    )
    assert measured["ssim"] == pytest.approx(wanted, abs=1e-6)
    difference = deltaE_ciede2000(rgb2lab(truth), rgb2lab(image))
    assert measured["ciede2000"] == pytest.approx(difference.mean(), abs=0.02)


def test_colour_that_bleeds_shows_at_boundaries(pair) -> None:
    _, truth = pair
    lab = rgb2lab(truth)
    lab[..., 1:] = gaussian(lab[..., 1:], 3, channel_axis=2)
    measured = metrics.measure((lab2rgb(lab) * 255).round().astype(np.uint8), truth, CIELAB)
    assert measured["boundary_psnr"] < measured["psnr"] - 2


def test_a_perfect_picture_has_no_error(pair) -> None:
    _, truth = pair
    measured = metrics.measure(truth, truth, CIELAB)
    assert (measured["ssim"], measured["auc"]) == (pytest.approx(1), 1)
    for name in ("ciede2000", "huber", "l2", "far_pixels", "colourfulness_difference"):
        assert measured[name] == pytest.approx(0, abs=1e-6)


def test_auc_is_the_area_of_the_cumulative_share() -> None:
    assert metrics.auc(np.full(10, 1000.0)) == 0
    assert metrics.auc(np.full(10, 75.0)) == pytest.approx(0.5, abs=0.01)


def test_the_frechet_distance_of_two_gaussians() -> None:
    rng = np.random.default_rng(0)
    some, others = rng.normal(0, 1, (20_000, 3)), rng.normal(2, 3, (20_000, 3))
    assert metrics.frechet(some, some) == pytest.approx(0, abs=1e-6)
    assert metrics.frechet(some, others) == pytest.approx(3 * (2**2 + (3 - 1) ** 2), rel=0.05)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_hints_are_true_and_those_of_a_smaller_count_come_first(name: str, photograph) -> None:
    protocol = PROTOCOLS[name]
    rgb = protocol.picture(photograph("astronaut").rgb)
    few, many = protocol.hints(rgb, 5, 3), protocol.hints(rgb, 20, 3)
    assert np.array_equal(few.places, many.places[:5])
    assert not np.array_equal(few.places, protocol.hints(rgb, 5, 4).places)
    for (y, x), colour in zip(few.places, few.colours, strict=True):
        under = rgb[y : y + protocol.side, x : x + protocol.side].reshape(-1, 3)
        assert len(under) == protocol.side**2
        assert np.abs(under.mean(0) - colour).max() <= 0.5
    assert protocol.hints(rgb, 0, 3).tiles().tiles == []


def test_levin_fills_a_region_and_stops_at_its_edge() -> None:
    lightness = np.full((24, 24), 30.0)
    lightness[:, 12:] = 80.0
    ab, known = np.zeros((24, 24, 2)), np.zeros((24, 24), bool)
    ab[10, 3], known[10, 3] = (40, 20), True
    ab[10, 20], known[10, 20] = (-30, 10), True
    spread = spread_hints(lightness, ab, known)
    assert np.allclose(spread[10, 3], (40, 20))
    assert np.abs(spread[:, :11] - (40, 20)).max() < 3
    assert np.abs(spread[:, 13:] - (-30, 10)).max() < 3
    assert not spread_hints(lightness, ab, np.zeros_like(known)).any()


@pytest.fixture(scope="module")
def lpips_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LPIPS with random weights: its distances mean nothing, its shape is right."""
    torch.manual_seed(0)
    state = {f"features.{k}": v for k, v in models.alexnet(weights=None).features.state_dict().items()}
    widths = enumerate((64, 192, 384, 256, 256))
    state |= {f"lin{i}.model.1.weight": torch.rand(1, width, 1, 1) for i, width in widths}
    path = tmp_path_factory.mktemp("lpips") / "lpips.safetensors"
    save_file(state, path)
    return path


def test_lpips_is_zero_for_equal_pictures_and_symmetric(lpips_file: Path, pair, tmp_path: Path) -> None:
    lpips, (image, truth) = Lpips(lpips_file), pair
    assert lpips(truth, truth) == 0
    assert lpips(image, truth) > 0
    assert lpips(image, truth) == pytest.approx(lpips(truth, image))
    save_file({"nothing": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="does not hold LPIPS"):
        Lpips(tmp_path / "other.safetensors")


def test_a_recognizer_says_what_it_lacks(tmp_path: Path, pair) -> None:
    with pytest.raises(ValueError, match="'inception' is not known"):
        Recognizer("inception")
    path = tmp_path / "own.safetensors"
    save_file(models.mobilenet_v2(weights=None).state_dict(), path)
    recognizer = Recognizer(f"mobilenet_v2:{path}")
    assert recognizer.features(pair[0]).shape == (1280,)
    assert 0 <= recognizer.classes(pair[0]) < 1000


def test_the_side_of_the_networks_picture_can_be_chosen(photograph) -> None:
    rgb = PROTOCOLS["icolorit"].picture(photograph("astronaut").rgb)
    none = PROTOCOLS["icolorit"].hints(rgb, 0, 0)
    alike, small, own = (served(SHIPPED, len(rgb), (1.0,), side)[0] for side in (None, 128, 0))
    assert [m.name for m in (alike, small, own)] == ["chroma T=1", "chroma 128px T=1", "chroma 256px T=1"]
    for method, side in ((alike, len(rgb)), (small, 128), (own, 256)):
        assert method.engine.embedding(gray_of(rgb)).size.width == side
        assert method.colorize(rgb, none).shape == rgb.shape
    assert cost(small, 40)["decode ms"] > 0


def test_strokes_are_measured(photograph) -> None:
    method = served(SHIPPED, 128, (1.0,))[0]
    rgb = np.ascontiguousarray(photograph("coffee").rgb[100:228, 200:328])
    result = behave(method, rgb, 1)
    assert result["inside"] > result["outside"] > 0
    assert result["grey_chroma"] < 4  # codespell:ignore grey


def test_obedience_is_the_error_at_the_hints(photograph) -> None:
    rgb = PROTOCOLS["icolorit"].picture(photograph("coffee").rgb)
    hints = PROTOCOLS["icolorit"].hints(rgb, 9, 0)
    assert max(obedience(rgb, hints)) < 2
    assert max(obedience(np.full_like(rgb, 128), hints)) > 30


def command(out: Path, pictures: Path, lpips_file: Path, *more: str) -> list[str]:
    start = ["evaluate", str(SHIPPED), "--data", str(pictures), "--out", str(out), "--lpips", str(lpips_file)]
    return [*start, *["--levin", "--hints", "0", "10", "--pictures", "2", "--behaviour", "1", "--sheets", "1"], *more]


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory, picture_folder: Path, lpips_file: Path) -> Path:
    out = tmp_path_factory.mktemp("evaluation")
    assert main(command(out, picture_folder, lpips_file)) == 0
    return out


def read(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_the_command_measures_all_side_by_side(evaluated: Path) -> None:
    table = {(row["method"], row["hints"]): row for row in read(evaluated / "table.csv")}
    assert {method for method, _ in table} == {GRAY, "mean chroma", "Levin 2004", "chroma T=1", "chroma T=0.37"}
    assert float(table["chroma T=1", "10"]["psnr"]) > float(table["chroma T=1", "0"]["psnr"])
    assert float(table["chroma T=1", "0"]["psnr"]) > float(table[GRAY, "0"]["psnr"])
    assert float(table["Levin 2004", "10"]["psnr"]) > float(table[GRAY, "0"]["psnr"])
    assert table["Levin 2004", "0"]["psnr"] == table[GRAY, "0"]["psnr"]
    assert float(table["chroma T=0.37", "10"]["obedience"]) < 8
    assert int(table["chroma T=1", "0"]["parameters"]) > 1_000_000
    meta = json.loads((evaluated / "meta.json").read_text())
    assert meta["machine"]
    assert meta["date"]


def test_the_page_needs_nothing_else(evaluated: Path) -> None:
    page = (evaluated / "report.html").read_text()
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    assert page.count("data:image/jpeg") == 6  # input, automatic, three hint counts, truth
    assert "Levin 2004" in page


def test_a_stopped_evaluation_goes_on_and_comes_to_the_same(
    evaluated: Path, picture_folder: Path, lpips_file: Path, capsys: pytest.CaptureFixture
) -> None:
    whole = read(evaluated / "pictures.csv")
    with open(evaluated / "pictures.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, whole[0])
        writer.writeheader()
        writer.writerows(whole[:-2])  # the second picture is not whole
    untouched = ["--behaviour", "0", "--sheets", "0"]  # by what is in the table of pictures
    assert main(command(evaluated, picture_folder, lpips_file, *untouched)) == 0
    again = read(evaluated / "pictures.csv")
    assert [[row["picture"], row["method"], row["hints"]] for row in again] == [
        [row["picture"], row["method"], row["hints"]] for row in whole
    ]
    for name in ("psnr", "ciede2000", "lpips"):  # one step of 8 bits may fall otherwise in another call
        assert [float(row[name]) for row in again] == pytest.approx([float(row[name]) for row in whole], rel=1e-3)
    assert main(command(evaluated, picture_folder, lpips_file, "--protocol", "patch")) == 1
    assert "choose another --out" in capsys.readouterr().err


def test_baselines_keep_the_lightness(photograph) -> None:
    rgb = PROTOCOLS["icolorit"].picture(photograph("astronaut").rgb)
    hints = PROTOCOLS["icolorit"].hints(rgb, 3, 0)
    methods = [*baselines(levin=True), *served(SHIPPED, len(rgb), (0.4,))]
    for method in methods:
        coloured = method.colorize(rgb, hints)
        difference = np.abs(rgb2lab(coloured)[..., 0] - rgb2lab(rgb)[..., 0])
        assert difference.max() < 1.0, method.name
    assert isinstance(methods[-1], Served)
