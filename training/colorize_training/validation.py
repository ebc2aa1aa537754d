"""What is measured while a network trains: iColoriT's protocol on pictures it never sees, and a sheet to look at.

224 px squash, 2x2 hint cells at uniform places with a seed of their own per picture, PSNR of the 8-bit RGB with L kept.
"""

from pathlib import Path

import numpy as np
import torch
from colorize_daemon.colour import lab_to_srgb, srgb_to_lab
from colorize_daemon.networks.chroma import CHROMA_STRIDE
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from colorize_training.data import PackedPhotographs

SIDE = 224
COUNTS = (0, 1, 10, 50)
SHEET_ROWS = 10


class Validation:
    """Pictures for `run`, squashed to 224 px once."""

    def __init__(self, photographs: PackedPhotographs, count: int = 48) -> None:
        self.pictures = [_planes(squash(photographs[n])) for n in range(min(count, len(photographs)))]

    @torch.no_grad()
    def run(self, network: nn.Module, sheet: Path) -> dict[str, float]:
        """Mean PSNR of the regression after 0, 1, 10, 50 hints and of the vivid result, and both colourfulnesses."""
        rows, scores = [], []
        for number, rgb in enumerate(self.pictures):
            row, score = self._judge(network, rgb, number)
            scores.append(score)
            if number < SHEET_ROWS:
                rows.append(row)
        Image.fromarray(np.concatenate(rows)).save(sheet)
        means = {key: float(np.mean([s[key] for s in scores])) for key in scores[0]}
        return {"score": means["psnr_0"] + means["psnr_10"], **means}

    def _judge(self, network: nn.Module, rgb: Tensor, number: int) -> tuple[np.ndarray, dict[str, float]]:
        lab = srgb_to_lab(rgb)
        lightness, ab = lab[:, :1], lab[:, 1:]
        embedding = network.encode(lightness)
        score, shown = {}, [lightness.expand(-1, 3, -1, -1) / 100]
        for count in COUNTS:
            output = network.decode(embedding, point_hints(ab, count, number))
            coloured = recolour(lightness, output.ab)
            score[f"psnr_{count}"] = psnr(coloured, rgb)
            if count in (0, 10):
                shown.append(coloured)
            if count == 0:
                vivid = recolour(lightness, network.chroma(output, 0.4))
                shown.append(vivid)
                score |= {"psnr_vivid": psnr(vivid, rgb), "colourful_0": colourfulness(_bytes(coloured))}
                score |= {
                    "colourful_vivid": colourfulness(_bytes(vivid)),
                    "colourful_truth": colourfulness(_bytes(rgb)),
                }
        shown.append(rgb)
        return _bytes(torch.cat(shown, 3)), score


def squash(photograph: np.ndarray) -> np.ndarray:
    """RGB (224, 224, 3) uint8, whatever the aspect was: the protocol wants it so."""
    return np.array(Image.fromarray(photograph).resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def _planes(rgb: np.ndarray) -> Tensor:
    return torch.from_numpy(rgb.transpose(2, 0, 1).copy())[None].float() / 255


def _bytes(rgb: Tensor) -> np.ndarray:
    """8-bit RGB (H, W, 3) of planes (1, 3, H, W) in 0..1."""
    return (rgb[0].permute(1, 2, 0) * 255).round().byte().numpy()


def point_hints(ab: Tensor, count: int, seed: int) -> Tensor:
    """Hint planes (1, 3, H/2, W/2) of `count` cells of 2x2 pixels of ab (1, 2, H, W), at places that follow from the
    seed.

    The places of a smaller count are the first of a larger one's.
    """
    cells = F.avg_pool2d(ab, CHROMA_STRIDE)
    _, _, height, width = cells.shape
    places = np.random.default_rng([7, seed]).permutation(height * width)[:count]
    planes = torch.zeros(1, 3, height, width)
    ys, xs = torch.from_numpy(places // width), torch.from_numpy(places % width)
    planes[0, :2, ys, xs] = cells[0, :, ys, xs]
    planes[0, 2, ys, xs] = 1
    return planes


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
