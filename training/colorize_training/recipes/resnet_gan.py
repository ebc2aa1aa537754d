"""`resnet-gan`: a ResNet-18 U-Net, L1 first, then a GAN.

Zia and Malik, *Image Colorization using Conditional Generative Adversarial Networks*.

The generator is trained with L1 alone and then against a patch discriminator.

The report names pix2pix (Isola et al. 2017) as its approach. Where it is silent we take pix2pix's numbers: the weight
100 of the L1 loss, Adam with 2e-4 and betas 0.5 and 0.999, normal(0, 0.02) starts of the discriminator, the
discriminator's loss halved, mirrored pictures. L1 is measured on ab / 110, within -1..1 as pix2pix's pictures are.
L1 pretraining has an optimizer of its own with Adam's usual betas and 1e-4, which the report does not name either: the
adversarial stage begins with fresh moments. Learning rates stay constant and gradients whole, as in pix2pix's first
hundred epochs.

The report keeps the last weights and asks people; by error alone the best are always those of the L1 stage. So the best
checkpoint is the one with the best PSNR, and the last is the report's.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from colorize_engine.colour.constants import AB_SCALE
from colorize_engine.colour.conversions import srgb_to_lab
from colorize_engine.networks.resnet_unet import ResNetUNet, ResNetUNetConfig
from colorize_engine.networks.spaces import CIELAB
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Adam, Optimizer
from torchvision.models import ResNet18_Weights

from colorize_training.backbones import starting_weights
from colorize_training.batch_norms import folded, unfold
from colorize_training.data import PackedPhotographs, planes, squash
from colorize_training.ranges import BATCH, DECAY, LEARNING_RATE, SEED, SHARE, WEIGHT
from colorize_training.recipes.recipe import SampledRecipe, Turn
from colorize_training.settings import LoopSettings, setting

PRETRAINING_EPOCHS, EPOCHS, PHOTOGRAPHS = 10, 26, 8_000  # of the report
MEASURED, MEASURED_SIZE = 32, 128  # photographs and their side on which folded batch norms get their statistics


@dataclass(frozen=True)
class ResNetGanSettings:
    """Settings of the `resnet-gan` recipe."""

    seed: int = setting(0, "of all randomness", SEED)
    batch: int = setting(16, "pictures a step", BATCH)
    backbone: str = setting("", "starting weights: a .safetensors file of resnet18, or random; default torchvision's")
    upsampling: str = setting("pixel-shuffle", "the decoder's way to twice the size", ("pixel-shuffle", "upsample"))
    pretraining_share: float = setting(PRETRAINING_EPOCHS / EPOCHS, "share of the run that learns from L1 alone", SHARE)
    pretraining_lr: float = setting(1e-4, "learning rate of the generator in that share", LEARNING_RATE)
    generator_lr: float = setting(2e-4, "learning rate of the generator against the discriminator", LEARNING_RATE)
    discriminator_lr: float = setting(2e-4, "learning rate of the discriminator", LEARNING_RATE)
    beta1: float = setting(0.5, "Adam's first beta in the adversarial stage", DECAY)
    l1_weight: float = setting(100.0, "weight of the L1 loss beside the adversarial one", WEIGHT)


class Batch(NamedTuple):
    """lightness (B, 1, H, W) in 0..100; ab (B, 2, H, W) the truth, divided by 110."""

    lightness: Tensor
    ab: Tensor


class PatchDiscriminator(nn.Sequential):
    """L / 50 - 1 and ab / 110 (B, 3, H, W) -> logits of "real" (B, 1, h, w), each of a patch of 70 x 70 pixels.

    256 x 256 pixels give 30 x 30 patches. pix2pix's C64-C128-C256-C512: 4x4 convolutions, LeakyReLU 0.2, batch norm
    but in the first and the last layer.
    """

    WIDTHS = (64, 128, 256, 512)

    def __init__(self) -> None:
        first, *rest = self.WIDTHS
        layers: list[nn.Module] = [nn.Conv2d(3, first, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        for channels, out in zip(self.WIDTHS, rest, strict=False):
            stride = 1 if out == rest[-1] else 2
            layers.append(nn.Conv2d(channels, out, 4, stride=stride, padding=1, bias=False))
            layers += [nn.BatchNorm2d(out), nn.LeakyReLU(0.2)]
        super().__init__(*layers, nn.Conv2d(rest[-1], 1, 4, padding=1))
        self.apply(_start_normal)


class Players(nn.Module):
    """What is trained; the generator alone is served."""

    def __init__(self, generator: ResNetUNet) -> None:
        super().__init__()
        self.generator = generator
        self.discriminator = PatchDiscriminator()

    def judge(self, lightness: Tensor, ab: Tensor) -> Tensor:
        """The discriminator's logits (B, 1, h, w) in float32."""
        return self.discriminator(torch.cat([lightness / 50 - 1, ab], 1)).float()


