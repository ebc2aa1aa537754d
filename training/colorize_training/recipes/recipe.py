"""What a recipe is: one trainable system, as the loop, the validation and the export see it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from colorize_engine.networks.spaces import ChromaSpace
from torch import Tensor, nn
from torch.optim import Optimizer

from colorize_training.data import PackedPhotographs, ResidentPhotographs
from colorize_training.settings import LoopSettings, Settings


class RecipeSettings(Settings, Protocol):
    """A frozen dataclass of `settings.setting` fields, among them these two."""

    @property
    def seed(self) -> int:
        """Of all randomness."""

    @property
    def batch(self) -> int:
        """Pictures a step, in each process."""


SettingsT = TypeVar("SettingsT", bound=RecipeSettings)
NetworkT = TypeVar("NetworkT", bound=nn.Module)
BatchT = TypeVar("BatchT", bound=NamedTuple)


class Turn(NamedTuple):
    """One update within a step: the player (a name of an optimizer) learns from the objective (a name of a loss)."""

    player: str
    objective: str


ALONE = Turn("network", "loss")


class Recipe(ABC, Generic[SettingsT, NetworkT, BatchT]):
    """One trainable system: its settings, the module that is trained, and its batch, NamedTuples of tensors.

    `Settings` is the class of the settings, which has a default for each; `loop` are the loop's defaults for this
    recipe; `space` is where its own chroma error is measured; `split` the shares in percent of training, validation and
    test where one set of photographs is given; `served_prefix` where in the trained module the served network lies;
    `side` of the network's picture in the service, 0 for the size of the training pictures; `selection_metric` what
    chooses the best checkpoint on the validation photographs: "loss" (lowest) or "psnr" (highest sum of the PSNR after
    no and after 10 hints); `needs_regions` whether photographs must have those of `data.regions`; `drawn_ahead` whether
    batches are drawn by other threads, in memory, before they are learned from.
    """

    name: ClassVar[str]
    Settings: ClassVar[type[RecipeSettings]]
    loop: ClassVar[LoopSettings]
    space: ClassVar[ChromaSpace]
    split: ClassVar[tuple[int, int, int]] = (75, 15, 10)
    served_prefix: ClassVar[str] = ""
    side: ClassVar[int] = 0
    selection_metric: ClassVar[str] = "loss"
    needs_regions: ClassVar[bool] = False
    drawn_ahead: ClassVar[bool] = False

    def __init__(self, settings: SettingsT) -> None:
        self.settings = settings

    def prepare(self, photographs: PackedPhotographs) -> None:  # noqa: B027  most need nothing
        """Measure what the network and the losses need of the training photographs, once, before `build`."""

    @abstractmethod
    def build(self) -> NetworkT:
        """The module to train, with its starting weights; it holds the served network at `served_prefix`."""

    @abstractmethod
    def optimizers(self, network: NetworkT) -> dict[str, Optimizer]:
        """Each player's optimizer, its groups' `lr` at full rate."""

    def turns(self, progress: float) -> tuple[Turn, ...]:
        """Who learns what, in order, in a step after this share 0..1 of the run."""
        return (ALONE,)

    @abstractmethod
    def batch(
        self, photographs: ResidentPhotographs, numbers: np.ndarray, seeds: Tensor, size: int, augment: bool = True
    ) -> BatchT:
        """What the losses need of the photographs `numbers` (B,), on the device on which these lie.

        All randomness of each comes from its own of the seeds (B,). Without `augment` (validation) it is the
        photograph itself, squashed.
        """

    @abstractmethod
    def loss(self, network: NetworkT, batch: BatchT, objective: str) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean loss of a batch (samples, stacked), and its parts for the log, detached."""


class SampledRecipe(Recipe[SettingsT, NetworkT, BatchT]):
    """A recipe whose pictures are drawn one by one, ahead of time, on the processor."""

    drawn_ahead = True

    @abstractmethod
    def sample(self, photograph: np.ndarray, size: int, rng: np.random.Generator, augment: bool = True) -> BatchT:
        """What the losses need of one photograph (H, W, 3) uint8, as tensors without a batch axis.

        All randomness comes from `rng`. Without `augment` it is the photograph itself, squashed.
        """

    def batch(
        self, photographs: ResidentPhotographs, numbers: np.ndarray, seeds: Tensor, size: int, augment: bool = True
    ) -> BatchT:
        rngs = map(np.random.default_rng, seeds.tolist())
        packed = photographs.packed
        return stack([self.sample(packed[n], size, rng, augment) for n, rng in zip(numbers, rngs, strict=True)])


def stack(samples: Sequence[BatchT]) -> BatchT:
    """A batch of samples."""
    return type(samples[0])._make(torch.stack(parts) for parts in zip(*samples, strict=True))


def to_device(batch: BatchT, device: torch.device) -> BatchT:
    """The batch, whose parts are tensors or batches, on this device."""
    return type(batch)._make(
        part.to(device, non_blocking=True) if isinstance(part, Tensor) else to_device(part, device) for part in batch
    )
