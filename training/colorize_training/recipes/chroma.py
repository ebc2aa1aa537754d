"""`chroma`, the default network: late hints, a distribution and a regression, on simulated points and strokes."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from colorize_engine import weights
from colorize_engine.colour.conversions import srgb_to_lab
from colorize_engine.networks.bins import bin_centres
from colorize_engine.networks.chroma import Chroma, ChromaConfig
from colorize_engine.networks.encoders import ENCODERS
from colorize_engine.networks.served import CHROMA_STRIDE
from colorize_engine.networks.spaces import CIELAB
from torch import Tensor
from torch.nn import functional as F
from torch.optim import AdamW, Optimizer
from torchvision.models import MobileNet_V2_Weights

from colorize_training.backbones import starting_weights
from colorize_training.data import PackedPhotographs, draw_crop, planes, squash
from colorize_training.degradation import degrade
from colorize_training.hint_simulation import HintSettings, draw_hint, draw_hints, rasterize, recolour_region
from colorize_training.losses import BinTargets, bin_cross_entropy, class_weights, huber
from colorize_training.recipes.recipe import Recipe
from colorize_training.settings import LoopSettings, setting
from colorize_training.variants import VARIANTS

LOGITS_STRIDE = 4
TINT = 5.0  # ab deviation of a moved white balance
ENCODING = ("encoder.", "to2.", "to4.", "to8.", "to16.", "to32.")  # the encoder and what fits it to the decoder
FREQUENCY_SAMPLE = 600  # photographs that the bins' frequencies are counted on


@dataclass(frozen=True)
class ChromaSettings(HintSettings):
    """Settings of the `chroma` recipe."""

    encoder: str = setting("mobilenet_v2", "architecture", tuple(ENCODERS))
    frozen_stages: int = setting(2, "of the encoder, that training leaves alone")
    variant: str = setting("", "built otherwise, to compare with; the service cannot hold it", tuple(VARIANTS))
    depth: int = setting(4, "blocks of attention over the whole picture")
    refinement: int = setting(2, "convolutions at strides 8 and 4")
    finest: int = setting(32, "channels at stride 2")
    seed: int = setting(0, "of all randomness")
    batch: int = setting(32, "pictures a step, in each process")
    backbone: str = setting(
        "", "encoder's start: a .safetensors file, or random; default for mobilenet_v2: torchvision's"
    )
    start: str = setting("", "weights file of chroma to go on from: every part of it that has the same size here")
    encoder_lr: float = setting(2e-4, "learning rate of the encoder")
    lr: float = setting(1e-3, "learning rate of all else")
    weight_decay: float = setting(0.02, "of all but biases and norms")
    uniform_share: float = setting(0.5, "class rebalancing: 0 full inverse frequency, 1 none")
    distribution_weight: float = setting(0.5, "of the distribution's loss")
    regression_weight: float = setting(0.02, "of the regression's Huber loss, in ab units")
    degraded_share: float = setting(0.4, "share of pictures that each kind of ageing takes")
    share_tinted: float = setting(0.0, "share of pictures whose white balance is moved, the hints with it")


class Batch(NamedTuple):
    """lightness (B, 1, H, W) as the network sees it; hints (B, 3, H/2, W/2); ab (B, 2, H/2, W/2) the truth."""

    lightness: Tensor
    hints: Tensor
    ab: Tensor


class ChromaRecipe(Recipe[ChromaSettings, Chroma, Batch]):
    """See the module's text."""

    name = "chroma"
    Settings = ChromaSettings
    loop = LoopSettings(early_size=128, warm_up=200, ema=0.998, validate_size=224)
    space = CIELAB
    side = 256
    selection_metric = "psnr"

    def __init__(self, settings: ChromaSettings) -> None:
        super().__init__(settings)
        self.targets = BinTargets(bin_centres())
        self.weights = torch.ones(len(bin_centres()))

    def prepare(self, photographs: PackedPhotographs) -> None:
        rng = np.random.default_rng(self.settings.seed)
        sample = rng.permutation(len(photographs))[:FREQUENCY_SAMPLE]
        counts = torch.zeros(len(self.weights))
        for number in sample:
            ab = _truth(draw_crop(photographs[number], 64, rng))[1]
            bins, _ = self.targets(F.avg_pool2d(ab[None], LOGITS_STRIDE))
            counts += torch.bincount(bins[:, 0].flatten(), minlength=len(counts))
        self.weights = class_weights(counts, self.settings.uniform_share)

    def build(self) -> Chroma:
        s = self.settings
        config = ChromaConfig(encoder=s.encoder, depth=s.depth, refinement=s.refinement, finest=s.finest)
        network = VARIANTS[s.variant](config)
        if not (s.start and _go_on_from(Path(s.start), network)):
            if s.encoder != "mobilenet_v2" and not s.backbone:
                raise ValueError(f"torchvision has no weights of {s.encoder}: give them with --backbone, or say random")
            state = starting_weights(self.name, s.backbone, MobileNet_V2_Weights.IMAGENET1K_V1)
            if state is not None:
                network.encoder.load_imagenet(state)
        network.encoder.freeze(s.frozen_stages)
        return network

    def optimizers(self, network: Chroma) -> dict[str, Optimizer]:
        s = self.settings
        encoder = [p for p in network.encoder.parameters() if p.requires_grad]
        inside = {id(p) for p in network.encoder.parameters()}
        rest = [p for p in network.parameters() if id(p) not in inside]
        groups = [{"params": encoder, "lr": s.encoder_lr, "weight_decay": s.weight_decay}]
        groups.append({"params": [p for p in rest if p.ndim > 1], "lr": s.lr, "weight_decay": s.weight_decay})
        groups.append({"params": [p for p in rest if p.ndim <= 1], "lr": s.lr, "weight_decay": 0.0})
        return {"network": AdamW(groups, betas=(0.9, 0.98))}

    def sample(self, photograph: np.ndarray, size: int, rng: np.random.Generator, augment: bool = True) -> Batch:
        crop = draw_crop(photograph, size, rng) if augment else squash(photograph, size)
        lightness, true_ab = _truth(crop)
        ab: np.ndarray = F.avg_pool2d(true_ab, CHROMA_STRIDE).numpy()
        if not augment:
            return Batch(lightness, self._rasterized(draw_hints(ab, rng, self.settings), ab), torch.from_numpy(ab))
        if rng.random() < 1 / 3:  # the rest keeps its saturation
            ab = ab * np.float32(rng.uniform(0.8, 1.3))
        if rng.random() < self.settings.share_tinted:
            ab = ab + rng.normal(0, TINT, (2, 1, 1)).astype(np.float32)
        ab, hints = self._draw_hints(ab, rng)
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        aged = degrade(lightness[None], generator, self.settings.degraded_share)[0]
        return Batch(aged, hints, torch.from_numpy(ab))

    def _draw_hints(self, ab: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, Tensor]:
        """The truth ab (2, h, w), perhaps with one region recoloured, and hint planes (3, h, w) for it."""
        settings, region = self.settings, np.empty((0, 2), int)
        if rng.random() < settings.share_recoloured:
            ab, region = recolour_region(ab, rng, settings)
        hints = draw_hints(ab, rng, settings)
        if len(region):
            starts = region[rng.integers(len(region), size=rng.integers(1, 4))]
            hints += [draw_hint(ab, rng, settings, start) for start in starts]
        return ab, self._rasterized(hints, ab)

    @staticmethod
    def _rasterized(hints: list, ab: np.ndarray) -> Tensor:
        return torch.from_numpy(rasterize(hints, *ab.shape[1:]))

    def loss(self, network: Chroma, batch: Batch, objective: str) -> tuple[Tensor, dict[str, Tensor]]:
        output = network(batch.lightness, batch.hints)
        bins, shares = self.targets(F.avg_pool2d(batch.ab, LOGITS_STRIDE // CHROMA_STRIDE))
        distribution = bin_cross_entropy(output.logits, bins, shares, self.weights)
        regression = huber(output.ab, batch.ab)
        total = self.settings.distribution_weight * distribution + self.settings.regression_weight * regression
        return total, {"distribution": distribution.detach(), "regression": regression.detach()}


def _go_on_from(path: Path, network: Chroma) -> bool:
    """Take over the weights in `path`, as far as they fit; False where the encoder is another and still to be started.

    Prints the parts that are new.
    """
    record = weights.read_record(path)
    if record.recipe != ChromaRecipe.name:
        raise ValueError(f"--start {path} holds weights of {record.recipe}, not of {ChromaRecipe.name}")
    source, own = weights.load(record), network.state_dict()
    same = source.config.encoder == network.config.encoder
    state = {
        name: tensor
        for name, tensor in source.state_dict().items()
        if (same or not name.startswith(ENCODING)) and name in own and tensor.shape == own[name].shape
    }
    network.load_state_dict(state, strict=False)
    new = sorted({name.split(".")[0] for name in own.keys() - state.keys()})
    print(f"{ChromaRecipe.name}: goes on from {path.name}; new are: {', '.join(new) or 'no parts'}", flush=True)
    return same


def _truth(crop: np.ndarray) -> tuple[Tensor, Tensor]:
    """RGB (H, W, 3) uint8 -> L (1, H, W), ab (2, H, W)."""
    lab = srgb_to_lab(planes(crop))
    return lab[:1], lab[1:]
