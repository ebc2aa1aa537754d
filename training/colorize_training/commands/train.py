"""Train a recipe: the command that has its name."""

import argparse
import os
import sys
from pathlib import Path

from colorize_training.data import PackedPhotographs, add_list_options, chosen_lists, overlap, pack, split, write_split
from colorize_training.data.decoding import MIN_SIDE
from colorize_training.ranges import Within
from colorize_training.recipes import recipe_class
from colorize_training.running.loop import Run, Stopped
from colorize_training.running.validation import Validation
from colorize_training.settings import LoopSettings, add_options, chosen
from colorize_training.writing import alone_in


def add_command(commands: argparse._SubParsersAction, name: str) -> None:
    """The command that trains the recipe of this name."""
    recipe = recipe_class(name)
    command = commands.add_parser(
        name,
        description=sys.modules[recipe.__module__].__doc__,
        formatter_class=_Help,
        epilog="Ctrl-C saves and stops; the same command resumes. Under torchrun it trains on many processes.",
    )
    data = command.add_argument_group("Photographs")
    data.add_argument("--data", nargs="+", required=True, help="folders, tar shards, pictures, lists of URLs or paths")
    data.add_argument("--validation", nargs="+", default=[], help="the same, never trained on; without it, a split")
    data.add_argument("--split", type=_shares, default=recipe.split, help="percent to train, validate and test on")
    add_list_options(data, often=True)
    data.add_argument("--out", type=Path, required=True, help="folder of the run; an earlier run in it is resumed")
    data.add_argument("--cache", type=Path, help="folder for decoded photographs (default: OUT/cache)")
    data.add_argument(
        "--short-side",
        type=Within(int, MIN_SIDE, 8192, also=0),
        default=0,
        help="to which larger photographs are reduced; 0: as needed",
    )
    add_options(command, recipe.Settings())
    add_options(command, recipe.loop)
    command.set_defaults(run=_train, recipe=recipe)


class _Help(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """The module's text as it was written, and every option's default."""


def _shares(text: str) -> tuple[int, int, int]:
    """75/15/10 as three whole percentages."""
    shares = [int(part) if part.isdecimal() else -1 for part in text.split("/")]
    if len(shares) != 3 or sum(shares) != 100 or min(shares) < 0 or not shares[0]:
        raise argparse.ArgumentTypeError(f"{text!r} is not three percentages such as 75/15/10, the first above 0")
    return shares[0], shares[1], shares[2]


def _train(arguments: argparse.Namespace) -> int:
    if int(os.environ.get("RANK", 0)):  # of many processes, the main one writes
        return _trained(arguments)
    with alone_in(arguments.out):
        return _trained(arguments)


def _trained(arguments: argparse.Namespace) -> int:
    settings = chosen(LoopSettings, arguments)
    recipe = arguments.recipe(chosen(arguments.recipe.Settings, arguments))
    photographs, held_out = _photographs(arguments, settings, recipe.settings.seed)
    validation = Validation(recipe, held_out, settings) if len(held_out) else None
    try:
        Run(recipe, settings, photographs, arguments.out).train(validation)
    except Stopped as stopped:
        print(stopped, file=sys.stderr)
        return 130
    return 0


def _photographs(
    arguments: argparse.Namespace, settings: LoopSettings, seed: int
) -> tuple[PackedPhotographs, PackedPhotographs]:
    """Photographs to train on and to validate with; the three parts of a split are written beside the run."""
    cache = arguments.cache or arguments.out / "cache"
    short_side = arguments.short_side or max(176, settings.size)
    regions = arguments.recipe.needs_regions
    photographs = chosen_lists(arguments).of(pack(arguments.data, cache, short_side, regions))
    if arguments.validation:
        held_out = pack(arguments.validation, cache, short_side, regions)
    else:
        parts = split(photographs, arguments.split, seed)
        write_split(parts, arguments.out)
        photographs, held_out, _ = parts
    if twice := overlap(photographs, held_out):
        raise ValueError(f"{len(twice)} pictures are both trained on and held out, such as {twice[0]}; part them")
    return photographs, held_out
