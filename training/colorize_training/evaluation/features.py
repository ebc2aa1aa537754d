"""Measures that need a network of somebody else's: FID, LPIPS, and what a classifier recognizes.

The networks are the user's choice and are named in every result; their weights come from files or from torchvision's
own cache and are never downloaded. `NAME:FILE` takes a .safetensors file, `NAME` alone torchvision's cache.
"""

from pathlib import Path

import numpy as np
import torch
from colorize_engine.networks.imagenet import normalize
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import models

from colorize_training.backbones import CLASSIFIERS, known_weights, load_part
from colorize_training.data import planes

SIDE = 224  # pixels that ImageNet's classifiers expect
LPIPS_SHIFT, LPIPS_SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # Zhang et al. 2018, version 0.1
LPIPS_TAPS = (1, 4, 7, 9, 11)  # AlexNet's ReLUs


class Recognizer:
    """A classifier of ImageNet: its features before the last layer, and its classes."""

    def __init__(self, choice: str) -> None:
        """`choice` is NAME or NAME:FILE. Raises ValueError for an unknown one, and where its weights are not there."""
        name, _, file = choice.partition(":")
        if name not in CLASSIFIERS:
            known = ", ".join(CLASSIFIERS)
            raise ValueError(f"{name!r} is not known; choose {known}, or one with its file, as NAME:FILE")
        build, pretrained = CLASSIFIERS[name]
        state = known_weights(file, pretrained)
        if state is None:
            raise ValueError(f"{name} has no weights here: give its file, as {name}:FILE.safetensors")
        self.choice, self.network = choice, build(weights=None)
        load_part(self.network, state, choice)
        self.network.eval()

    @torch.inference_mode()
    def classes(self, rgb: np.ndarray) -> int:
        """The most likely class of 8-bit RGB (H, W, 3)."""
        return int(self.network(self._seen(rgb)).argmax(1))

    @torch.inference_mode()
    def features(self, rgb: np.ndarray) -> np.ndarray:
        """What the last layer sees, (D,)."""
        kept: list[Tensor] = []
        last = [m for m in self.network.modules() if isinstance(m, nn.Linear)][-1]
        handle = last.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0]))
        self.network(self._seen(rgb))
        handle.remove()
        return kept[0][0].double().numpy()

    def _seen(self, rgb: np.ndarray) -> Tensor:
        return normalize(F.interpolate(planes(rgb)[None], (SIDE, SIDE), mode="bilinear", antialias=True))


class Lpips:
    """Learned perceptual distance, version 0.1 on AlexNet (Zhang et al. 2018), with weights from one file.

    The file holds torchvision's `features.*` of AlexNet and the five heads as `lin0.model.1.weight` and so on.
    """

    def __init__(self, path: Path) -> None:
        try:
            state = {name: tensor.float() for name, tensor in load_file(path).items()}
            self.heads = [state.pop(f"lin{i}.model.1.weight") for i in range(len(LPIPS_TAPS))]
            self.features = models.alexnet(weights=None).features.eval()
            self.features.load_state_dict({k.removeprefix("features."): v for k, v in state.items()})
        except (SafetensorError, OSError, KeyError, RuntimeError) as error:
            raise ValueError(f"--lpips {path} does not hold LPIPS 0.1 on AlexNet ({error})") from error

    @torch.inference_mode()
    def __call__(self, image: np.ndarray, truth: np.ndarray) -> float:
        """Distance of two 8-bit RGB pictures (H, W, 3); 0 for equal ones."""
        total = 0.0
        for head, own, other in zip(self.heads, self._levels(image), self._levels(truth), strict=True):
            total += float(F.conv2d((own - other).square(), head).mean())
        return total

    def _levels(self, rgb: np.ndarray) -> list[Tensor]:
        x = planes(rgb)[None] * 2 - 1
        x = (x - x.new_tensor(LPIPS_SHIFT)[:, None, None]) / x.new_tensor(LPIPS_SCALE)[:, None, None]
        levels = []
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in LPIPS_TAPS:
                levels.append(x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10))
        return levels
