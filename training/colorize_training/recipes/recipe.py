"""The recipes: one trainable system a file, found by name.

A recipe says what is trained and how one picture is drawn and judged; the loop, once for all, does the rest.
"""

from abc import ABC, abstractmethod
from importlib import import_module
from typing import Any, ClassVar, NamedTuple

import numpy as np
from colorize_engine.networks.spaces import ChromaSpace
from torch import Tensor, nn
from torch.optim import Optimizer

from colorize_training.data import PackedPhotographs
from colorize_training.names import RECIPES
from colorize_training.settings import LoopSettings


class Turn(NamedTuple):
    """One update within a step: the player (a name of an optimizer) learns from the objective (a name of a loss)."""

    player: str
    objective: str


ALONE = Turn("network", "loss")


class Recipe(ABC):
    """One trainable system.

    `Settings` is a frozen dataclass (see `settings.setting`) with at least `seed` and `batch`; `loop` are the loop's
    defaults for this recipe; `space` is where its own chroma error is measured; `split` the shares in percent of
    training, validation and test where one set of photographs is given; `served_prefix` where in the trained module
    the served network lies; `side` of the network's picture in the service, 0 for the size of the training pictures;
    `judged_by` what chooses the best checkpoint on the validation photographs: "loss" (lowest) or "psnr" (highest sum
    of the PSNR after no and after 10 hints).
    """

    name: ClassVar[str]
    Settings: ClassVar[type]
    loop: ClassVar[LoopSettings]
    space: ClassVar[ChromaSpace]
    split: ClassVar[tuple[int, int, int]] = (75, 15, 10)
    served_prefix: ClassVar[str] = ""
    side: ClassVar[int] = 0
    judged_by: ClassVar[str] = "loss"

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    def prepare(self, photographs: PackedPhotographs) -> None:  # noqa: B027  most need nothing
        """Measure what the network and the losses need of the training photographs, once, before `build`."""

    @abstractmethod
    def build(self) -> nn.Module:
        """The module to train, with its starting weights; it holds the served network at `served_prefix`."""

    @abstractmethod
    def optimizers(self, network: nn.Module) -> dict[str, Optimizer]:
        """Each player's optimizer, its groups' `lr` at full rate."""

    def turns(self, progress: float) -> tuple[Turn, ...]:
        """Who learns what, in order, in a step after this share 0..1 of the run."""
        return (ALONE,)

    @abstractmethod
    def sample(self, photograph: np.ndarray, size: int, rng: np.random.Generator, augment: bool = True) -> NamedTuple:
        """What the losses need of one photograph (H, W, 3) uint8, as tensors without a batch axis.

        All randomness comes from `rng`. Without `augment` (validation) it is the photograph itself, squashed.
        """

    @abstractmethod
    def loss(self, network: nn.Module, batch: Any, objective: str) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean loss of a batch (samples, stacked), and its parts for the log, detached."""


def recipe_class(name: str) -> type[Recipe]:
    """The class of a recipe. Raises KeyError for an unknown name."""
    module, _, own = RECIPES[name].partition(":")
    return getattr(import_module(f"{__name__}.{module}"), own)
