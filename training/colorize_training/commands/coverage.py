"""Loss against hint coverage, and how strongly each hue comes out: what Daly and Zhao measured.

Figure 7 of their report, *CNN Assisted Colorization of Gray-scale Images*, shows that more hints mean less loss. Here
hints are circles of the true colours, drawn until they cover the share asked for, and the loss is the report's: the
mean of the squared errors of U and V, plain and blurred. The
report also sees green and magenta "not expressed enough". That is measured as the predicted chroma along the true one,
over the true one, of the pixels of each hue: 1 where a hue comes out as strong as it was, 0 where it is lost.

Any weights whose network takes hints can be measured, so that networks can be compared.
"""

import argparse
import csv
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from colorize_engine import weights
from colorize_engine.colour.conversions import srgb_to_lab
from colorize_engine.networks.served import CHROMA_STRIDE, HINT_PLANES, ServedNetwork
from colorize_engine.networks.spaces import YUV
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from colorize_training.data import PackedPhotographs, pack, planes, squash
from colorize_training.evaluation.metrics import psnr
from colorize_training.figures import plt, save_figure
from colorize_training.pictures import draw_sheet, recolour, to_bytes
from colorize_training.ranges import PICTURES, SIDE_OR_NONE
from colorize_training.recipes.palette import draw_circles, errors
from colorize_training.writing import make_folder, replacing

COVERAGES = (0, 1, 2, 5, 10, 20, 40, 60, 80, 100)  # per cent
HUES = {"red": 40, "yellow": 103, "green": 136, "cyan": 196, "blue": 306, "magenta": 328}  # of sRGB's corners, degrees
COLOURED = 10.0  # C* from which a pixel has a hue
MUCH = 60  # per cent of coverage at which hues are measured beside none
SHOWN, SHOWN_COVERAGES = 6, (0, 5, 20, 60)
TEMPERATURE = 1.0


