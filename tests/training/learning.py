"""A short run of every recipe on eight photographs, as several tests look at it."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from colorize_engine import weights
from colorize_engine.networks.zhang import ZhangClassificationVgg
from colorize_training.data import PackedPhotographs
from colorize_training.recipes import recipe_class
from colorize_training.recipes.recipe import Recipe
from colorize_training.running.loop import Run
from colorize_training.settings import LoopSettings
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import vgg

EIGHT = 8


@dataclass(frozen=True)
class Fit:
    """Settings with which a recipe learns eight photographs by heart: steps, side in pixels, own settings."""

    steps: int = 40
    size: int = 32
    own: dict[str, Any] = field(default_factory=lambda: {"lr": 1e-3})


# Recipes that need other settings, or learn faster with them.
_FITS = {
    "chroma": Fit(110, 32, {"lr": 3e-3, "encoder_lr": 1e-3}),
    "densenet": Fit(16, 32, {"lr": 3e-3}),
    "hnet": Fit(60, 32),
    "resnet-gan": Fit(42, 32, {"pretraining_lr": 2e-4, "pretraining_share": 0.94, "generator_lr": 1e-5}),
    "rtnet": Fit(14, 16),
    "vgg-regression": Fit(14, 16),
    "zhang-classification": Fit(32, 8),
    "zhang-classification-vgg": Fit(26, 8),
    "zhang-regression": Fit(24, 8),
}


def fit_of(name: str) -> Fit:
    """The recipe's own, or one that suits any; an encoder starts from random weights where nothing else is said."""
    fit = _FITS.get(name, Fit())
    known = {setting.name for setting in fields(recipe_class(name).Settings)}
    return replace(fit, own={k: v for k, v in ({"backbone": "random"} | fit.own).items() if k in known})


@dataclass(frozen=True)
class Learned:
    """What a run on eight photographs came to.

    before, after: loss of the eight as they are; out: the run's folder, whose checkpoint stands before the last step;
    again: makes the same run, which resumes there; values, digest: of the last step, and of the weights after it.
    """

    before: float
    after: float
    out: Path
    again: Callable[[], Run]
    values: dict[str, float]
    digest: str


def learn(name: str, photographs: PackedPhotographs, out: Path, **more: Any) -> Learned:
    """Run the recipe's fit, with `more` settings of its own."""
    fit = fit_of(name)
    samples = (fit.steps + 1) * EIGHT
    settings = LoopSettings(samples, size=fit.size, schedule="constant", clip=0.0, threads=1)

    def again() -> Run:
        return Run(unvaried(name, fit.own | more), settings, photographs, out)

    run = again()
    before = loss_of(run)
    for _ in range(fit.steps):
        run.train_step()
    after = loss_of(run)
    run.save(run.last)
    values = run.train_step()
    return Learned(before, after, out, again, values, weights.digest(run.network.state_dict()))


def unvaried(name: str, own: dict[str, Any]) -> Recipe:
    """The recipe, in batches of eight, with each photograph as it is and with the same hints whenever it is drawn."""
    kind = recipe_class(name)
    recipe = kind(kind.Settings(batch=EIGHT, **own))
    batch = recipe.batch
    recipe.batch = lambda photographs, numbers, seeds, size: batch(photographs, numbers, 0 * seeds, size, augment=False)
    return recipe


def all_of(run: Run) -> Any:
    """The photographs of an unvaried run as one batch."""
    numbers = np.arange(len(run.photographs))
    return run.recipe.batch(run.resident, numbers, torch.from_numpy(numbers), run.settings.size)


@torch.no_grad()
def loss_of(run: Run) -> float:
    """The loss of all photographs of an unvaried run as one batch, which is what its first steps lessen."""
    return run.recipe.loss(run.network, all_of(run), run.recipe.turns(0.0)[-1].objective)[0].item()


@torch.no_grad()
def write_vgg(path: Path, lightness: Tensor) -> None:
    """A stand-in for VGG16's learned weights: random, the transfer network's features of L (B, 1, H, W) told apart.

    Thirteen random layers without a norm make all pictures alike, and eight could not be learned in a few steps.
    Layers scaled by data: Kraehenbuehl et al. 2016.
    """
    torch.manual_seed(0)
    network = ZhangClassificationVgg()
    named = [name for name, m in vgg.make_layers(vgg.cfgs["D"]).named_children() if isinstance(m, nn.Conv2d)]
    layers = [m for m in network.encoder.modules() if isinstance(m, nn.Conv2d)]
    for layer in layers:
        nn.init.orthogonal_(layer.weight)
        nn.init.zeros_(layer.bias)
        seen: list[Tensor] = []
        with layer.register_forward_hook(lambda _, x, y, seen=seen: seen.append(y)):
            network.predict(lightness)
        variance, mean = torch.var_mean(seen[0], (0, 2, 3))
        layer.weight.div_(variance.sqrt()[:, None, None, None])
        layer.bias.copy_(-mean / variance.sqrt())
    state = {}
    for name, layer in zip(named, layers, strict=True):
        state |= {f"features.{name}.weight": layer.weight.contiguous(), f"features.{name}.bias": layer.bias}
    save_file(state, path)
