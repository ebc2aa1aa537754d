"""`chroma`, the default network: late hints, a distribution, a regression, and what the hints reach.

Every photograph is encoded once and decoded up to three times: with strokes of one colour on one thing; some also
without hints; some also with strokes on several things, or many points of true colours (see `hint_drawing`). With hints
the things have taken the colours that are asked for, and the network says also where the things are. Things are what
people drew on label maps beside the photographs (see `data.things`), and regions that are found (see `data.regions`).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from colorize_engine import weights
from colorize_engine.colour.conversions import srgb_to_lab
from colorize_engine.networks.bins import bin_centres
from colorize_engine.networks.chroma import Chroma, ChromaConfig, Embedding
from colorize_engine.networks.encoders import ENCODERS
from colorize_engine.networks.served import CHROMA_STRIDE
from colorize_engine.networks.spaces import CIELAB
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F
from torch.optim import AdamW, Optimizer
from torchvision.models import MobileNet_V2_Weights

from colorize_training.backbones import starting_weights
from colorize_training.chances import Chances
from colorize_training.data import PackedPhotographs, ResidentPhotographs, Views, draw_crop, planes
from colorize_training.degradation import degrade
from colorize_training.hint_drawing import CANDIDATES, Hints, HintSettings, draw_hints
from colorize_training.losses import BinTargets, bin_cross_entropy, class_weights, huber, reach_iou, reach_loss
from colorize_training.ranges import BATCH, LEARNING_RATE, RATE_OR_NONE, SEED, SHARE, STEPS, WEIGHT, Within
from colorize_training.recipes.recipe import Recipe
from colorize_training.settings import LoopSettings, setting
from colorize_training.variants import VARIANTS

LOGITS_STRIDE = 4
ENCODING = ("encoder.", "to2.", "to4.", "to8.", "to16.", "to32.")  # the encoder and what fits it to the decoder
HINT_INPUTS = ("hints16.weight", "hints4.weight", "hints2.weight")  # convolutions that see hint planes
FREQUENCY_SAMPLE = 600  # photographs that the bins' frequencies are counted on


@dataclass(frozen=True)
class ChromaSettings(HintSettings):
    """Settings of the `chroma` recipe."""

    encoder: str = setting("resnet50_v2", "architecture", tuple(ENCODERS))
    frozen_stages: int = setting(0, "of the encoder, that training leaves alone", Within(int, 0, 5))
    variant: str = setting("", "built otherwise, to compare with; the service cannot hold it", tuple(VARIANTS))
    depth: int = setting(4, "blocks of attention over the whole picture", Within(int, 0, 64))
    refinement: int = setting(2, "convolutions at strides 8 and 4", Within(int, 0, 64))
    finest: int = setting(32, "channels at stride 2", Within(int, 1, 1024))
    seed: int = setting(0, "of all randomness", SEED)
    batch: int = setting(32, "pictures a step, in each process", BATCH)
    backbone: str = setting(
        "", "encoder's start: a .safetensors file, or random; default for mobilenet_v2: torchvision's"
    )
    start: str = setting("", "weights file of chroma to go on from: every part of it that has the same size here")
    encoder_lr: float = setting(2e-4, "learning rate of the encoder", RATE_OR_NONE)
    lr: float = setting(1e-3, "learning rate of all else", LEARNING_RATE)
    weight_decay: float = setting(0.02, "of all but biases and norms", WEIGHT)
    uniform_share: float = setting(0.5, "class rebalancing: 0 full inverse frequency, 1 none", SHARE)
    distribution_weight: float = setting(0.4, "of the distribution's loss", WEIGHT)
    regression_weight: float = setting(0.025, "of the regression's Huber loss, in ab units", WEIGHT)
    thing_weight: float = setting(0.05, "of the same within the one thing, in which colour counts once more", WEIGHT)
    reach_weight: float = setting(1.5, "of the loss of what strokes on one thing reach", WEIGHT)
    several_weight: float = setting(1.75, "of the loss of what strokes on several things reach", WEIGHT)
    silence_weight: float = setting(0.1, "of the mean reach where there is no hint", WEIGHT)
    plain_every: int = setting(4, "one picture in so many is decoded without hints too", STEPS)
    several_every: int = setting(2, "one in so many is decoded with several things, or points, too", STEPS)
    drawn_share: float = setting(0.12, "share of the samples whose photographs have drawn things, at least", SHARE)
    degraded_share: float = setting(0.4, "share of pictures that each kind of ageing takes", SHARE)


class Cut(NamedTuple):
    """What is cut from photographs, before anything is painted on it.

    rgb (B, 3, H, W) in 0..1; drawn (B, CANDIDATES, H/2, W/2) bool, things that people drew or nothing; regions
    (B, maps, H/2, W/2) uint8, found ones by numbers.
    """

    rgb: Tensor
    drawn: Tensor
    regions: Tensor


class Batch(NamedTuple):
    """lightness (B, 1, H, W) as the network sees it; ab (B, 2, H/2, W/2) the truth; two sets of hints (see `Hints`)."""

    lightness: Tensor
    ab: Tensor
    one: Hints
    several: Hints


class ChromaRecipe(Recipe[ChromaSettings, Chroma, Batch]):
    """See the module's text."""

    name = "chroma"
    Settings = ChromaSettings
    loop = LoopSettings(
        size=224, early_size=160, early_share=0.5, warm_up=300, fall_share=0.55, ema=0.9985, validate_size=224
    )
    space = CIELAB
    side = 256
    selection_metric = "psnr"
    needs_regions = True

    def __init__(self, settings: ChromaSettings) -> None:
        super().__init__(settings)
        self.targets = BinTargets(bin_centres())
        self.weights = torch.ones(len(bin_centres()))

    def prepare(self, photographs: PackedPhotographs) -> None:
        rng = np.random.default_rng(self.settings.seed)
        sample = rng.permutation(len(photographs))[:FREQUENCY_SAMPLE]
        counts = torch.zeros(len(self.weights))
        for number in sample:
            ab = srgb_to_lab(planes(draw_crop(photographs[number], 64, rng)))[1:]
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

    @torch.no_grad()
    def batch(
        self, photographs: ResidentPhotographs, numbers: np.ndarray, seeds: Tensor, size: int, augment: bool = True
    ) -> Batch:
        """As in `Recipe`; in the place of some comes a photograph with drawn things, so that those are seen often."""
        chances, share = Chances(seeds.to(photographs.device)), self.settings.degraded_share
        with torch.autocast(photographs.device.type, enabled=False):
            cut = self.cut(photographs, torch.from_numpy(numbers).to(photographs.device), chances, size, augment)
            lab = srgb_to_lab(cut.rgb)
            lightness, ab = lab[:, :1], F.avg_pool2d(lab[:, 1:], CHROMA_STRIDE)
            if augment:
                lightness = degrade(lightness, chances, share)
                saturation = chances.uniform(1, 1, 1, low=0.8, high=1.3)
                ab = torch.where(chances.happens(1 / 3, 1, 1, 1), saturation * ab, ab)
            return Batch(lightness, ab, *draw_hints(ab, cut.drawn, cut.regions, chances, self.settings))

    def cut(
        self, photographs: ResidentPhotographs, numbers: Tensor, chances: Chances, size: int, augment: bool = True
    ) -> Cut:
        """A view of each photograph, and the things in it."""
        things = photographs.with_things
        if augment and len(things):
            instead = chances.happens(_more_often(len(things) / len(photographs), self.settings))
            numbers = torch.where(instead, things[(chances.uniform() * len(things)).long()], numbers)
        sides = photographs.heights[numbers], photographs.widths[numbers]
        views, cells = Views.draw(*sides, chances) if augment else Views.whole(*sides), size // CHROMA_STRIDE
        return Cut(
            photographs.pixels(numbers, views, size),
            photographs.drawn(numbers, views, cells, chances.uniform(CANDIDATES)),
            photographs.regions(numbers, views, cells),
        )

    def loss(self, network: Chroma, batch: Batch, objective: str) -> tuple[Tensor, dict[str, Tensor]]:
        s, (lightness, ab, one, several) = self.settings, batch
        embedding = network.encode(lightness.contiguous(memory_format=torch.channels_last))
        plain, more = slice(None, None, s.plain_every), slice(None, None, s.several_every)
        several = Hints(*(part[more] for part in several))
        all_of_them = Embedding(*(torch.cat([part[plain], part, part[more]]) for part in embedding))
        hints = torch.cat([torch.zeros_like(one.planes[plain]), one.planes, several.planes])
        output, truth = network.decode(all_of_them, hints), torch.cat([ab[plain], one.ab, several.ab])
        bins, shares = self.targets(F.avg_pool2d(truth, LOGITS_STRIDE // CHROMA_STRIDE))
        distribution = bin_cross_entropy(network.logits(output), bins, shares, self.weights)
        parts = [len(ab[plain]), len(ab), len(several.ab)]
        regression, (_, coloured, _) = huber(output.ab, truth), output.ab.split(parts)
        inside = (one.reach & one.known[:, None, None])[:, None]
        thing = huber(torch.where(inside, coloured.float(), 0.0), torch.where(inside, one.ab, 0.0))
        silent, reached, together = output.reach[:, 0].float().split(parts)
        losses = {
            "distribution": (s.distribution_weight, distribution),
            "regression": (s.regression_weight, regression),
            "thing": (s.thing_weight, thing),
            "reach": (s.reach_weight, reach_loss(reached, one.reach, one.known)),
            "several": (s.several_weight, reach_loss(together, several.reach, several.known)),
            "silence": (s.silence_weight, torch.sigmoid(silent).mean()),
        }
        named = {name: loss.detach() for name, (_, loss) in losses.items()}
        named |= {"reach_iou": reach_iou(reached, one.reach)}
        return torch.stack([weight * loss for weight, loss in losses.values()]).sum(), named


def _more_often(natural: float, settings: ChromaSettings) -> float:
    """Share of the samples that are drawn anew from photographs with things, which `natural` of the photographs are."""
    return max(0.0, (settings.drawn_share - natural) / (1 - natural)) if natural < 1 else 0.0


def _go_on_from(path: Path, network: Chroma) -> bool:
    """Take over the weights in `path`, as far as they fit; False where the encoder is another and still to be started.

    Of a convolution that sees more kinds of hints than then, the old ones' weights stay, and the new ones start from
    nothing. Prints the parts that are new.
    """
    record = weights.read_record(path)
    if record.recipe != ChromaRecipe.name:
        raise ValueError(f"--start {path} holds weights of {record.recipe}, not of {ChromaRecipe.name}")
    source, own = load_file(path), network.state_dict()
    if weights.digest(source) != record.sha256:
        raise ValueError(f"--start {path} is damaged: its contents do not match its hash")
    same = record.config["encoder"] == network.config.encoder
    source = {name: _widened(name, tensor.float(), own) for name, tensor in source.items() if name in own}
    state = {
        name: tensor
        for name, tensor in source.items()
        if (same or not name.startswith(ENCODING)) and tensor.shape == own[name].shape
    }
    network.load_state_dict(state, strict=False)
    new = sorted({name.split(".")[0] for name in own.keys() - state.keys()})
    print(f"{ChromaRecipe.name}: goes on from {path.name}; new are: {', '.join(new) or 'no parts'}", flush=True)
    return same


def _widened(name: str, tensor: Tensor, own: dict[str, Tensor]) -> Tensor:
    """A convolution's weights of fewer hint planes as `own` has them; zeros for those that it did not know."""
    if name not in HINT_INPUTS or tensor.shape[0] != own[name].shape[0]:
        return tensor
    return F.pad(tensor, (0, 0, 0, 0, 0, max(0, own[name].shape[1] - tensor.shape[1])))
