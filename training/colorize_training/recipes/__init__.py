"""The recipes: one trainable system a file, found by name.

A recipe says what is trained and how one step is drawn and judged; the loop, once for all, does the rest.
"""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from torch import Tensor, nn

from colorize_training.data import PackedPhotographs


class Recipe(Protocol):
    """One trainable system. `settings` is a frozen dataclass; each of its fields is an option of the command line."""

    name: str
    settings: Any

    def build(self) -> nn.Module:
        """The network, with its starting weights."""

    def prepare(self, photographs: PackedPhotographs) -> None:
        """Measure what the losses need of the training data, once."""

    def parameter_groups(self, network: nn.Module) -> list[dict]:
        """For the optimizer; each group has its own `lr` at full rate."""

    def draw(self, photographs: PackedPhotographs, numbers: np.ndarray, size: int, rng: np.random.Generator) -> Any:
        """One batch of the photographs `numbers`, as crops of `size` pixels; all randomness comes from `rng`."""

    def loss(self, network: nn.Module, batch: Any) -> tuple[Tensor, dict[str, float]]:
        """The loss of a batch, and its parts for the log."""


_RECIPES: dict[str, Callable[[Any], Recipe]] = {}
_SETTINGS: dict[str, type] = {}


def register(name: str, settings: type) -> Callable[[type], type]:
    """Class decorator: make a recipe known under `name`, with its dataclass of settings."""

    def add(recipe: type) -> type:
        _RECIPES[name], _SETTINGS[name] = recipe, settings
        return recipe

    return add


def names() -> list[str]:
    return sorted(_RECIPES)


def settings_of(name: str) -> type:
    return _SETTINGS[name]


def make(name: str, settings: Any) -> Recipe:
    """The recipe `name` with these settings."""
    return _RECIPES[name](settings)


from colorize_training.recipes import chroma  # noqa: E402, F401  registers itself
