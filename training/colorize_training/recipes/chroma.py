"""`chroma`, the default network: late hints, a distribution and a regression, on simulated points and strokes."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from colorize_daemon.colour import srgb_to_lab
from colorize_daemon.networks.bins import bin_centres
from colorize_daemon.networks.chroma import CHROMA_STRIDE, Chroma
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from colorize_training.data import PackedPhotographs, draw_crop
from colorize_training.degradation import degrade
from colorize_training.hint_simulation import HintSettings, draw_hint, draw_hints, rasterise, recolour_object
from colorize_training.losses import BinTargets, bin_cross_entropy, class_weights, huber
from colorize_training.recipes import register

LOGITS_STRIDE = 4
FREQUENCY_SAMPLE = 600  # photographs that the bins' frequencies are counted on


@dataclass(frozen=True)
class ChromaSettings:
    """Settings of the `chroma` recipe."""

    seed: int = 0
    backbone: str = ""  # safetensors file of torchvision's mobilenet_v2; empty starts from random weights
    batch: int = 32
    encoder_lr: float = 2e-4
    lr: float = 1e-3
    weight_decay: float = 0.02
    uniform_share: float = 0.5  # class rebalancing: 0 full inverse frequency, 1 none
    distribution_weight: float = 0.5
    regression_weight: float = 0.02  # of the Huber loss in ab units
    degraded_share: float = 0.4
    recoloured_share: float = 0.4  # pictures in which one thing gets another colour, and a hint that says so


class Batch(NamedTuple):
    """lightness (B, 1, H, W) as the network sees it; hints (B, 3, H/2, W/2); ab (B, 2, H/2, W/2) the truth."""

    lightness: Tensor
    hints: Tensor
    ab: Tensor


@register("chroma", ChromaSettings)
class ChromaRecipe:
    name = "chroma"
    hint_settings = HintSettings()

    def __init__(self, settings: ChromaSettings) -> None:
        self.settings = settings
        self.targets = BinTargets(bin_centres())
        self.weights = torch.ones(len(bin_centres()))

    def build(self) -> Chroma:
        network = Chroma()
        if self.settings.backbone:
            network.encoder.load_imagenet(load_file(Path(self.settings.backbone)))
        else:
            print("chroma: no --backbone given, the encoder starts from RANDOM weights", flush=True)
        return network

    def prepare(self, photographs: PackedPhotographs) -> None:
        rng = np.random.default_rng(self.settings.seed)
        sample = rng.permutation(len(photographs))[:FREQUENCY_SAMPLE]
        counts = torch.zeros(len(self.weights))
        for number in sample:
            ab = _truth(draw_crop(photographs[number], 64, rng)[None])[1]
            bins, _ = self.targets(F.avg_pool2d(ab, LOGITS_STRIDE))
            counts += torch.bincount(bins[:, 0].flatten(), minlength=len(counts))
        self.weights = class_weights(counts, self.settings.uniform_share)

    def parameter_groups(self, network: nn.Module) -> list[dict]:
        s = self.settings
        encoder = [p for stage in network.encoder.stages[network.encoder.FROZEN :] for p in stage.parameters()]
        inside = {id(p) for p in network.encoder.parameters()}
        rest = [p for p in network.parameters() if id(p) not in inside]
        groups = [{"params": encoder, "lr": s.encoder_lr, "weight_decay": s.weight_decay}]
        groups.append({"params": [p for p in rest if p.ndim > 1], "lr": s.lr, "weight_decay": s.weight_decay})
        groups.append({"params": [p for p in rest if p.ndim <= 1], "lr": s.lr, "weight_decay": 0.0})
        return groups

    def draw(self, photographs: PackedPhotographs, numbers: np.ndarray, size: int, rng: np.random.Generator) -> Batch:
        crops = np.stack([draw_crop(photographs[n], size, rng) for n in numbers])
        lightness, ab = _truth(crops)
        ab = F.avg_pool2d(ab, CHROMA_STRIDE)
        ab = ab * torch.from_numpy(_saturations(len(ab), rng))
        truth, hints = zip(*(self._draw_hints(plane, rng) for plane in ab.numpy()), strict=True)
        ab, hints = torch.from_numpy(np.stack(truth)), torch.from_numpy(np.stack(hints))
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        return Batch(degrade(lightness, generator, self.settings.degraded_share), hints, ab)

    def _draw_hints(self, ab: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """The truth ab (2, h, w), perhaps with one thing recoloured, and hint planes (3, h, w) for it."""
        settings, thing = self.hint_settings, np.empty((0, 2), int)
        if rng.random() < self.settings.recoloured_share:
            ab, thing = recolour_object(ab, rng, settings)
        hints = draw_hints(ab, rng, settings)
        if len(thing):
            starts = thing[rng.integers(len(thing), size=rng.integers(1, 4))]
            hints += [draw_hint(ab, rng, settings, start) for start in starts]
        return ab, rasterise(hints, *ab.shape[1:])

    def loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        output = network(batch.lightness, batch.hints)
        bins, shares = self.targets(F.avg_pool2d(batch.ab, LOGITS_STRIDE // CHROMA_STRIDE))
        distribution = bin_cross_entropy(output.logits, bins, shares, self.weights)
        regression = huber(output.ab, batch.ab)
        total = self.settings.distribution_weight * distribution + self.settings.regression_weight * regression
        return total, {"distribution": distribution.item(), "regression": regression.item()}


def _truth(crops: np.ndarray) -> tuple[Tensor, Tensor]:
    """RGB (B, H, W, 3) uint8 -> L (B, 1, H, W), ab (B, 2, H, W)."""
    rgb = torch.from_numpy(np.ascontiguousarray(crops.transpose(0, 3, 1, 2))).float() / 255
    lab = srgb_to_lab(rgb)
    return lab[:, :1], lab[:, 1:]


def _saturations(count: int, rng: np.random.Generator) -> np.ndarray:
    """Factors (count, 1, 1, 1) by which the true chroma is changed: none for two thirds of the pictures."""
    factor = np.where(rng.random(count) < 1 / 3, rng.uniform(0.8, 1.3, count), 1.0)
    return factor.astype(np.float32)[:, None, None, None]
