"""`gimp-colorize-train`: a command for each recipe, and commands that measure what was trained."""

import argparse
import sys
import threading
from importlib import import_module

from colorize_engine.memory import memory_is_full

from colorize_training.recipes import NAMES

# Commands that are not recipes, each in the module of its name: what the overview says of them.
COMMANDS = {
    "export": "turn a checkpoint into weights that the service loads",
    "evaluate": "measure weights on photographs they never saw",
    "ablate": "train and measure the six experiments of vgg-regression",
    "classify": "ask a classifier of CIFAR-10 what colour is worth to it",
    "lift": "compare ways to bring chroma to full size",
    "coverage": "loss against hint coverage, and chroma by hue",
    "survey": "write a page that asks people which picture is the true one",
}


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    arguments = _parser(argv[0] if argv else "").parse_args(argv)
    threading.excepthook = _of_a_thread
    try:
        return arguments.run(arguments)
    except KeyboardInterrupt:
        print("gimp-colorize-train: stopped", file=sys.stderr)
        return 130
    except (ValueError, OSError, FloatingPointError) as error:
        print(f"gimp-colorize-train: {error}", file=sys.stderr)
        return 1
    except (MemoryError, RuntimeError) as error:
        if not memory_is_full(error):
            raise
        print(f"gimp-colorize-train: memory is full; lower --batch or --size ({error})", file=sys.stderr)
        return 1


def _parser(wanted: str) -> argparse.ArgumentParser:
    """All commands by name; the options of `wanted` alone, since importing every network takes seconds."""
    parser = argparse.ArgumentParser(
        prog="gimp-colorize-train", description="Train the networks that the service holds, and measure them."
    )
    commands = parser.add_subparsers(required=True, metavar="RECIPE|COMMAND")
    commands.add_parser("list", help="name the recipes").set_defaults(run=_list)
    for name, text in COMMANDS.items():
        if name == wanted:
            import_module(f"colorize_training.commands.{name}").add_command(commands)
        else:
            commands.add_parser(name, help=text)
    for name in NAMES:
        if name == wanted:
            import_module("colorize_training.commands.train").add_command(commands, name)
        else:
            commands.add_parser(name, help=f"train {name}")
    return parser


def _of_a_thread(failed: threading.ExceptHookArgs) -> None:
    """TensorBoard's own thread fails where the disk is full, and the next write of the main thread says so."""
    if failed.exc_type is not None and not issubclass(failed.exc_type, OSError):
        threading.__excepthook__(failed)


def _list(_: argparse.Namespace) -> int:
    print("\n".join(NAMES))
    return 0
