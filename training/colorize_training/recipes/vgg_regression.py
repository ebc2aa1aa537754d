"""`vgg-regression` (Pathak, *Image Colorization*): u and v of CIELUV by regression from VGG16's features, on Flickr8k.

As in the report: 224x224 pixels whatever the aspect was, Huber loss (SmoothL1) averaged over pixels, Adam with 3e-6
for VGG's layers and 1e-3 for the rest, a learning rate that falls when the validation loss has not for one epoch, the
weights of the best validation kept, 75/15/10 for training, validation and test, no augmentation.

Silent in the report, and chosen here: a batch of 16 (it says "low", for want of memory); the regularization of its
fourth experiment, 1e-4 as Adam's weight decay; the rate of its fifth, 1e-4 for all parameters, between the two that it
replaces. The half training set of its third is `--training-share 0.5`. `gimp-colorize-train ablate` runs all six.
"""

from dataclasses import dataclass

import numpy as np
from colorize_engine.networks.spaces import CIELUV
from colorize_engine.networks.vgg_regression import LAST, UPSAMPLING, VggRegression, VggRegressionConfig
from torch import Tensor
from torch.nn import functional as F
from torch.optim import Adam, Optimizer
from torchvision.models import VGG16_Weights

from colorize_training.backbones import starting_weights
from colorize_training.data import PackedPhotographs, lightness_statistics
from colorize_training.ranges import BATCH, LEARNING_RATE, RATE_OR_NONE, SEED, WEIGHT
from colorize_training.recipes.recipe import SampledRecipe
from colorize_training.recipes.unit_chroma import Batch, squashed_sample
from colorize_training.settings import LoopSettings, setting

EPOCHS, EPOCH = 25, 6_000  # of the report: 75 % of Flickr8k's 8,000


@dataclass(frozen=True)
class VggRegressionSettings:
    """Settings of the `vgg-regression` recipe."""

    seed: int = setting(0, "of all randomness", SEED)
    batch: int = setting(16, "pictures a step, in each process", BATCH)
    backbone: str = setting("", "encoder's start: a .safetensors file of vgg16, or random; default: torchvision's")
    encoder_lr: float = setting(3e-6, "learning rate of VGG's layers", RATE_OR_NONE)
    lr: float = setting(1e-3, "learning rate of all else", LEARNING_RATE)
    weight_decay: float = setting(0.0, "regularization, as Adam's weight decay", WEIGHT)
    last: str = setting("sigmoid", "activation of the last layer", tuple(LAST))
    upsampling: str = setting("transpose", "the decoder's way to twice the size", UPSAMPLING)


class VggRegressionRecipe(SampledRecipe[VggRegressionSettings, VggRegression, Batch]):
    """See the module's text."""

    name = "vgg-regression"
    Settings = VggRegressionSettings
    loop = LoopSettings(
        samples=EPOCHS * EPOCH, size=224, schedule="plateau", clip=0.0, validate_every=EPOCH, validate_on=1_200
    )
    space = CIELUV
    mean, deviation = VggRegressionConfig.mean, VggRegressionConfig.deviation

    def prepare(self, photographs: PackedPhotographs) -> None:
        self.mean, self.deviation = lightness_statistics(photographs)

    def build(self) -> VggRegression:
        s = self.settings
        network = VggRegression(VggRegressionConfig(self.mean, self.deviation, s.last, s.upsampling))
        state = starting_weights(self.name, s.backbone, VGG16_Weights.IMAGENET1K_V1)
        if state is not None:
            network.encoder.load_imagenet(state)
        return network

    def optimizers(self, network: VggRegression) -> dict[str, Optimizer]:
        encoder = list(network.encoder.parameters())
        inside = {id(p) for p in encoder}
        rest = [p for p in network.parameters() if id(p) not in inside]
        groups = [{"params": encoder, "lr": self.settings.encoder_lr}, {"params": rest, "lr": self.settings.lr}]
        return {"network": Adam(groups, weight_decay=self.settings.weight_decay, fused=True)}

    def sample(self, photograph: np.ndarray, size: int, rng: np.random.Generator, augment: bool = True) -> Batch:
        return squashed_sample(photograph, size, CIELUV)

    def loss(self, network: VggRegression, batch: Batch, objective: str) -> tuple[Tensor, dict[str, Tensor]]:
        loss = F.smooth_l1_loss(network.predict(batch.lightness).float(), batch.chroma)
        return loss, {"huber": loss.detach()}
