"""How chroma comes to full size: interpolated, guided by the lightness as in the service, or lifted by a network.

The network is small, sees lightness at full size, and is trained here, on true chroma made coarse. Each way is then
measured on photographs it never saw: with true chroma on grids of 2 to 16 pixels, and with what weights predict on
cells of 4 pixels.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from colorize_client import Options
from colorize_client.options import CAUTIOUS
from colorize_engine import weights
from colorize_engine.colorizer import Colorizer
from colorize_engine.colour.constants import AB_SCALE
from colorize_engine.colour.conversions import srgb_to_lab
from colorize_engine.colour.gamut import render_band
from colorize_engine.guided_lift import GuidedLift
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from colorize_training.data import PackedPhotographs, draw_crop, pack, planes, squash
from colorize_training.evaluation.metrics import boundary_psnr, psnr
from colorize_training.pictures import gray_of
from colorize_training.ranges import PICTURES, SEED, STEPS
from colorize_training.tables import write_rows
from colorize_training.writing import make_folder

FACTORS = (2, 4, 8, 16)  # pixels of a cell's side
SIZE = 224  # of the pictures measured
CROP, BATCH, LR = 96, 16, 2e-3

# L (1, H, W), L of the grid (1, h, w), ab of the grid (2, h, w) -> ab (2, H, W)
Lift = Callable[[Tensor, Tensor, Tensor], Tensor]


class LearnedLift(nn.Module):
    """Adds to the interpolated chroma what three convolutions make of it and of the lightness at full size."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, width, 5, padding=2),
            nn.GELU(),
            nn.Conv2d(width, width, 3, padding=2, dilation=2),
            nn.GELU(),
            nn.Conv2d(width, 2, 3, padding=1),
        )

    def forward(self, lightness: Tensor, ab: Tensor) -> Tensor:
        """lightness (B, 1, H, W), ab (B, 2, h, w) -> ab (B, 2, H, W), CIELAB units."""
        wide = F.interpolate(ab, lightness.shape[2:], mode="bilinear", align_corners=False) / AB_SCALE
        return AB_SCALE * (wide + self.layers(torch.cat([lightness / 100 - 0.5, wide], 1)))


def add_command(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "lift",
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = command.add_argument
    add("weights", type=Path, help="weights file whose predictions are lifted too")
    add("--data", nargs="+", required=True, help="photographs to train the network on")
    add("--validation", nargs="+", required=True, help="photographs to measure on")
    add("--out", type=Path, required=True, help="folder of the table")
    add("--cache", type=Path, help="folder for decoded photographs (default: OUT/cache)")
    add("--steps", type=STEPS, default=1000, help=f"of training, {BATCH} crops each")
    add("--pictures", type=PICTURES, default=100, help="how many to measure on, the first ones")
    add("--seed", type=SEED, default=0, help="of all randomness")
    command.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    make_folder(arguments.out)
    cache = arguments.cache or arguments.out / "cache"
    learned = train(pack(arguments.data, cache), arguments.steps, arguments.seed)
    judged = pack(arguments.validation, cache)
    rows = compare(learned, arguments.weights, judged, min(arguments.pictures, len(judged)))
    write_rows(rows, arguments.out / "table.csv")
    for row in rows:
        print("  ".join(f"{value:.2f}" if isinstance(value, float) else value for value in row.values()))
    return 0


def train(photographs: PackedPhotographs, steps: int, seed: int) -> LearnedLift:
    """The network, trained on crops of true chroma made coarse by a factor drawn for each step."""
    torch.manual_seed(seed)
    rng, lift = np.random.default_rng(seed), LearnedLift()
    optimizer = torch.optim.Adam(lift.parameters(), lr=LR)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    bar = tqdm(range(steps), desc="learning to lift", unit="step")
    for _ in bar:
        chosen = rng.integers(len(photographs), size=BATCH)
        lab = torch.stack([srgb_to_lab(planes(draw_crop(photographs[n], CROP, rng))) for n in chosen])
        coarse = F.avg_pool2d(lab[:, 1:], int(rng.choice(FACTORS)))
        loss = F.l1_loss(lift(lab[:, :1], coarse), lab[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        bar.set_postfix(loss=f"{loss.item():.3f}")
    return lift.eval()


@torch.inference_mode()
def compare(learned: LearnedLift, path: Path, photographs: PackedPhotographs, count: int) -> list[dict]:
    """A row for each source of chroma and way to lift it: mean PSNR, PSNR at chroma's boundaries, milliseconds."""
    lifts: dict[str, Lift] = {
        "interpolated": _interpolate,
        "guided": _guide,
        "learned": lambda lightness, _, ab: learned(lightness[None], ab[None])[0],
    }
    predictor = Colorizer.load(replace(weights.read_record(path), side=SIZE // 2), "cpu")
    found: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
    for number in tqdm(range(count), desc="measuring", unit="img"):
        rgb = squash(photographs[number], SIZE)
        lab = srgb_to_lab(planes(rgb))
        true_lab = lab.permute(1, 2, 0).numpy()
        sources = {f"truth, cells of {n}": F.avg_pool2d(lab, n).split((1, 2)) for n in FACTORS}
        embedding = predictor.set_image(gray_of(rgb))
        ab = predictor.predict(embedding, options=Options(temperature=CAUTIOUS)).ab
        sources["predicted, cells of 4"] = embedding.lightness[None], ab
        for source, (lightness, coarse) in sources.items():
            for name, lift in lifts.items():
                start = time.perf_counter()
                chroma = lift(lab[:1], lightness, coarse)
                spent = 1000 * (time.perf_counter() - start)
                image = render_band(lab[0], chroma, "rgb8")
                scores = psnr(image, rgb), boundary_psnr(image, rgb, true_lab), spent
                found.setdefault((source, name), []).append(scores)
    return [
        {"chroma": source, "lift": name}
        | dict(zip(("psnr", "boundary_psnr", "ms"), np.mean(scores, 0).tolist(), strict=True))
        for (source, name), scores in found.items()
    ]


def _interpolate(lightness: Tensor, _: Tensor, ab: Tensor) -> Tensor:
    return F.interpolate(ab[None], lightness.shape[1:], mode="bilinear", align_corners=False)[0]


def _guide(lightness: Tensor, coarse: Tensor, ab: Tensor) -> Tensor:
    height, width = lightness.shape[1:]
    return GuidedLift(coarse[0], ab, height, width).rows(0, height, lightness[0])
