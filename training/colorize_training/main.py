"""`gimp-colorize-train`: a command for each recipe, and commands that measure what was trained."""

import argparse
import sys
from importlib import import_module
from pathlib import Path

from colorize_training.names import NAMES
from colorize_training.settings import LoopSettings, add_options, chosen

# Commands that are not recipes: their module, and what the overview says of them.
COMMANDS = {
    "export": ("commands.export", "turn a checkpoint into weights that the service loads"),
    "evaluate": ("commands.evaluate", "measure weights on photographs they never saw"),
    "ablate": ("commands.ablate", "train and measure the six experiments of vgg-regression"),
    "classify": ("commands.classify", "ask a classifier of CIFAR-10 what colour is worth to it"),
    "lift": ("commands.lift", "compare ways to bring chroma to full size"),
    "coverage": ("commands.coverage", "loss against hint coverage, and chroma by hue"),
    "survey": ("commands.survey", "write a page that asks people which picture is the true one"),
}


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    arguments = _parser(argv[0] if argv else "").parse_args(argv)
    try:
        return arguments.run(arguments)
    except KeyboardInterrupt:
        print("gimp-colorize-train: stopped", file=sys.stderr)
        return 130
    except (ValueError, OSError, FloatingPointError) as error:
        print(f"gimp-colorize-train: {error}", file=sys.stderr)
        return 1


def _parser(wanted: str) -> argparse.ArgumentParser:
    """All commands by name; the options of `wanted` alone, since importing every network takes seconds."""
    parser = argparse.ArgumentParser(
        prog="gimp-colorize-train", description="Train the networks that the service holds, and measure them."
    )
    commands = parser.add_subparsers(required=True, metavar="RECIPE|COMMAND")
    commands.add_parser("list", help="name the recipes").set_defaults(run=_list)
    for name, (module, text) in COMMANDS.items():
        if name == wanted:
            import_module(f"colorize_training.{module}").add_command(commands)
        else:
            commands.add_parser(name, help=text)
    for name in NAMES:
        if name == wanted:
            _add_recipe(commands, name)
        else:
            commands.add_parser(name, help=f"train {name}")
    return parser


def _add_recipe(commands: argparse._SubParsersAction, name: str) -> None:
    from colorize_training.recipes import recipe_class

    recipe = recipe_class(name)
    about = sys.modules[recipe.__module__].__doc__
    command = commands.add_parser(
        recipe.name,
        help=f"train {recipe.name}",
        description=about,
        formatter_class=_Help,
        epilog="Ctrl-C saves and stops; the same command resumes. Under torchrun it trains on many processes.",
    )
    data = command.add_argument_group("Photographs")
    data.add_argument("--data", nargs="+", required=True, help="folders, tar shards, pictures, lists of URLs or paths")
    data.add_argument("--validation", nargs="+", default=[], help="the same, never trained on; without it, a split")
    data.add_argument("--split", type=_shares, default=recipe.split, help="percent to train, validate and test on")
    data.add_argument("--out", type=Path, required=True, help="folder of the run; an earlier run in it is resumed")
    data.add_argument("--cache", type=Path, help="folder for decoded photographs (default: OUT/cache)")
    data.add_argument("--short-side", type=int, default=0, help="to which larger photographs are reduced; 0: as needed")
    add_options(command, recipe.Settings())
    add_options(command, recipe.loop)
    command.set_defaults(run=_train, recipe=recipe)


class _Help(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """The module's text as it was written, and every option's default."""


def _shares(text: str) -> tuple[int, int, int]:
    """75/15/10 as three whole percentages."""
    shares = tuple(int(part) for part in text.split("/"))
    if len(shares) != 3 or sum(shares) != 100 or min(shares) < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not three percentages such as 75/15/10")
    return shares


def _list(_: argparse.Namespace) -> int:
    print("\n".join(NAMES))
    return 0


def _train(arguments: argparse.Namespace) -> int:
    from colorize_training.running.loop import Run, Stopped
    from colorize_training.running.validation import Validation

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


def _photographs(arguments: argparse.Namespace, settings: LoopSettings, seed: int) -> tuple:
    """Photographs to train on and to validate with; the three parts of a split are written beside the run."""
    from colorize_training.data import overlap, pack, split, write_split

    cache = arguments.cache or arguments.out / "cache"
    short_side = arguments.short_side or max(176, settings.size)
    photographs = pack(arguments.data, cache, short_side)
    if arguments.validation:
        held_out = pack(arguments.validation, cache, short_side)
    else:
        parts = split(photographs, arguments.split, seed)
        write_split(parts, arguments.out)
        photographs, held_out, _ = parts
    if twice := overlap(photographs, held_out):
        raise ValueError(f"{len(twice)} pictures are both trained on and held out, such as {twice[0]}; part them")
    return photographs, held_out