class ResNetGanRecipe(SampledRecipe[ResNetGanSettings, Players, Batch]):
    """See the module's text; objectives "l1", "discriminate" and "fool"."""

    name = "resnet-gan"
    Settings = ResNetGanSettings
    loop = LoopSettings(samples=EPOCHS * PHOTOGRAPHS, size=256, schedule="constant", clip=0.0)
    space = CIELAB
    split = (80, 20, 0)
    served_prefix = "generator."
    selection_metric = "psnr"

    def __init__(self, settings: ResNetGanSettings) -> None:
        super().__init__(settings)
        self.measured: Tensor | None = None

    def prepare(self, photographs: PackedPhotographs) -> None:
        """Keep a few pictures' lightness: starting weights with folded batch norms need statistics."""
        rng = np.random.default_rng(self.settings.seed)
        numbers = rng.permutation(len(photographs))[:MEASURED]
        kept = [self.sample(photographs[n], MEASURED_SIZE, rng, augment=False).lightness for n in numbers]
        self.measured = torch.stack(kept)

    def build(self) -> Players:
        players = Players(ResNetUNet(ResNetUNetConfig(self.settings.upsampling)))
        state = starting_weights(self.name, self.settings.backbone, ResNet18_Weights.IMAGENET1K_V1)
        if state is not None:
            self._start(players.generator, state)
        return players

    def _start(self, generator: ResNetUNet, state: dict[str, Tensor]) -> None:
        if not generator.encoder.load_imagenet(state):
            print(f"{self.name}: these weights have no layer4: IT STARTS FROM RANDOM WEIGHTS", flush=True)
        if folded(state):
            if self.measured is None:
                raise ValueError("starting weights with folded batch norms need photographs: call prepare() first")
            print(f"{self.name}: folded batch norms get the statistics of {len(self.measured)} photographs", flush=True)
            unfold(generator.encoder, self.measured / 50 - 1)

    def optimizers(self, network: Players) -> dict[str, Optimizer]:
        """ "pretraining" and "generator" hold the same parameters, for the two stages."""
        s, generator = self.settings, list(network.generator.parameters())
        betas = (s.beta1, 0.999)
        return {
            "pretraining": Adam(generator, lr=s.pretraining_lr, fused=True),
            "generator": Adam(generator, lr=s.generator_lr, betas=betas, fused=True),
            "discriminator": Adam(network.discriminator.parameters(), lr=s.discriminator_lr, betas=betas, fused=True),
        }

    def turns(self, progress: float) -> tuple[Turn, ...]:
        if progress < self.settings.pretraining_share:
            return (Turn("pretraining", "l1"),)
        return Turn("discriminator", "discriminate"), Turn("generator", "fool")

    def sample(self, photograph: np.ndarray, size: int, rng: np.random.Generator, augment: bool = True) -> Batch:
        """The photograph squashed to a square, as the report does, and mirrored half of the time."""
        lab = srgb_to_lab(planes(squash(photograph, size)))
        if augment and rng.random() < 0.5:
            lab = lab.flip(2)
        return Batch(lab[:1], lab[1:] / AB_SCALE)

    def loss(self, network: Players, batch: Batch, objective: str) -> tuple[Tensor, dict[str, Tensor]]:
        """Raises KeyError for an unknown objective."""
        return {"l1": _l1, "discriminate": _discriminate, "fool": self._fool}[objective](network, batch)

    def _fool(self, network: Players, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The generator's: to be taken for real, and near the truth; the discriminator learns nothing from it."""
        ab = network.generator.predict(batch.lightness)
        with _frozen(network.discriminator):
            logits = network.judge(batch.lightness, ab)
        gan, l1 = _cross_entropy(logits, real=True), F.l1_loss(ab.float(), batch.ab)
        return gan + self.settings.l1_weight * l1, {"gan": gan.detach(), "l1": l1.detach()}


def _l1(network: Players, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
    loss = F.l1_loss(network.generator.predict(batch.lightness).float(), batch.ab)
    return loss, {"l1": loss.detach()}


def _discriminate(network: Players, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
    """The discriminator's: to tell the truth from the generator's picture; the generator learns nothing from it."""
    with torch.no_grad():
        ab = network.generator.predict(batch.lightness)
    real, fake = network.judge(batch.lightness, batch.ab), network.judge(batch.lightness, ab)
    loss = (_cross_entropy(real, real=True) + _cross_entropy(fake, real=False)) / 2
    scores = {"real": real, "fake": fake}
    return loss, {name: logits.detach().sigmoid().mean() for name, logits in scores.items()}


def _cross_entropy(logits: Tensor, real: bool) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(real)))


@contextmanager
def _frozen(module: nn.Module) -> Iterator[None]:
    """Gradients pass through the module, and none stay in its parameters."""
    learning = [parameter for parameter in module.parameters() if parameter.requires_grad]
    module.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)


def _start_normal(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0 if isinstance(module, nn.BatchNorm2d) else 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
