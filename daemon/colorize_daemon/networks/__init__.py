"""The networks that the service can hold: one family a file, built by the name of its recipe.

A served network is a module with `encode(lightness) -> embedding`, `decode(embedding, hints) -> output` and
`chroma(output, temperature) -> ab` (B, 2, H / 2, W / 2); see `chroma.py` for shapes and units.
"""

from collections.abc import Callable
from typing import Any

from torch import nn

from colorize_daemon.networks.chroma import Chroma, ChromaConfig

_BUILDERS: dict[str, Callable[[dict[str, Any]], nn.Module]] = {
    "chroma": lambda config: Chroma(ChromaConfig(**config)),
}


def recipes() -> list[str]:
    """Names of the recipes whose weights can be served."""
    return sorted(_BUILDERS)


def build(recipe: str, config: dict[str, Any]) -> nn.Module:
    """An untrained network of `recipe`. Raises KeyError for an unknown recipe, TypeError for an unknown setting."""
    return _BUILDERS[recipe](config)