def add_command(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "coverage",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--weights", type=Path, required=True, help="the .safetensors file")
    command.add_argument("--data", nargs="+", required=True, help="photographs that it was not trained on")
    command.add_argument("--out", type=Path, required=True, help="folder of tables and pictures")
    command.add_argument("--cache", type=Path, help="folder for decoded photographs (default: OUT/cache)")
    command.add_argument("--pictures", type=PICTURES, default=100, help="how many, the first ones (default: 100)")
    command.add_argument("--size", type=SIDE_OR_NONE, default=0, help="pixels of a side (default: as trained)")
    command.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    record = weights.read_record(arguments.weights)
    network = weights.load(record)
    size = -(-(arguments.size or record.side) // network.stride) * network.stride
    photographs = pack(arguments.data, arguments.cache or arguments.out / "cache", max(176, size))
    make_folder(arguments.out)
    measured = Measured()
    rows = [
        _measure(network, photographs, number, size, measured)
        for number in tqdm(range(min(arguments.pictures, len(photographs))), desc=record.name, unit="img")
    ]
    measured.write(arguments.out, record.name)
    headings = [f"{part}, {c} %" for c in SHOWN_COVERAGES for part in ("hints", "result", "difference")]
    draw_sheet(rows[:SHOWN], (*headings, "truth"), arguments.out / "pictures.png")
    return 0


class Measured:
    """What was measured of the pictures so far, by coverage in per cent."""

    def __init__(self) -> None:
        self.errors: dict[int, list[tuple[float, ...]]] = defaultdict(list)
        self.hues: dict[int, list[tuple[np.ndarray, np.ndarray]]] = defaultdict(list)

    def write(self, out: Path, name: str) -> None:
        """`coverage.csv`, `coverage.png`, `hues.csv` and `hues.png`."""
        table = [(*np.mean(values, 0), np.std(values, 0)[1] / len(values) ** 0.5) for values in self.errors.values()]
        _write_csv(out / "coverage.csv", ("covered %", "loss", "plain", "blurred", "PSNR dB", "loss std. error"), table)
        _draw_coverage(table, name, out / "coverage.png")
        strengths = {c: _strengths(values) for c, values in self.hues.items()}
        columns = ("hue", "pixels", *(f"strength at {c} % hints" for c in strengths))
        pixels = np.sum([count for _, count in self.hues[0]], 0)
        rows = [(hue, int(pixels[i]), *(s[i] for s in strengths.values())) for i, hue in enumerate(HUES)]
        _write_csv(out / "hues.csv", columns, rows)
        _draw_hues(strengths, name, out / "hues.png")


@torch.inference_mode()
def _measure(
    network: ServedNetwork, photographs: PackedPhotographs, number: int, size: int, measured: Measured
) -> np.ndarray:
    """Measure one photograph at every coverage; returns its row of the picture sheet."""
    rgb = planes(squash(photographs[number], size))[None]
    lab = srgb_to_lab(rgb)
    lightness, truth = lab[:, :1], lab[:, 1:]
    embedding, shown = network.encode(lightness), []
    for coverage in COVERAGES:
        hints = circle_hints(truth, coverage / 100, number)
        ab = network.chroma(network.decode(embedding, hints), TEMPERATURE)
        ab = F.interpolate(ab, (size, size), mode="bilinear", align_corners=False)
        result = recolour(lightness, ab)
        plain, blurred = errors(YUV.from_ab(ab, lightness), YUV.from_srgb(rgb)[1])
        covered = 100 * float(hints[:, 2].mean())
        losses = float(plain + blurred) / 2, float(plain), float(blurred)
        measured.errors[coverage].append((covered, *losses, psnr(to_bytes(result), to_bytes(rgb))))
        if coverage in (0, MUCH):
            measured.hues[coverage].append(_along(ab, truth))
        if coverage in SHOWN_COVERAGES:
            painted = F.interpolate(hints[:, :2] * (hints[:, 2:3] > 0), (size, size), mode="nearest")
            shown += [recolour(lightness, painted), result, (result - rgb).abs()]
    return to_bytes(torch.cat([*shown, rgb], 3))


def circle_hints(ab: Tensor, coverage: float, seed: int) -> Tensor:
    """Hint planes (1, HINT_PLANES, H/2, W/2) of square truth ab (1, 2, H, W), in circles: `coverage` 0..1 at least."""
    cells = F.avg_pool2d(ab, CHROMA_STRIDE)
    side, rng = cells.shape[-1], np.random.default_rng([9, seed])
    mask = np.full((1, side, side), float(coverage == 1), np.float32)
    while mask.mean() < coverage:
        mask = np.maximum(mask, draw_circles(side, 1, rng))
    coverage_plane = torch.from_numpy(mask)[None]
    hints = torch.zeros(1, HINT_PLANES, side, side)
    hints[:, :2], hints[:, 2] = cells * coverage_plane, coverage_plane
    return hints


def _along(ab: Tensor, truth: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Of each hue, the sum of the predicted chroma along the true one over the true one, and the number of pixels."""
    own, true = (plane[0].flatten(1).numpy() for plane in (ab, truth))  # (2, N)
    chroma = np.linalg.norm(true, axis=0)
    own, true, chroma = (values[..., chroma > COLOURED] for values in (own, true, chroma))
    angle = np.degrees(np.arctan2(true[1], true[0]))
    distance = np.abs((angle[:, None] - np.array([*HUES.values()]) + 180) % 360 - 180)
    nearest, strength = distance.argmin(1), (own * true).sum(0) / chroma**2
    bins = {"minlength": len(HUES)}
    return np.bincount(nearest, strength, **bins), np.bincount(nearest, **bins)


def _strengths(values: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    total, count = (np.sum(part, 0) for part in zip(*values, strict=True))
    return total / np.maximum(count, 1)


def _write_csv(path: Path, columns: Sequence[str], rows: Sequence[Sequence]) -> None:
    with replacing(path) as part, open(part, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([f"{v:.6g}" if isinstance(v, float) else v for v in row] for row in rows)


def _draw_coverage(table: Sequence[Sequence[float]], name: str, path: Path) -> None:
    figure, left = plt.subplots(figsize=(7, 4), layout="constrained")
    coverage, loss, _, _, decibel, error = zip(*table, strict=True)
    left.errorbar(coverage, loss, error, fmt="o-", color="tab:blue")
    left.set(xlabel="share of the picture under hints (%)", ylabel="loss of U and V", title=name)
    left.yaxis.label.set_color("tab:blue")
    right = left.twinx()
    right.plot(coverage, decibel, "s--", color="tab:orange")
    right.set_ylabel("PSNR (dB)", color="tab:orange")
    left.grid(alpha=0.3)
    save_figure(figure, path)


def _draw_hues(strengths: dict[int, np.ndarray], name: str, path: Path) -> None:
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    places = np.arange(len(HUES))
    for number, (coverage, values) in enumerate(strengths.items()):
        axes.bar(places + 0.4 * number - 0.2, values, 0.4, label=f"{coverage} % under hints")
    axes.axhline(1, color="gray", linewidth=0.8)
    axes.set_xticks(places, list(HUES))
    axes.set(ylabel="predicted chroma along the true one", title=name)
    axes.legend()
    save_figure(figure, path)
