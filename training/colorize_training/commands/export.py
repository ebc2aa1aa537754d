"""From a checkpoint to the weights that the service loads."""

import argparse
import datetime
from pathlib import Path
from typing import Any

import torch
from colorize_engine import networks, weights
from colorize_engine.networks.served import ServedNetwork

from colorize_training.ranges import Within
from colorize_training.recipes import recipe_class
from colorize_training.running import checkpoint

# Within what the service keeps to.
NETWORK_SIDE = Within(int, weights.SHORTEST, weights.LONGEST, what="side of a network's picture", unit="pixels")


def add_command(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("export")
    command.add_argument("checkpoint", type=Path, help="best.pt or last.pt of a run's folder")
    command.add_argument("weights", type=Path, help="the .safetensors file to write")
    command.add_argument("--name", help="name of the weights in the service (default: the recipe's)")
    command.add_argument("--title", help="how people read the name (default: the name)")
    command.add_argument("--licence", required=True, help="licence of the weights, for their metadata")
    command.add_argument("--side", type=NETWORK_SIDE, help="of the pictures that the service gives it, in pixels")
    command.add_argument("--mean-with", type=Path, help="weights that the run went on from: export the mean of both")
    command.set_defaults(run=lambda a: export(a.checkpoint, a.weights, a.name, a.title, a.licence, a.mean_with, a.side))


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
    are not alike, the checkpoint or a text cannot be used, OSError where nothing can be written.
    """
    _check_target(target)
    state = checkpoint.load_run(source)
    recipe = recipe_class(state["recipe"])
    name = state["recipe"] if name is None else name
    title = name if title is None else title
    weights.check_texts(name, title, licence)
    network = _network(state, recipe.served_prefix, source)
    if mean_with:
        _average(network, mean_with)
    weights.save(
        network,
        target,
        recipe=state["recipe"],
        name=name,
        title=title,
        licence=licence,
        side=side or recipe.side or _size(state, source),
        samples=str(state["samples"]),
        data=state["data"],
        exported=datetime.date.today().isoformat(),
    )
    record = weights.read_record(target)
    weights.load(record)
    print(f"{target}: {target.stat().st_size} bytes, {state['samples']} samples, sha256 {record.sha256}")
    return 0


def _check_target(target: Path) -> None:
    if target.suffix != ".safetensors":
        raise ValueError(f"{target} is no place for weights: give a file whose name ends with .safetensors")
    if not target.parent.is_dir():
        raise ValueError(f"{target}: there is no folder {target.parent}; make it first, or give another file")
    if target.exists() and not target.is_file():
        raise ValueError(f"{target} is there already and is no file; give another name")


def _network(state: dict[str, Any], prefix: str, source: Path) -> ServedNetwork:
    """The network that the service will hold, as the checkpoint's moving average has it, if there is one."""
    trained = state["average"] or state["network"]
    try:
        network = networks.build(state["recipe"], state["config"])
        network.load_state_dict({k.removeprefix(prefix): v for k, v in trained.items() if k.startswith(prefix)})
    except (RuntimeError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError) as error:
        raise ValueError(
            f"{source} holds a variant of {state['recipe']}, or one of another version, which the service cannot hold; "
            f"give another checkpoint ({' '.join(str(error).split())[:200]})"
        ) from error
    if not all(bool(value.isfinite().all()) for value in network.state_dict().values()):
        raise ValueError(f"{source} holds numbers that are none (NaN or infinite); give another checkpoint")
    return network


def _size(state: dict[str, Any], source: Path) -> int:
    """Of the pictures that it was trained on."""
    size = state["settings"].get("size")
    if not isinstance(size, int) or size not in weights.SIDES:
        raise ValueError(f"{source} was trained on pictures of {size!r} pixels, not the service's; give --side")
    return size


def _average(network: ServedNetwork, path: Path) -> None:
    """Move `network` to the mean of itself and the weights in `path`."""
    other, own = weights.load(weights.read_record(path)), network.state_dict()
    if other.metadata() != network.metadata() or other.state_dict().keys() != own.keys():
        raise ValueError(f"--mean-with {path} holds another network; give one that the run went on from")
    mean = {k: torch.lerp(own[k], v, 0.5) if v.is_floating_point() else own[k] for k, v in other.state_dict().items()}
    network.load_state_dict(mean)
