"""Starting weights of encoders: from a file, from torchvision's own cache, or random and loudly so. Never downloaded.

Pretrained torchvision weights are research artefacts of their own licence; the user fetches them on purpose, with
torchvision's own function, and the cache then has them.
"""

from pathlib import Path
from urllib.parse import urlparse

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision import models
from torchvision.models import WeightsEnum

CLASSIFIERS = {
    "vgg16": (models.vgg16, models.VGG16_Weights.IMAGENET1K_V1),
    "resnet18": (models.resnet18, models.ResNet18_Weights.IMAGENET1K_V1),
    "resnet50": (models.resnet50, models.ResNet50_Weights.IMAGENET1K_V2),
    "mobilenet_v2": (models.mobilenet_v2, models.MobileNet_V2_Weights.IMAGENET1K_V1),
}


def starting_weights(recipe: str, backbone: str, pretrained: WeightsEnum) -> dict[str, Tensor] | None:
    """State of an encoder in torchvision's names, float32 on the CPU, or None for random ones; says which it took.

    backbone: a .safetensors file; "" for torchvision's `pretrained` where the cache has it; "random". Raises
    ValueError for a file that cannot be read.
    """
    state = None if backbone == "random" else known_weights(backbone, pretrained)
    if state is not None:
        print(f"{recipe}: the encoder starts from {Path(backbone).name or pretrained}", flush=True)
    else:
        why = "as asked" if backbone else f"no --backbone was given and torchvision's cache has no {pretrained}"
        print(f"{recipe}: THE ENCODER STARTS FROM RANDOM WEIGHTS ({why})", flush=True)
    return state


def known_weights(file: str, pretrained: WeightsEnum) -> dict[str, Tensor] | None:
    """The state that the .safetensors file holds; for "", torchvision's own, or None where its cache has none."""
    if file:
        return _from_file(Path(file))
    cached = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(pretrained.url).path).name
    return pretrained.get_state_dict(check_hash=True) if cached.exists() else None


def load_part(network: nn.Module, state: dict[str, Tensor], source: str, but: tuple[str, ...] = ()) -> None:
    """Load `state`, which came from `source`, into `network`; names that begin as in `but` may be missing.

    Raises ValueError where any other is missing, unknown or of another size.
    """
    try:
        missing, unexpected = network.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise ValueError(f"{source} does not fit {type(network).__name__}: {error}") from error
    lost = [name for name in missing if not name.startswith(but) and not name.endswith("num_batches_tracked")]
    if lost or unexpected:
        raise ValueError(f"{source} does not fit {type(network).__name__}: {', '.join((*lost, *unexpected)[:4])}")


def _from_file(path: Path) -> dict[str, Tensor]:
    try:
        return {name: tensor.float() for name, tensor in load_file(path).items()}
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} cannot be read ({error}); starting weights are .safetensors files") from error
