"""The ablations of Pathak, *Image Colorization*: six runs of `vgg-regression`, and their test losses as a table.

The runs differ in one thing each. All six have the seed, the split and the number of pictures seen in common, also the
one with half the photographs, which sees each twice as often. Each has its own folder, so the command can be stopped
and repeated. The loss is the recipe's own, over all photographs of the split's test part, with the weights of the best
validation.
"""

import argparse
import csv
import dataclasses
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from colorize_engine.networks.vgg_regression import VggRegression, VggRegressionConfig
from tqdm import tqdm

from colorize_training.data import PackedPhotographs, pack, split, squash, write_split
from colorize_training.devices import device_of
from colorize_training.figures import plt, save_figure
from colorize_training.pictures import draw_sheet, recolour, to_bytes
from colorize_training.recipes.vgg_regression import VggRegressionRecipe, VggRegressionSettings
from colorize_training.running import checkpoint
from colorize_training.running.loop import Run, Stopped
from colorize_training.running.validation import Validation, mean_losses
from colorize_training.settings import LoopSettings, add_options, chosen
from colorize_training.writing import alone_in, replacing, write_text

REPORT = "Pathak (Flickr8k, 224 px, 25 epochs)"
PICTURES = 6  # rows of the picture sheet
LEGIBLE = 160  # pixels that a column of the sheet has at least, for its heading


@dataclass(frozen=True)
class Experiment:
    """A row of the report's table, and how its run differs from the best model's."""

    number: int
    slug: str
    title: str
    reported: float
    recipe: dict[str, Any] = field(default_factory=dict)
    loop: dict[str, Any] = field(default_factory=dict)


EXPERIMENTS = (
    Experiment(1, "relu-last-layer", "ReLU last layer", 0.003386, recipe={"last": "relu"}),
    Experiment(2, "upsampling-layers", "Upsampling layers", 0.001934, recipe={"upsampling": "bilinear"}),
    Experiment(3, "half-training-set", "Half training set", 0.001930, loop={"training_share": 0.5}),
    Experiment(4, "regularization", "Regularization", 0.001890, recipe={"weight_decay": 1e-4}),
    Experiment(5, "universal-rate", "Universal learning rate", 0.001876, recipe={"encoder_lr": 1e-4, "lr": 1e-4}),
    Experiment(6, "best", "Best model", 0.001849),
)


@dataclass(frozen=True)
class Trained:
    """An experiment with the recipe and the best network of its run, on the run's device."""

    experiment: Experiment
    recipe: VggRegressionRecipe
    network: VggRegression


def add_command(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "ablate",
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        epilog="Ctrl-C saves and stops; the same command resumes, and repeats nothing that is finished.",
    )
    add = command.add_argument
    add("--data", nargs="+", required=True, help="photographs, split 75/15/10")
    add("--out", type=Path, required=True, help="folder of the runs, of the table and of the pictures")
    add("--cache", type=Path, help="folder for decoded photographs (default: OUT/cache)")
    names = ", ".join(f"{e.number} {e.slug}" for e in EXPERIMENTS)
    add("--only", nargs="+", type=_experiment, metavar="N", help=f"some experiments, by number or name: {names}")
    add("--markdown", type=Path, help="the table as Markdown (default: OUT/table.md)")
    add("--csv", type=Path, help="the table as CSV (default: OUT/table.csv)")
    add_options(command, VggRegressionSettings())
    add_options(command, VggRegressionRecipe.loop)
    command.set_defaults(run=_run)


def _experiment(text: str) -> Experiment:
    for experiment in EXPERIMENTS:
        if text in (str(experiment.number), experiment.slug):
            return experiment
    raise argparse.ArgumentTypeError(f"{text!r} is not one of {', '.join(e.slug for e in EXPERIMENTS)}")


def _run(arguments: argparse.Namespace) -> int:
    with alone_in(arguments.out):
        return _ablate(arguments)


