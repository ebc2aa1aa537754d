"""What colour is worth to a classifier: Figure 7 of Li and Wang, *Image Colorization and Classification*.

A classifier is fine-tuned on CIFAR-10 in true colour, then asked about test pictures as gray, as coloured by three
networks, and in true colour. The report takes VGG16 at 224x224 pixels with VGG's first five blocks pretrained and the
rest from random weights, Adam with 1e-4, batches of 128, 20 epochs; smaller classifiers and pictures are options.
Stopped, it goes on after the last whole epoch, and comes to the same.
"Classification" and "Transfer" show the mode of the distribution, "Annealed" its mean at temperature 0.89.
"""

import argparse
import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from colorize_engine import weights
from colorize_engine.colour.conversions import srgb_to_lab
from colorize_engine.networks.imagenet import normalize
from colorize_engine.networks.served import CHROMA_STRIDE, HINT_PLANES
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from colorize_training.backbones import CLASSIFIERS, load_part, starting_weights
from colorize_training.batch_norms import folded, unfold
from colorize_training.data import PackedPhotographs, pack, planes
from colorize_training.devices import training_device
from colorize_training.figures import plt, save_figure
from colorize_training.pictures import draw_sheet, recolour
from colorize_training.ranges import BATCH, LEARNING_RATE, SEED, STEPS, Within
from colorize_training.running import checkpoint
from colorize_training.writing import alone_in, replacing, write_text

REPORTED = {
    "Gray": 22,
    "Regression": 46,
    "Classification": 57,
    "Annealed": 65,
    "Transfer": 63,
    "True colour": 80,
}  # per cent, Figure 7
REPORT = "Li and Wang"
HEADS = ("classifier.", "fc.")  # of the 1,000 classes; not taken over
MODE = 0.01  # a temperature at which the annealed mean is the mode
AT_ONCE = 64  # of everything but training
SHOWN = 12  # pictures of the sheet


@dataclass(frozen=True)
class Labelled:
    """pictures (N, 3, H, W) sRGB 0..1 and their labels (N,)."""

    pictures: Tensor
    labels: Tensor


