"""What is measured while a network trains, on photographs it never learns from, and a sheet to look at.

The recipe's own loss, and iColoriT's protocol through the interface that the service uses: pictures squashed, 2x2 hint
cells at uniform places with a seed of their own per picture, PSNR of the 8-bit RGB with L kept.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from colorize_client import Options
from colorize_client.options import CAUTIOUS
from colorize_engine.colour.conversions import srgb_to_lab
from colorize_engine.networks.served import CHROMA_STRIDE, HINT_PLANES, ServedNetwork
from torch import Tensor, nn
from torch.nn import functional as F

from colorize_training.data import PackedPhotographs, ResidentPhotographs, planes, squash
from colorize_training.devices import device_of
from colorize_training.evaluation.metrics import colourfulness, psnr
from colorize_training.pictures import draw_sheet, recolour, to_bytes
from colorize_training.recipes.recipe import Recipe, to_device
from colorize_training.settings import LoopSettings

COUNTS = (0, 1, 10, 50)
DEFAULT = Options().temperature  # what the service does unasked
SHEET_ROWS = 10
HEADINGS = ("input", "prediction", "vivid", "10 hints", "truth")


class Validation:
    """The first `validate_on` photographs, for `run`; the same pictures and hints every time."""

    def __init__(self, recipe: Recipe, photographs: PackedPhotographs, settings: LoopSettings) -> None:
        self.recipe, self.photographs, self.settings = recipe, photographs, settings
        self.count = min(settings.validate_on, len(photographs))

    @torch.no_grad()
    def run(self, network: nn.Module, served: ServedNetwork, sheet: Path) -> dict[str, float]:
        """Mean loss and its parts, colourfulness, PSNR with 0, 1, 10, 50 hints and of the result at the service's own
        temperature, which is called vivid. Draws the picture `sheet`."""
        side = self.settings.validate_size or self.settings.size
        side = -(-side // served.stride) * served.stride
        rows, scores = [], []
        for number in range(self.count):
            rgb = planes(squash(self.photographs[number], side))[None].to(device_of(network))
            row, score = _measure(served, rgb, number)
            scores.append(score)
            rows.append(row)
        draw_sheet(rows[:SHEET_ROWS], HEADINGS, sheet)
        means = {key: float(np.mean([s[key] for s in scores])) for key in scores[0]}
        losses = mean_losses(self.recipe, network, self.photographs, range(self.count), self.settings.size)
        return {"loss": losses.pop("loss"), **means, **losses}


@torch.no_grad()
def mean_losses(
    recipe: Recipe, network: nn.Module, photographs: PackedPhotographs, numbers: Iterable[int], size: int
) -> dict[str, float]:
    """The recipe's first objective, as "loss", and its parts, of what it draws of these photographs, not augmented."""
    objective, losses = recipe.turns(0.0)[-1].objective, list[dict[str, float]]()
    resident = ResidentPhotographs(photographs, torch.device("cpu"))
    for number in numbers:
        batch = recipe.batch(resident, np.array([number]), torch.tensor([number]), size, augment=False)
        loss, parts = recipe.loss(network, to_device(batch, device_of(network)), objective)
        losses.append({"loss": loss.item()} | {name: value.item() for name, value in parts.items()})
    return {name: float(np.mean([each[name] for each in losses])) for name in losses[0]}


def _measure(network: ServedNetwork, rgb: Tensor, number: int) -> tuple[np.ndarray, dict[str, float]]:
    lab = srgb_to_lab(rgb)
    lightness, ab = lab[:, :1], lab[:, 1:]
    embedding = network.encode(lightness)
    coloured = {}
    for count in COUNTS:
        output = network.decode(embedding, point_hints(ab, count, number))
        coloured[count] = recolour(lightness, network.chroma(output, CAUTIOUS))
        if count == 0:
            vivid = recolour(lightness, network.chroma(output, DEFAULT))
    truth = to_bytes(rgb)
    score = {f"psnr_{count}": psnr(to_bytes(picture), truth) for count, picture in coloured.items()}
    score |= {"psnr_vivid": psnr(to_bytes(vivid), truth), "colourful_0": colourfulness(to_bytes(coloured[0]))}
    score |= {"colourful_vivid": colourfulness(to_bytes(vivid)), "colourful_truth": colourfulness(truth)}
    shown = [lightness.expand(-1, 3, -1, -1) / 100, coloured[0], vivid, coloured[10], rgb]
    return to_bytes(torch.cat(shown, 3)), score


def point_hints(ab: Tensor, count: int, seed: int) -> Tensor:
    """Hint planes (1, HINT_PLANES, H/2, W/2): `count` cells of 2x2 pixels of ab (1, 2, H, W), at places of this seed.

    The places of a smaller count are the first of a larger one's.
    """
    cells = F.avg_pool2d(ab, CHROMA_STRIDE)
    _, _, height, width = cells.shape
    places = np.random.default_rng([7, seed]).permutation(height * width)[:count]
    hints = torch.zeros(1, HINT_PLANES, height, width, device=ab.device)
    ys, xs = torch.from_numpy(places // width), torch.from_numpy(places % width)
    hints[0, :2, ys, xs] = cells[0, :, ys, xs]
    hints[0, 2, ys, xs] = 1
    return hints