def _ablate(arguments: argparse.Namespace) -> int:
    settings, loop = chosen(VggRegressionSettings, arguments), chosen(LoopSettings, arguments)
    photographs = pack(arguments.data, arguments.cache or arguments.out / "cache", max(176, loop.size))
    parts = split(photographs, VggRegressionRecipe.split, settings.seed)
    write_split(parts, arguments.out)
    wanted = [e for e in EXPERIMENTS if e in (arguments.only or EXPERIMENTS)]
    try:
        trained = [_train(e, settings, loop, parts, arguments.out / e.slug) for e in wanted]
    except Stopped as stopped:
        print(stopped, file=sys.stderr)
        return 130
    rows = [(t.experiment, _test_loss(t, parts[2], loop.size)) for t in trained]
    about = f"{len(parts[2])} test pictures, {loop.size} px, {loop.samples} pictures seen"
    _write_csv(rows, arguments.csv or arguments.out / "table.csv")
    _write_markdown(rows, about, arguments.markdown or arguments.out / "table.md")
    _draw_table(rows, about, arguments.out / "table.png")
    _draw_pictures(trained, parts[2], loop.size, arguments.out / "pictures.png")
    return 0


def _train(
    experiment: Experiment,
    settings: VggRegressionSettings,
    loop: LoopSettings,
    parts: tuple[PackedPhotographs, ...],
    out: Path,
) -> Trained:
    """Train what is not finished."""
    print(f"({experiment.number}) {experiment.title}: {out}", flush=True)
    recipe = VggRegressionRecipe(dataclasses.replace(settings, **experiment.recipe))
    loop = dataclasses.replace(loop, **experiment.loop)
    run = Run(recipe, loop, parts[0], out)
    if run.step < run.steps:
        run.train(Validation(recipe, parts[1], loop))
    state = checkpoint.load_run(out / "best.pt")
    network = VggRegression(VggRegressionConfig(**state["config"]))
    network.load_state_dict(state["average"] or state["network"])
    return Trained(experiment, recipe, network.eval().to(run.group.device))


def _test_loss(trained: Trained, photographs: PackedPhotographs, size: int) -> float:
    numbers = tqdm(range(len(photographs)), desc="test loss", unit="img")
    return mean_losses(trained.recipe, trained.network, photographs, numbers, size)["loss"]


def _write_csv(rows: list[tuple[Experiment, float]], path: Path) -> None:
    with replacing(path) as part, open(part, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("number", "experiment", "test loss", REPORT))
        writer.writerows((e.number, e.title, f"{loss:.6f}", f"{e.reported:.6f}") for e, loss in rows)


def _write_markdown(rows: list[tuple[Experiment, float]], about: str, path: Path) -> None:
    """The report's has 224 px, Flickr8k and 25 epochs; `about` says what ours has."""
    lines = [f"| experiment | test loss ({about}) | {REPORT} |", "|---|---|---|"]
    lines += [f"| ({e.number}) {e.title} | {loss:.6f} | {e.reported:.6f} |" for e, loss in rows]
    write_text(path, "\n".join(lines) + "\n")
    print("\n".join(lines), flush=True)


def _draw_table(rows: list[tuple[Experiment, float]], about: str, path: Path) -> None:
    figure, axes = plt.subplots(figsize=(8, 0.5 * len(rows) + 1.5), layout="constrained")
    places = np.arange(len(rows))
    axes.barh(places - 0.2, [loss for _, loss in rows], 0.4, label=f"here: {about}")
    axes.barh(places + 0.2, [e.reported for e, _ in rows], 0.4, label=REPORT)
    axes.set_yticks(places, [f"({e.number}) {e.title}" for e, _ in rows])
    axes.invert_yaxis()
    axes.set_xlabel("Huber loss of u and v (0..1) on the test set")
    figure.legend(loc="outside upper center")
    save_figure(figure, path)


@torch.no_grad()
def _draw_pictures(trained: list[Trained], photographs: PackedPhotographs, size: int, path: Path) -> None:
    """As the report's Figure 4: one test picture a row; input, each experiment's prediction, truth."""
    shown = [_row(trained, photographs[n], size) for n in range(min(PICTURES, len(photographs)))]
    larger = -(-LEGIBLE // size)
    rows = [row.repeat(larger, 0).repeat(larger, 1) for row in shown]
    draw_sheet(rows, ("input", *(t.experiment.title for t in trained), "truth"), path)


def _row(trained: list[Trained], photograph: np.ndarray, size: int) -> np.ndarray:
    sample = trained[0].recipe.sample(photograph, size, np.random.default_rng(0), augment=False)
    pictures = [sample.lightness[None].expand(-1, 3, -1, -1) / 100]
    for network in (t.network for t in trained):
        lightness = sample.lightness[None].to(device_of(network))
        pictures.append(recolour(lightness, network.colour(network.predict(lightness), lightness, 1.0)))
    return np.concatenate([*map(to_bytes, pictures), squash(photograph, size)], 1)
