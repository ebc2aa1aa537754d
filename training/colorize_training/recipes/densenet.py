"""`densenet` (Akbulut and Atay, *Image Colorization with DenseNet*): ab from DenseNet-121's first layers.

Regression, on few and much augmented photographs.
Silent in the report, and chosen here: Adam with 1e-3 and constant rate and a batch of 32; ab -110..110 as 0..1 for the
squared error (its source, Automatic Image Colorization, scales by (ab + 128) / 255); the split 80/10/10; and each
augmentation's strength. The report makes four pictures of each photograph before training; here each of the four
augmentations is drawn again with probability 1/2 whenever a photograph is seen, and one of the report's forty epochs
counts four times its 6,000 photographs. Noise is added to the lightness alone: noise in the truth cannot be learned.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from colorize_engine.networks.densenet import DenseNetConfig, DenseNetRegression
from colorize_engine.networks.spaces import CIELAB
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F
from torch.optim import Adam, Optimizer
from torchvision.models import DenseNet121_Weights

from colorize_training.backbones import starting_weights
from colorize_training.data import planes, squash
from colorize_training.ranges import BATCH, LEARNING_RATE, SEED, Within
from colorize_training.recipes.recipe import SampledRecipe
from colorize_training.settings import LoopSettings, setting

EPOCHS, PHOTOGRAPHS, COPIES = 40, 6_000, 4  # of the report: 24,000 pictures an epoch
SHARE = 0.5  # of the pictures that each augmentation changes


@dataclass(frozen=True)
class DenseNetSettings:
    """Settings of the `densenet` recipe."""

    seed: int = setting(0, "of all randomness", SEED)
    batch: int = setting(32, "pictures a step", BATCH)
    backbone: str = setting(
        "", "starting weights: a .safetensors file of densenet121, or random; default torchvision's"
    )
    norm_eps: float = setting(
        1e-5,
        "eps of the encoder's batch norms; 1.001e-5 for starting weights from Keras",
        Within(float, 0, 1, above=True),
    )
    lr: float = setting(1e-3, "Adam's learning rate", LEARNING_RATE)
    augmentation: bool = setting(True, "noise, rotation and flips, each for half of the pictures")
    noise: float = setting(5.0, "largest standard deviation of the noise, in units of L", Within(float, 0, 100))
    rotation: float = setting(25.0, "largest angle of the rotation, in degrees to either side", Within(float, 0, 180))


class Batch(NamedTuple):
    """lightness (B, 1, H, W) in 0..100; ab (B, 2, H, W) the truth, -110..110 as 0..1."""

    lightness: Tensor
    ab: Tensor


class Augmentation(NamedTuple):
    """What is done to one picture: angle in degrees; noise the standard deviation in units of L, drawn from `seed`."""

    mirrored: bool
    upside_down: bool
    angle: float
    noise: float
    seed: int


NONE = Augmentation(mirrored=False, upside_down=False, angle=0.0, noise=0.0, seed=0)


class DenseNetRecipe(SampledRecipe[DenseNetSettings, DenseNetRegression, Batch]):
    """See the module's text."""

    name = "densenet"
    Settings = DenseNetSettings
    loop = LoopSettings(samples=EPOCHS * PHOTOGRAPHS * COPIES, size=224, schedule="constant")
    space = CIELAB
    split = (80, 10, 10)

    def build(self) -> DenseNetRegression:
        network = DenseNetRegression(DenseNetConfig(self.settings.norm_eps))
        state = starting_weights(self.name, self.settings.backbone, DenseNet121_Weights.IMAGENET1K_V1)
        if state is not None:
            network.load_imagenet(state)
        return network

    def optimizers(self, network: DenseNetRegression) -> dict[str, Optimizer]:
        return {"network": Adam(network.parameters(), lr=self.settings.lr, fused=True)}

    def sample(self, photograph: np.ndarray, size: int, rng: np.random.Generator, augment: bool = True) -> Batch:
        """The photograph squashed to a square, then augmented."""
        changes = draw_augmentation(rng, self.settings) if augment and self.settings.augmentation else NONE
        turned = turn(squash(photograph, size), changes)
        lightness, ab = CIELAB.from_srgb(planes(turned)[None])
        return Batch(add_noise(lightness[0] * 100, changes), ab[0])

    def loss(self, network: DenseNetRegression, batch: Batch, objective: str) -> tuple[Tensor, dict[str, Tensor]]:
        loss = F.mse_loss(network.predict(batch.lightness).float(), batch.ab)
        return loss, {"mse": loss.detach()}


def draw_augmentation(rng: np.random.Generator, settings: DenseNetSettings) -> Augmentation:
    """Each of the report's four augmentations with probability 1/2."""
    mirrored, upside_down, rotated, noisy = rng.random(4) < SHARE
    angle, noise = rng.uniform(-settings.rotation, settings.rotation), rng.uniform(0, settings.noise)
    seed = int(rng.integers(2**62))
    return Augmentation(bool(mirrored), bool(upside_down), angle if rotated else 0.0, noise if noisy else 0.0, seed)


def turn(picture: np.ndarray, changes: Augmentation) -> np.ndarray:
    """The picture (H, W, 3) uint8 flipped and rotated; what comes in at the corners is its mirror image."""
    picture = picture[:: -1 if changes.upside_down else 1, :: -1 if changes.mirrored else 1]
    if changes.angle:
        picture = ndimage.rotate(picture, changes.angle, reshape=False, order=1, mode="mirror")
    return picture


def add_noise(lightness: Tensor, changes: Augmentation) -> Tensor:
    """L (1, H, W) in 0..100 with Gaussian noise."""
    if not changes.noise:
        return lightness
    noise = np.random.default_rng(changes.seed).normal(0, changes.noise, lightness.shape)
    return (lightness + torch.from_numpy(noise).to(lightness)).clamp(0, 100)
