"""The ablations of report 000: six runs of `vgg-regression` that differ in one thing, and their test losses as a table.

All six have the seed, the split and the number of pictures seen in common. Each has its own folder, so the command can
be stopped and repeated.
"""

import argparse
import csv
import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from colorize_daemon import networks
from colorize_daemon.networks.served import ServedNetwork

from colorize_training import checkpoint
from colorize_training.data import PackedPhotographs, pack, split, squash
from colorize_training.logs import plt
from colorize_training.loop import Run
from colorize_training.recipes import Recipe
from colorize_training.recipes.vgg_regression import VggRegressionRecipe, VggRegressionSettings
from colorize_training.settings import LoopSettings, add_options, chosen
from colorize_training.validation import Validation, draw_sheet, recolour, to_bytes

PICTURES = 6  # rows of the picture sheet


@dataclass(frozen=True)
class Experiment:
    """A row of the report's table, and how its run differs from the best model's."""

    slug: str
    title: str
    reported: float
    recipe: dict[str, Any] = field(default_factory=dict)
    loop: dict[str, Any] = field(default_factory=dict)


EXPERIMENTS = (
    Experiment("relu-last-layer", "ReLU last layer", 0.003386, recipe={"last": "relu"}),
    Experiment("upsampling-layers", "Upsampling layers", 0.001934, recipe={"upsampling": "bilinear"}),
    Experiment("half-training-set", "Half training set", 0.001930, loop={"training_share": 0.5}),
    Experiment("regularization", "Regularization", 0.001890, recipe={"weight_decay": 1e-4}),
    Experiment("universal-rate", "Universal learning rate", 0.001876, recipe={"encoder_lr": 1e-4, "lr": 1e-4}),
    Experiment("best", "Best model", 0.001849),
)


def add_command(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "ablate",
        help="train and measure the six experiments of vgg-regression",
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    command.add_argument("--data", nargs="+", required=True, help="photographs, split 75/15/10")
    command.add_argument("--out", type=Path, required=True, help="folder of the runs and of the table")
    command.add_argument("--cache", type=Path, help="folder for decoded photographs (default: OUT/cache)")
    command.add_argument("--only", nargs="+", choices=[e.slug for e in EXPERIMENTS], help="some of the experiments")
    add_options(command, VggRegressionSettings())
    add_options(command, VggRegressionRecipe.loop)
    command.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    settings, loop = chosen(VggRegressionSettings, arguments), chosen(LoopSettings, arguments)
    photographs = pack(arguments.data, arguments.cache or arguments.out / "cache", max(176, loop.size))
    parts = split(photographs, VggRegressionRecipe.split, settings.seed)
    wanted = [e for e in EXPERIMENTS if not arguments.only or e.slug in arguments.only]
    trained = [(e, *_train(e, settings, loop, parts, arguments.out / e.slug)) for e in wanted]
    losses = {e.title: loss_over(recipe, network, parts[2], loop.size) for e, recipe, network in trained}
    write_table(losses, arguments.out, len(parts[2]))
    pictures = [parts[2][n] for n in range(min(PICTURES, len(parts[2])))]
    _draw_pictures({e.title: (recipe, network) for e, recipe, network in trained}, pictures, loop.size, arguments.out)
    return 0


def _train(
    experiment: Experiment, settings: VggRegressionSettings, loop: LoopSettings, parts: tuple, out: Path
) -> tuple[Recipe, ServedNetwork]:
    """The recipe and its best network; a run that is finished is not repeated."""
    print(f"{experiment.title}: {out}", flush=True)
    recipe = VggRegressionRecipe(dataclasses.replace(settings, **experiment.recipe))
    loop = dataclasses.replace(loop, **experiment.loop)
    run = Run(recipe, loop, parts[0], out)
    if run.step < run.steps:
        run.train(Validation(recipe, parts[1], loop))
    state = checkpoint.load(out / "best.pt")
    network = networks.build(recipe.name, state["config"])
    network.load_state_dict(state["average"] or state["network"])
    return recipe, network.eval()


@torch.no_grad()
def loss_over(recipe: Recipe, network: ServedNetwork, photographs: PackedPhotographs, size: int) -> float:
    """The recipe's own loss, the mean over all photographs, none augmented."""
    losses = []
    for number in range(len(photographs)):
        sample = recipe.sample(photographs[number], size, np.random.default_rng(number), augment=False)
        batch = type(sample)(*(part[None] for part in sample))
        losses.append(recipe.loss(network, batch, "loss")[0].item())
    return float(np.mean(losses))


def write_table(losses: dict[str, float], out: Path, pictures: int) -> None:
    """`table.csv`, `table.md` and `table.png`: each experiment's test loss beside the report's."""
    rows = [(e.title, losses[e.title], e.reported) for e in EXPERIMENTS if e.title in losses]
    with open(out / "table.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("experiment", "test loss", "report 000", "test pictures"))
        writer.writerows((title, f"{ours:.6f}", f"{theirs:.6f}", pictures) for title, ours, theirs in rows)
    lines = ["| experiment | test loss | report 000 |", "|---|---|---|"]
    lines += [f"| {title} | {ours:.6f} | {theirs:.6f} |" for title, ours, theirs in rows]
    (out / "table.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines), flush=True)
    _draw_table(rows, out / "table.png")


def _draw_table(rows: list[tuple[str, float, float]], path: Path) -> None:
    figure, axes = plt.subplots(figsize=(8, 0.5 * len(rows) + 1.5), layout="constrained")
    places = np.arange(len(rows))
    axes.barh(places - 0.2, [ours for _, ours, _ in rows], 0.4, label="measured here")
    axes.barh(places + 0.2, [theirs for _, _, theirs in rows], 0.4, label="report 000, 224 px, Flickr8k")
    axes.set_yticks(places, [title for title, _, _ in rows])
    axes.invert_yaxis()
    axes.set_xlabel("Huber loss of u and v (0..1) on the test set")
    axes.legend()
    figure.savefig(path, dpi=100)
    plt.close(figure)


@torch.no_grad()
def _draw_pictures(trained: dict[str, tuple[Recipe, ServedNetwork]], pictures: list, size: int, out: Path) -> None:
    """`pictures.png`, as the report's Figure 4: one test picture a row, one experiment a column."""
    rows = []
    for photograph in pictures:
        shown = []
        for recipe, network in trained.values():
            lightness = recipe.sample(photograph, size, np.random.default_rng(0), augment=False).lightness[None]
            ab = network.colour(network.predict(lightness), lightness, 1.0)
            shown.append(to_bytes(recolour(lightness, ab)))
        rows.append(np.concatenate([*shown, squash(photograph, size)], 1))
    draw_sheet(rows, (*trained, "truth"), out / "pictures.png")
