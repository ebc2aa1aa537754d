"""From a checkpoint to the weights that the service loads."""

import argparse
import datetime
from pathlib import Path

import torch
from colorize_engine import networks, weights
from colorize_engine.network_input import LONGEST, SHORTEST
from colorize_engine.networks.served import ServedNetwork

from colorize_training.recipes import recipe_class
from colorize_training.running import checkpoint


def add_command(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("export")
    command.add_argument("checkpoint", type=Path, help="best.pt or last.pt of a run's folder")
    command.add_argument("weights", type=Path, help="the .safetensors file to write")
    command.add_argument("--name", help="name of the weights in the service (default: the recipe's)")
    command.add_argument("--title", help="how people read the name (default: the name)")
    command.add_argument("--licence", required=True, help="licence of the weights, for their metadata")
    command.add_argument("--side", type=network_side, help="of the pictures that the service gives it, in pixels")
    command.add_argument("--mean-with", type=Path, help="weights that the run went on from: export the mean of both")
    command.set_defaults(run=lambda a: export(a.checkpoint, a.weights, a.name, a.title, a.licence, a.mean_with, a.side))


def network_side(text: str) -> int:
    """An option's value: the side of the network's picture in pixels, within what the service keeps to."""
    if not text.isdecimal() or not SHORTEST <= int(text) <= LONGEST:
        raise argparse.ArgumentTypeError(f"{text!r} is no side of a network's picture: {SHORTEST} to {LONGEST} pixels")
    return int(text)


def export(
    source: Path,
    target: Path,
    name: str | None,
    title: str | None,
    licence: str,
    mean_with: Path | None = None,
    side: int | None = None,
) -> int:
    """Write the checkpoint `source` as a weights file: its moving average where it has one. Prints size and hash.

    mean_with: weights of the same network, an ancestor's; networks on one path of training average well (Wortsman et
    al. 2022, "Model soups"). side: of the network's picture in the service. Raises ValueError where the two networks
    are not alike.
    """
    state = checkpoint.load(source)
    recipe, name = recipe_class(state["recipe"]), name or state["recipe"]
    network = networks.build(state["recipe"], state["config"])
    trained, prefix = state["average"] or state["network"], recipe.served_prefix
    try:
        network.load_state_dict({k.removeprefix(prefix): v for k, v in trained.items() if k.startswith(prefix)})
    except RuntimeError as error:
        raise ValueError(f"{source} holds a variant of {name}, or one of another version: {error}") from error
    if mean_with:
        _average(network, mean_with)
    weights.save(
        network,
        target,
        recipe=state["recipe"],
        name=name,
        title=title or name,
        licence=licence,
        side=side or recipe.side or state["settings"]["size"],
        samples=str(state["samples"]),
        data=state["data"],
        exported=datetime.date.today().isoformat(),
    )
    record = weights.read_record(target)
    weights.load(record)
    print(f"{target}: {target.stat().st_size} bytes, {state['samples']} samples, sha256 {record.sha256}")
    return 0


def _average(network: ServedNetwork, path: Path) -> None:
    """Move `network` to the mean of itself and the weights in `path`."""
    other, own = weights.load(weights.read_record(path)), network.state_dict()
    if other.metadata() != network.metadata() or other.state_dict().keys() != own.keys():
        raise ValueError(f"--mean-with {path} holds another network; give one that the run went on from")
    mean = {k: torch.lerp(own[k], v, 0.5) if v.is_floating_point() else own[k] for k, v in other.state_dict().items()}
    network.load_state_dict(mean)
