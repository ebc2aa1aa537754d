"""Starting weights of encoders: from a file, from torchvision's own cache, or random and loudly so. Never downloaded.

Pretrained torchvision weights are research artefacts of their own licence; a person fetches them on purpose, with
torchvision's own function, and the cache then has them.
"""

from pathlib import Path
from urllib.parse import urlparse

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torchvision.models import WeightsEnum


def starting_weights(recipe: str, backbone: str, pretrained: WeightsEnum) -> dict[str, Tensor] | None:
    """State of an encoder in torchvision's names, float32 on the CPU, or None for random ones; says which it took.

    backbone: a .safetensors file; "" for torchvision's `pretrained` where the cache has it; "random". Raises
    ValueError for a file that cannot be read.
    """
    if backbone == "random":
        return _random(recipe, "as asked")
    if backbone:
        return _from_file(recipe, Path(backbone))
    cached = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(pretrained.url).path).name
    if not cached.exists():
        return _random(recipe, f"no --backbone was given and torchvision's cache has no {pretrained}")
    print(f"{recipe}: the encoder starts from torchvision's {pretrained}", flush=True)
    return pretrained.get_state_dict(check_hash=True)


def _from_file(recipe: str, path: Path) -> dict[str, Tensor]:
    try:
        state = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"--backbone {path} cannot be read ({error}); it takes a .safetensors file") from error
    print(f"{recipe}: the encoder starts from {path.name}", flush=True)
    return {name: tensor.float() for name, tensor in state.items()}


def _random(recipe: str, why: str) -> None:
    print(f"{recipe}: THE ENCODER STARTS FROM RANDOM WEIGHTS ({why})", flush=True)
