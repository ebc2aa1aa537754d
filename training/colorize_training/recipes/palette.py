"""`rtnet` and `hnet`: colour through a palette of 196 values, and that palette from painted circles.

Daly and Zhao, *CNN Assisted Colorization of Gray-scale Images*.

As in the report: 224x224 pixels, Adam with 1e-3 (RTNet) and 1e-4 (HNet), batches of 16, 95:5 for training and
validation; RTNet's loss is the mean of the squared error and that of the blurred pictures; HNet learns RTNet's palette
of the true picture from hints of 1 to 25 circles of 25 to 35 pixels in radius (at 224), which may overlap.

Silent in the report, and chosen here: the blur, a Gaussian of 5 pixels at 224; the strength of the L2 regularizer that
it mentions, an option that is off; that a picture's M hint images are drawn again whenever it is seen; HNet's loss, the
mean squared error of the palettes; 65,000 pictures, which it names for both networks, seen ten times.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from colorize_engine import weights
from colorize_engine.networks.palette import HintedRTNet, RTNet
from colorize_engine.networks.spaces import YUV
from torch import Tensor
from torch.nn import functional as F
from torch.optim import Adam, Optimizer
from torchvision.models import VGG16_Weights
from torchvision.transforms.functional import gaussian_blur

from colorize_training.backbones import starting_weights
from colorize_training.ranges import BATCH, LEARNING_RATE, SEED, WEIGHT
from colorize_training.recipes.recipe import BatchT, NetworkT, SampledRecipe
from colorize_training.recipes.unit_chroma import Batch, squashed_sample
from colorize_training.settings import LoopSettings, setting

REPORT_SIZE = 224
BLUR = 5.0  # pixels at REPORT_SIZE: the Gaussian's standard deviation
MOST_CIRCLES = 25
CIRCLE_RADII = (25 / REPORT_SIZE, 35 / REPORT_SIZE)  # of the picture's side


@dataclass(frozen=True)
class RTNetSettings:
    """Settings of the `rtnet` recipe."""

    seed: int = setting(0, "of all randomness", SEED)
    batch: int = setting(16, "pictures a step, in each process", BATCH)
    backbone: str = setting("", "VGG's start: a .safetensors file of vgg16, or random; default: torchvision's")
    lr: float = setting(1e-3, "Adam's learning rate", LEARNING_RATE)
    weight_decay: float = setting(0.0, "the report's L2 regularizer, as Adam's weight decay", WEIGHT)


@dataclass(frozen=True)
class HNetSettings:
    """Settings of the `hnet` recipe."""

    seed: int = setting(0, "of all randomness", SEED)
    batch: int = setting(16, "pictures a step, in each process", BATCH)
    rtnet: str = setting("", "weights file of the trained rtnet; without it, a random one")
    lr: float = setting(1e-4, "Adam's learning rate", LEARNING_RATE)
    weight_decay: float = setting(0.0, "the report's L2 regularizer, as Adam's weight decay", WEIGHT)


SettingsT = TypeVar("SettingsT", RTNetSettings, HNetSettings)


class _PaletteRecipe(SampledRecipe[SettingsT, NetworkT, BatchT]):
    """What both have in common."""

    loop = LoopSettings(samples=650_000, size=REPORT_SIZE, schedule="constant", clip=0.0)
    space = YUV
    split = (95, 5, 0)

    def optimizers(self, network: NetworkT) -> dict[str, Optimizer]:
        learning = [p for p in network.parameters() if p.requires_grad]
        lr, decay = self.settings.lr, self.settings.weight_decay
        return {"network": Adam(learning, lr=lr, weight_decay=decay, fused=True)}


class RTNetRecipe(_PaletteRecipe[RTNetSettings, RTNet, Batch]):
    """See the module's text."""

    name = "rtnet"
    Settings = RTNetSettings

    def build(self) -> RTNet:
        network = RTNet()
        state = starting_weights(self.name, self.settings.backbone, VGG16_Weights.IMAGENET1K_V1)
        if state is not None:
            network.vgg.load_imagenet(state)
        return network

    def sample(self, photograph: np.ndarray, size: int, rng: np.random.Generator, augment: bool = True) -> Batch:
        return squashed_sample(photograph, size, YUV)

    def loss(self, network: RTNet, batch: Batch, objective: str) -> tuple[Tensor, dict[str, Tensor]]:
        palette = network.palette(batch.lightness, batch.chroma)
        plain, blurred = errors(network.rebuild(*network.look(batch.lightness), palette), batch.chroma)
        return (plain + blurred) / 2, {"plain": plain.detach(), "blurred": blurred.detach()}


class HintedBatch(NamedTuple):
    """As `Batch`, and mask (B, 1, H, W): 1 where the colour is a hint."""

    lightness: Tensor
    chroma: Tensor
    mask: Tensor


class HNetRecipe(_PaletteRecipe[HNetSettings, HintedRTNet, HintedBatch]):
    """See the module's text."""

    name = "hnet"
    Settings = HNetSettings

    def build(self) -> HintedRTNet:
        network = HintedRTNet()
        if self.settings.rtnet:
            network.rtnet.load_state_dict(_rtnet(Path(self.settings.rtnet)).state_dict())
        else:
            print("hnet: NO --rtnet WAS GIVEN, the palettes are those of a RANDOM RTNet", flush=True)
        return network

    def sample(self, photograph: np.ndarray, size: int, rng: np.random.Generator, augment: bool = True) -> HintedBatch:
        mask = torch.from_numpy(draw_circles(size, int(rng.integers(1, MOST_CIRCLES + 1)), rng))
        return HintedBatch(*squashed_sample(photograph, size, YUV), mask)

    def loss(self, network: HintedRTNet, batch: HintedBatch, objective: str) -> tuple[Tensor, dict[str, Tensor]]:
        with torch.no_grad():
            target = network.rtnet.palette(batch.lightness, batch.chroma)
        loss = F.mse_loss(network.palette(*batch).float(), target.float())
        return loss, {"palette": loss.detach()}


def _rtnet(path: Path) -> RTNet:
    record = weights.read_record(path)
    if record.recipe != "rtnet":
        raise ValueError(f"--rtnet {path} holds weights of {record.recipe}; export those of an rtnet run")
    network = weights.load(record)
    if not isinstance(network, RTNet):
        raise TypeError(f"{path} was loaded as {type(network).__name__}")
    return network


def errors(chroma: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Mean squared errors of U, V (B, 2, H, W) as 0..1: plain, and of the blurred pictures."""
    sigma = BLUR * truth.shape[-1] / REPORT_SIZE
    kernel = 2 * int(3 * sigma) + 1
    chroma = chroma.float()
    blurred = [gaussian_blur(each, [kernel, kernel], [sigma, sigma]) for each in (chroma, truth)]
    return F.mse_loss(chroma, truth), F.mse_loss(*blurred)


def draw_circles(size: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """A mask (1, size, size) float32 that is 1 within `count` circles at uniform places."""
    mask = np.zeros((1, size, size), np.float32)
    for _ in range(count):
        mask[0, _circle(rng.uniform(0, size, 2), size, rng)] = 1
    return mask


def _circle(centre: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Mask (size, size) of a circle, as large as the report draws them."""
    ys, xs = np.ogrid[:size, :size]
    radius = rng.uniform(*CIRCLE_RADII) * size
    return (ys - centre[0]) ** 2 + (xs - centre[1]) ** 2 <= radius**2
