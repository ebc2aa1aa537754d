"""What is measured while a network trains, on photographs it never learns from, and a sheet to look at.

The recipe's own loss, and iColoriT's protocol through the interface that the service uses: pictures squashed, 2x2 hint
cells at uniform places with a seed of their own per picture, PSNR of the 8-bit RGB with L kept.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from colorize_engine.colour.conversions import lab_to_srgb, srgb_to_lab
from colorize_engine.networks.served import CHROMA_STRIDE, ServedNetwork
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, nn
from torch.nn import functional as F

from colorize_training.data import PackedPhotographs, planes, squash
from colorize_training.recipes import Recipe
from colorize_training.settings import LoopSettings

COUNTS = (0, 1, 10, 50)
CAUTIOUS, VIVID = 1.0, 0.4  # temperatures: the most cautious, and what the service does unasked
SHEET_ROWS = 10
HEADING = 18  # pixels
HEADINGS = ("input", "prediction", "vivid", "10 hints", "truth")


class Validation:
    """The first `validate_on` photographs, for `run`; the same pictures and hints every time."""

    def __init__(self, recipe: Recipe, photographs: PackedPhotographs, settings: LoopSettings) -> None:
        self.recipe, self.photographs, self.settings = recipe, photographs, settings
        self.count = min(settings.validate_on, len(photographs))

    @torch.no_grad()
    def run(self, network: nn.Module, served: ServedNetwork, sheet: Path) -> dict[str, float]:
        """Mean loss, colourfulness, PSNR with 0, 1, 10, 50 hints and of the vivid result. Draws the picture `sheet`."""
        side = self.settings.validate_size or self.settings.size
        side = -(-side // served.stride) * served.stride
        rows, scores = [], []
        for number in range(self.count):
            rgb = planes(squash(self.photographs[number], side))[None].to(device_of(network))
            row, score = _judge(served, rgb, number)
            scores.append(score)
            rows.append(row)
        draw_sheet(rows[:SHEET_ROWS], HEADINGS, sheet)
        means = {key: float(np.mean([s[key] for s in scores])) for key in scores[0]}
        loss = mean_loss(self.recipe, network, self.photographs, range(self.count), self.settings.size)
        return {"loss": loss, **means}


@torch.no_grad()
def mean_loss(
    recipe: Recipe, network: nn.Module, photographs: PackedPhotographs, numbers: Iterable[int], size: int
) -> float:
    """The recipe's first objective, of the pictures that it draws of these photographs, not augmented."""
    objective, losses = recipe.turns(0.0)[-1].objective, []
    for number in numbers:
        sample = recipe.sample(photographs[number], size, np.random.default_rng([8, number]), augment=False)
        batch = type(sample)(*(part[None].to(device_of(network)) for part in sample))
        losses.append(recipe.loss(network, batch, objective)[0].item())
    return float(np.mean(losses))


def device_of(network: nn.Module) -> torch.device:
    return next(network.parameters()).device


def _judge(network: ServedNetwork, rgb: Tensor, number: int) -> tuple[np.ndarray, dict[str, float]]:
    lab = srgb_to_lab(rgb)
    lightness, ab = lab[:, :1], lab[:, 1:]
    embedding = network.encode(lightness)
    coloured = {}
    for count in COUNTS:
        output = network.decode(embedding, point_hints(ab, count, number))
        coloured[count] = recolour(lightness, network.chroma(output, CAUTIOUS))
        if count == 0:
            vivid = recolour(lightness, network.chroma(output, VIVID))
    score = {f"psnr_{count}": psnr(picture, rgb) for count, picture in coloured.items()}
    score |= {"psnr_vivid": psnr(vivid, rgb), "colourful_0": colourfulness(to_bytes(coloured[0]))}
    score |= {"colourful_vivid": colourfulness(to_bytes(vivid)), "colourful_truth": colourfulness(to_bytes(rgb))}
    shown = [lightness.expand(-1, 3, -1, -1) / 100, coloured[0], vivid, coloured[10], rgb]
    return to_bytes(torch.cat(shown, 3)), score


def draw_sheet(rows: list[np.ndarray], headings: Sequence[str], path: Path) -> None:
    """Rows (H, W, 3) uint8 of equally wide pictures below each other, under a heading for each column."""
    picture = np.concatenate([np.full((HEADING, rows[0].shape[1], 3), 255, np.uint8), *rows])
    sheet = Image.fromarray(picture)
    draw, column = ImageDraw.Draw(sheet), sheet.width // len(headings)
    for number, heading in enumerate(headings):
        draw.text((number * column + 4, 2), heading, fill=(0, 0, 0), font=ImageFont.load_default(12))
    sheet.save(path)


def to_bytes(rgb: Tensor) -> np.ndarray:
    """8-bit RGB (H, W, 3) of planes (1, 3, H, W) in 0..1."""
    return (rgb[0].permute(1, 2, 0) * 255).round().byte().cpu().numpy()


def point_hints(ab: Tensor, count: int, seed: int) -> Tensor:
    """Hint planes (1, 3, H/2, W/2): `count` cells of 2x2 pixels of ab (1, 2, H, W), at places that follow from `seed`.

    The places of a smaller count are the first of a larger one's.
    """
    cells = F.avg_pool2d(ab, CHROMA_STRIDE)
    _, _, height, width = cells.shape
    places = np.random.default_rng([7, seed]).permutation(height * width)[:count]
    hints = torch.zeros(1, 3, height, width, device=ab.device)
    ys, xs = torch.from_numpy(places // width), torch.from_numpy(places % width)
    hints[0, :2, ys, xs] = cells[0, :, ys, xs]
    hints[0, 2, ys, xs] = 1
    return hints


def recolour(lightness: Tensor, ab: Tensor) -> Tensor:
    """RGB (1, 3, H, W) of L (1, 1, H, W) and ab of any size, quantised to 8 bits."""
    ab = F.interpolate(ab, lightness.shape[2:], mode="bilinear", align_corners=False)
    return (lab_to_srgb(torch.cat([lightness, ab], 1)) * 255).round() / 255


def psnr(image: Tensor, truth: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of RGB in 0..1."""
    return float(-10 * torch.log10(F.mse_loss(image, truth).clamp_min(1e-10)))


def colourfulness(rgb: np.ndarray) -> float:
    """Hasler and Suesstrunk 2003, of 8-bit RGB (H, W, 3)."""
    r, g, b = rgb.astype(float).transpose(2, 0, 1)
    rg, yb = r - g, (r + g) / 2 - b
    return float(np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean()))