def add_command(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "classify",
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = command.add_argument
    add("--data", nargs="+", required=True, help="labelled pictures to train the classifier on, as cifar10:FOLDER")
    add("--test", nargs="+", required=True, help="labelled pictures to ask it about, as cifar10:FOLDER:test")
    for name in ("regression", "classification", "transfer"):
        add(f"--{name}", type=Path, required=True, help=f"weights file of the {name} network")
    add("--out", type=Path, required=True, help="folder of the classifier and of the table")
    add("--classifier", choices=CLASSIFIERS, default="vgg16", help="architecture")
    add("--backbone", default="", help="its start: a .safetensors file, or random; default: torchvision's")
    add("--size", type=Within(int, 32, 2048), default=224, help="pixels of a side, as the classifier sees a picture")
    add("--epochs", type=STEPS, default=20, help="of the classifier's training")
    add("--batch", type=BATCH, default=128, help="pictures a step")
    add("--lr", type=LEARNING_RATE, default=1e-4, help="Adam's learning rate")
    add("--temperature", type=Within(float, MODE, 10), default=0.89, help="of the annealed mean")
    add("--seed", type=SEED, default=0, help="of all randomness")
    add("--device", choices=("auto", "cuda", "cpu"), default="auto", help="where the classifier and the networks run")
    command.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    with alone_in(arguments.out):
        return _classify(arguments)


def _classify(arguments: argparse.Namespace) -> int:
    arguments.device = training_device(arguments.device)
    training, test = (_labelled(s, arguments.out / "cache") for s in (arguments.data, arguments.test))
    classifier = _trained(training, arguments)
    shown = dict(_ways(test.pictures, arguments))
    _draw_rows(shown, arguments.out / "pictures.png")
    accuracies = {name: accuracy(classifier, pictures, test.labels, arguments.size) for name, pictures in shown.items()}
    write_table(accuracies, len(test.labels), arguments.out)
    return 0


def _labelled(sources: list[str], cache: Path) -> Labelled:
    photographs: PackedPhotographs = pack(sources, cache)
    if photographs.labels is None:
        raise ValueError(f"{' '.join(sources)}: these pictures have no labels; take CIFAR-10, as cifar10:FOLDER")
    pictures = torch.stack([planes(photographs[n]) for n in range(len(photographs))])
    return Labelled(pictures, torch.from_numpy(np.asarray(photographs.labels, np.int64)))


def _ways(truth: Tensor, arguments: argparse.Namespace) -> Iterator[tuple[str, Tensor]]:
    """The test pictures in each of the table's columns."""
    yield "Gray", recolour(_lightness(truth), torch.zeros(1, 2, 2, 2).expand(len(truth), -1, -1, -1))
    device = arguments.device
    yield "Regression", _coloured(truth, arguments.regression, 1.0, device)
    yield "Classification", _coloured(truth, arguments.classification, MODE, device)
    yield "Annealed", _coloured(truth, arguments.classification, arguments.temperature, device)
    yield "Transfer", _coloured(truth, arguments.transfer, MODE, device)
    yield "True colour", truth


def _lightness(pictures: Tensor) -> Tensor:
    return srgb_to_lab(pictures)[:, :1]


@torch.inference_mode()
def _coloured(truth: Tensor, path: Path, temperature: float, device: torch.device) -> Tensor:
    """The pictures with their own L and the chroma of these weights, at the size on which those were trained."""
    record = weights.read_record(path)
    network, coloured = weights.load(record).to(device), []
    for pictures in tqdm(truth.split(AT_ONCE), desc=f"colouring with {record.name}, T {temperature}", unit="batch"):
        lightness = _lightness(pictures)
        seen = F.interpolate(lightness, (record.side, record.side), mode="bilinear", align_corners=False)
        cells = record.side // CHROMA_STRIDE
        no_hints = torch.zeros(len(pictures), HINT_PLANES, cells, cells)
        chroma = network.chroma(network(seen.to(device), no_hints.to(device)), temperature)
        coloured.append(recolour(lightness, chroma.to(lightness)))
    return torch.cat(coloured)


def _trained(training: Labelled, arguments: argparse.Namespace) -> nn.Module:
    """The classifier, fine-tuned; goes on after the last whole epoch where an earlier call was stopped."""
    torch.manual_seed(arguments.seed)
    first = _seen(training.pictures[: arguments.batch], arguments.size)
    classifier = _classifier(arguments.classifier, arguments.backbone, int(training.labels.max()) + 1, first)
    classifier.to(arguments.device)
    optimizer = torch.optim.Adam(classifier.parameters(), lr=arguments.lr, fused=True)
    path, done = arguments.out / "classifier.pt", 0
    settings = {k: getattr(arguments, k) for k in ("classifier", "backbone", "size", "batch", "lr", "seed", "data")}
    if path.exists():
        state = checkpoint.load(path, {"settings": dict, "classifier": dict, "optimizer": dict, "epochs": int})
        if state["settings"] != settings:
            raise ValueError(f"{path} was trained with other settings; choose another --out")
        classifier.load_state_dict(state["classifier"])
        optimizer.load_state_dict(state["optimizer"])
        done = state["epochs"]
    for epoch in range(done, arguments.epochs):
        _train_epoch(classifier, optimizer, training, epoch, arguments)
        state = {"classifier": classifier.state_dict(), "optimizer": optimizer.state_dict(), "epochs": epoch + 1}
        checkpoint.save(state | {"settings": settings}, path)
    return classifier.eval()


def _classifier(name: str, backbone: str, classes: int, pictures: Tensor) -> nn.Module:
    """With the pretrained layers; batch norms that a file holds folded get the statistics of `pictures`."""
    make, pretrained = CLASSIFIERS[name]
    classifier = make(weights=None, num_classes=classes)
    state = starting_weights(name, backbone, pretrained)
    if state is not None:
        kept = {k: v for k, v in state.items() if not k.startswith(HEADS)}
        load_part(classifier, kept, f"--backbone {backbone}", but=HEADS)
        if folded(state):
            print(f"{name}: folded batch norms get the statistics of {len(pictures)} pictures", flush=True)
            unfold(classifier, pictures)
    return classifier


def _train_epoch(
    classifier: nn.Module, optimizer: torch.optim.Optimizer, training: Labelled, epoch: int, a: argparse.Namespace
) -> None:
    classifier.train()
    torch.manual_seed(a.seed + epoch)  # of dropout: the same whether or not the run was stopped before
    order = torch.from_numpy(np.random.default_rng([a.seed, epoch]).permutation(len(training.labels)))
    steps = tqdm(order.split(a.batch), desc=f"{a.classifier}, epoch {epoch + 1} of {a.epochs}", unit="step")
    for numbers in steps:
        pictures, labels = training.pictures[numbers].to(a.device), training.labels[numbers].to(a.device)
        loss = F.cross_entropy(classifier(_seen(pictures, a.size)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        steps.set_postfix(loss=f"{loss.item():.3f}")


def _seen(pictures: Tensor, size: int) -> Tensor:
    """Pictures as the classifier sees them: enlarged, the mean subtracted."""
    return normalize(F.interpolate(pictures, (size, size), mode="bilinear", align_corners=False))


@torch.inference_mode()
def accuracy(classifier: nn.Module, pictures: Tensor, labels: Tensor, size: int) -> float:
    """Share of the pictures (N, 3, H, W) whose most likely class is their label."""
    right, device = 0, next(classifier.parameters()).device
    for some, wanted in zip(pictures.split(AT_ONCE), labels.split(AT_ONCE), strict=True):
        right += int((classifier(_seen(some.to(device), size)).argmax(1).cpu() == wanted).sum())
    return right / len(labels)


def write_table(accuracies: dict[str, float], count: int, out: Path) -> None:
    """`table.csv`, `table.md` and `table.png`: each column's accuracy, with its standard error, beside the report's."""
    rows = [(name, 100 * share, 100 * (share * (1 - share) / count) ** 0.5) for name, share in accuracies.items()]
    with replacing(out / "table.csv") as part, open(part, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("pictures", "accuracy %", "std. error", REPORT, "test pictures"))
        writer.writerows((name, f"{own:.1f}", f"{error:.1f}", REPORTED[name], count) for name, own, error in rows)
    lines = [f"| | {' | '.join(accuracies)} |", "|---" * (len(rows) + 1) + "|"]
    lines.append("| measured here | " + " | ".join(f"{own:.1f} ± {error:.1f} %" for _, own, error in rows) + " |")
    lines.append(f"| {REPORT} | " + " | ".join(f"{REPORTED[name]} %" for name in accuracies) + " |")
    write_text(out / "table.md", "\n".join(lines) + "\n")
    print("\n".join(lines), flush=True)
    _draw_table(rows, out / "table.png")


def _draw_table(rows: list[tuple[str, float, float]], path: Path) -> None:
    figure, axes = plt.subplots(figsize=(9, 4), layout="constrained")
    places = np.arange(len(rows))
    axes.bar(places - 0.2, [own for _, own, _ in rows], 0.4, yerr=[e for *_, e in rows], label="measured here")
    axes.bar(places + 0.2, [REPORTED[name] for name, *_ in rows], 0.4, label=REPORT)
    axes.set_xticks(places, [name for name, *_ in rows])
    axes.set_ylabel("accuracy of the classifier (%)")
    axes.legend()
    save_figure(figure, path)


def _draw_rows(shown: dict[str, Tensor], path: Path) -> None:
    """The first pictures, one a row and one way a column, enlarged."""
    columns = [(p[:SHOWN].permute(0, 2, 3, 1) * 255).round().byte().numpy() for p in shown.values()]
    rows = [np.concatenate(row, 1).repeat(4, 0).repeat(4, 1) for row in zip(*columns, strict=True)]
    draw_sheet(rows, list(shown), path)
