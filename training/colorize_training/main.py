"""`gimp-colorize-train`: list, train, export and evaluate."""

import argparse
import dataclasses
import sys
from pathlib import Path

from colorize_training import recipes
from colorize_training.data import pack
from colorize_training.evaluate import COUNTS, evaluate
from colorize_training.export import export
from colorize_training.loop import LoopSettings, Run, Stopped
from colorize_training.validation import Validation


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    arguments = _parser().parse_args(argv)
    try:
        return arguments.run(arguments)
    except Stopped as stopped:
        print(stopped, file=sys.stderr)
        return 130
    except (ValueError, OSError, FloatingPointError) as error:
        print(f"gimp-colorize-train: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gimp-colorize-train", description="Train the networks that the service holds."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="RECIPE|COMMAND")
    commands.add_parser("list", help="name the recipes").set_defaults(run=_list)
    exported = commands.add_parser("export", help="turn a checkpoint into weights that the service loads")
    exported.add_argument("checkpoint", type=Path)
    exported.add_argument("weights", type=Path, help="the .safetensors file to write")
    exported.add_argument("--name", help="name of the weights in the service (default: the recipe's)")
    exported.add_argument("--title", help="how people read the name (default: the name)")
    exported.add_argument("--licence", required=True, help="licence of the weights, for their metadata")
    exported.set_defaults(run=lambda a: export(a.checkpoint, a.weights, a.name, a.title, a.licence))
    _add_evaluate(commands)
    for name in recipes.names():
        _add_recipe(commands, name)
    return parser


def _add_evaluate(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser("evaluate", help="measure weights on photographs they never saw")
    command.add_argument("weights", type=Path, help="the .safetensors file")
    command.add_argument("--data", type=Path, nargs="+", required=True, help="folders, tar shards, pictures")
    command.add_argument("--cache", type=Path, required=True, help="folder for decoded photographs")
    command.add_argument("--hints", type=int, nargs="+", default=COUNTS, help="hint counts (default: %(default)s)")
    command.add_argument("--pictures", type=int, default=500, help="how many, the first ones (default: %(default)s)")
    command.add_argument("--table", type=Path, help="CSV file to write as well")
    command.set_defaults(run=lambda a: evaluate(a.weights, pack(a.data, a.cache), tuple(a.hints), a.table, a.pictures))


def _add_recipe(commands: argparse._SubParsersAction, name: str) -> None:
    command = commands.add_parser(name, help=f"train {name}", formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    command.add_argument("--data", type=Path, nargs="+", required=True, help="folders, tar shards, pictures")
    command.add_argument("--validation", type=Path, nargs="+", default=[], help="the same, never trained on")
    command.add_argument("--out", type=Path, required=True, help="folder of the run; an earlier run in it is resumed")
    command.add_argument("--cache", type=Path, help="folder for decoded photographs (default: OUT/cache)")
    for settings in (recipes.settings_of(name), LoopSettings):
        for field in dataclasses.fields(settings):
            option = "--" + field.name.replace("_", "-")
            command.add_argument(option, type=field.type, default=field.default, help=" ")
    command.set_defaults(run=_train)


def _list(_: argparse.Namespace) -> int:
    print("\n".join(recipes.names()))
    return 0


def _train(arguments: argparse.Namespace) -> int:
    def chosen(settings: type) -> object:
        return settings(**{f.name: getattr(arguments, f.name) for f in dataclasses.fields(settings)})

    cache = arguments.cache or arguments.out / "cache"
    photographs = pack(arguments.data, cache)
    validation = Validation(pack(arguments.validation, cache)) if arguments.validation else None
    recipe = recipes.make(arguments.command, chosen(recipes.settings_of(arguments.command)))
    Run(recipe, chosen(LoopSettings), photographs, arguments.out).train(validation)
    return 0
