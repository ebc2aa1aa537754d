"""`zhang-regression`, `zhang-classification`, `zhang-classification-vgg`: three ways to colour CIFAR-10.

Li and Wang, *Image Colorization and Classification*.

As in the report: 32x32 pixels (224x224 for transfer from VGG; any folder at any size here), L / 100, Adam with 1e-4,
batches of 128, 100 epochs of 50,000 pictures (50 for transfer). Regression: half the squared distance of ab as 0..1.
Classification: cross-entropy with ab soft-encoded in its five nearest bins (Zhang et al. 2016); their rebalancing of
classes is an option, which the report does not use.

The report adds lambda ||W||^2 with lambda 0.01 to losses that are sums over a picture's pixels. Ours are means over
pixels, so the same balance is 0.01 / 32^2. It is left to Adam's own weight decay, which adds that term's gradient,
2 x 0.01 / 32^2 x W, to every parameter's (AdamW's decay is another); the logged loss is without it. The report gives
lambda for classification alone; regression and transfer get the same. Photographs are squashed and not augmented.
Cross-entropy is shown less the target's own entropy (see `losses`).
"""

from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from colorize_engine.networks.bins import bin_centres
from colorize_engine.networks.served import AutomaticNetwork
from colorize_engine.networks.spaces import CIELAB
from colorize_engine.networks.zhang import ZhangClassification, ZhangClassificationVgg, ZhangRegression
from torch import Tensor
from torch.optim import Adam, Optimizer
from torch.utils.checkpoint import checkpoint
from torchvision.models import VGG16_Weights

from colorize_training.backbones import starting_weights
from colorize_training.data import PackedPhotographs, planes, squash
from colorize_training.losses import BinTargets, bin_cross_entropy, class_weights
from colorize_training.ranges import BATCH, LEARNING_RATE, SEED, SHARE, WEIGHT
from colorize_training.recipes.recipe import BatchT, SampledRecipe
from colorize_training.recipes.unit_chroma import Batch, squashed_sample
from colorize_training.settings import LoopSettings, setting

EPOCH, EPOCHS, TRANSFER_EPOCHS = 50_000, 100, 50  # of the report
DECAY = 2 * 0.01 / 32**2
COUNTED = 2_000  # photographs that the bins' frequencies are counted on
PIECE = 2**19  # pixels whose loss over all bins is computed at a time; ten pictures of 224x224


@dataclass(frozen=True)
class ZhangRegressionSettings:
    """Settings of the `zhang-regression` recipe."""

    seed: int = setting(0, "of all randomness", SEED)
    batch: int = setting(128, "pictures a step, in each process", BATCH)
    lr: float = setting(1e-4, "Adam's learning rate", LEARNING_RATE)
    weight_decay: float = setting(DECAY, "Adam's weight decay", WEIGHT)


@dataclass(frozen=True)
class ZhangClassificationSettings(ZhangRegressionSettings):
    """Settings of the `zhang-classification` recipe."""

    uniform_share: float = setting(
        1.0, "class rebalancing: 0 full inverse frequency, 0.5 as Zhang et al., 1 none", SHARE
    )


@dataclass(frozen=True)
class ZhangClassificationVggSettings(ZhangClassificationSettings):
    """Settings of the `zhang-classification-vgg` recipe."""

    backbone: str = setting("", "encoder's start: a .safetensors file of vgg16, or random; default: torchvision's")


SettingsT = TypeVar("SettingsT", bound=ZhangRegressionSettings)
ClassificationT = TypeVar("ClassificationT", bound=ZhangClassificationSettings)
NetworkT = TypeVar("NetworkT", bound=AutomaticNetwork)


class _ZhangRecipe(SampledRecipe[SettingsT, NetworkT, BatchT]):
    """What the three have in common."""

    loop = LoopSettings(samples=EPOCHS * EPOCH, size=32, schedule="constant", clip=0.0, validate_on=500)
    space = CIELAB
    split = (80, 10, 10)

    def optimizers(self, network: NetworkT) -> dict[str, Optimizer]:
        lr, decay = self.settings.lr, self.settings.weight_decay
        return {"network": Adam(network.parameters(), lr=lr, weight_decay=decay, fused=True)}


class ZhangRegressionRecipe(_ZhangRecipe[ZhangRegressionSettings, ZhangRegression, Batch]):
    """Regression; see the module's text."""

    name = "zhang-regression"
    Settings = ZhangRegressionSettings

    def build(self) -> ZhangRegression:
        return ZhangRegression()

    def sample(self, photograph: np.ndarray, size: int, rng: np.random.Generator, augment: bool = True) -> Batch:
        return squashed_sample(photograph, size, CIELAB)

    def loss(self, network: ZhangRegression, batch: Batch, objective: str) -> tuple[Tensor, dict[str, Tensor]]:
        error = network.predict(batch.lightness).float() - batch.chroma
        loss = error.square().sum(1).mean() / 2
        return loss, {"l2": loss.detach()}


class BinBatch(NamedTuple):
    """lightness (B, 1, H, W) in 0..100; bins, shares (B, 5, H, W): the truth, soft-encoded."""

    lightness: Tensor
    bins: Tensor
    shares: Tensor


class _ClassificationRecipe(_ZhangRecipe[ClassificationT, NetworkT, BinBatch]):
    """What both classifications have in common."""

    def __init__(self, settings: ClassificationT) -> None:
        super().__init__(settings)
        self.targets, self.weights = BinTargets(bin_centres()), torch.ones(len(bin_centres()))

    def prepare(self, photographs: PackedPhotographs) -> None:
        """The classes' weights, from their frequencies; without rebalancing all stay 1."""
        if self.settings.uniform_share == 1:
            return
        rng = np.random.default_rng(self.settings.seed)
        counts = torch.zeros(len(self.weights))
        for number in rng.permutation(len(photographs))[:COUNTED]:
            bins = self.sample(photographs[number], self.loop.size, rng).bins
            counts += torch.bincount(bins[0].flatten(), minlength=len(counts))
        self.weights = class_weights(counts, self.settings.uniform_share)

    def sample(self, photograph: np.ndarray, size: int, rng: np.random.Generator, augment: bool = True) -> BinBatch:
        lightness, chroma = CIELAB.from_srgb(planes(squash(photograph, size))[None])
        bins, shares = self.targets(CIELAB.unscale(chroma))
        return BinBatch(lightness[0] * 100, bins[0], shares[0])

    def loss(self, network: NetworkT, batch: BinBatch, objective: str) -> tuple[Tensor, dict[str, Tensor]]:
        logits = network.predict(batch.lightness)
        loss = _cross_entropy(logits, batch, self.weights)
        return loss, {"cross_entropy": loss.detach()}


class ZhangClassificationRecipe(_ClassificationRecipe[ZhangClassificationSettings, ZhangClassification]):
    """Classification; see the module's text."""

    name = "zhang-classification"
    Settings = ZhangClassificationSettings

    def build(self) -> ZhangClassification:
        return ZhangClassification()


class ZhangClassificationVggRecipe(_ClassificationRecipe[ZhangClassificationVggSettings, ZhangClassificationVgg]):
    """Classification on VGG16's features; see the module's text."""

    name = "zhang-classification-vgg"
    Settings = ZhangClassificationVggSettings
    loop = LoopSettings(samples=TRANSFER_EPOCHS * EPOCH, size=224, schedule="constant", clip=0.0, validate_on=500)

    def build(self) -> ZhangClassificationVgg:
        network = ZhangClassificationVgg()
        state = starting_weights(self.name, self.settings.backbone, VGG16_Weights.IMAGENET1K_V1)
        if state is not None:
            network.encoder.load_imagenet(state)
        return network


def _cross_entropy(logits: Tensor, batch: BinBatch, weights: Tensor) -> Tensor:
    """`bin_cross_entropy` of the whole batch; of one too large, in pieces that are computed again for the gradient.

    Its intermediate planes are together twice as large as the logits, which are 6 GiB for 128 pictures of 224x224.
    """
    count = max(1, PIECE // logits[0, 0].numel())
    if count >= len(logits):
        return bin_cross_entropy(logits, batch.bins, batch.shares, weights)
    pieces = zip(*(part.split(count) for part in (logits, batch.bins, batch.shares)), strict=True)
    losses = [len(p[0]) * checkpoint(bin_cross_entropy, *p, weights, use_reentrant=False) for p in pieces]
    return torch.stack(losses).sum() / len(logits)
