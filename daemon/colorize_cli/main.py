"""The command `gimp-colorize`: colours photographs, and asks after the colour service."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import Field, fields, replace
from pathlib import Path
from typing import Any, NoReturn

from colorize_client import ColorizeError, Options
from colorize_client.command import flag
from colorize_client.options import VIVIDNESS_LIMITS
from colorize_client.printable import printable

from colorize_cli import VERSION, commands, terminal
from colorize_cli.plan import FORMATS, UsageError, plan
from colorize_cli.terminal import UNREAD, OutputGone

DONE = 0
SOME_FAILED = 1

_EXAMPLES = """\
commands (a file of such a name is meant with a folder before it: ./status):
  gimp-colorize status [--json]   what the service does and holds; exit status 1 where it does not run
  gimp-colorize models [--json]   the installed models
  gimp-colorize stop              end the service; it starts again when it is needed

examples:
  gimp-colorize portrait.tif                     writes portrait-colorized.tif
  gimp-colorize album -o coloured                every picture below album, in the same folders below coloured
  gimp-colorize street.jpg --hints strokes.png   obeys the colours painted on strokes.png
  gimp-colorize street.jpg --hints strokes.png --keep faces.png --reach 0.3
                                                 smaller regions, and none over what is painted on faces.png

Results keep the depth (8 or 16 bits), colour profile, EXIF, resolution and transparency of the file, and its
lightness (L under D65; under D50, as GIMP has it, it is 0.1 to 0.3 off on average). In the same format the pixels
keep their order and the orientation tag; another format is written upright.
Results that are there already are left as they are, and their pictures skipped: a run that was broken off goes on
where it was. In a folder, hidden files and results (NAME-colorized.EXT) are no photographs, nor are results that are
named with their photographs, as by *.png. Links to folders are not followed, and said.

--json prints one object per picture: input, output, status "done", format, width, height, bits, seconds, model,
device, hint_cells, timings, notes; or input, output, status "skipped", reason; or input, status "failed", code,
error, detail. It is ASCII, and exact: bytes of names that are no UTF-8 stand as \\udc80 to \\udcff.

exit status: 0 all done or there already, 1 some pictures failed, 2 the command was not understood, 130 interrupted
(129, 143 by the end of the terminal or the system), 141 whoever read the output (as head does) went away
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with these arguments (default: those of the process); returns the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    terminal.prepare()
    try:
        with ending_by_signals():
            return _run(words)
    except ColorizeError as error:
        terminal.complain(*error.report().split("\n"))
        return SOME_FAILED
    except OutputGone as gone:
        if gone.unread:
            return UNREAD
        terminal.complain(str(gone))
        return SOME_FAILED
    except KeyboardInterrupt as interruption:
        terminal.complain("interrupted")
        return 128 + (interruption.args[0] if interruption.args else signal.SIGINT)


def _run(words: list[str]) -> int:
    try:
        os.getcwd()
    except FileNotFoundError:
        terminal.complain("the folder that you are in is gone; change to another one and run the command again")
        return SOME_FAILED
    if words and words[0] in commands.COMMANDS:
        return _service_command(words)
    return _colorize(words)


@contextmanager
def ending_by_signals() -> Iterator[None]:
    """End as by Ctrl-C, with nothing half written left behind, where the terminal is closed or the system stops."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt(number)

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    heard = [number for number, handler in before.items() if handler is not signal.SIG_IGN]  # nohup wants it ignored
    for number in heard:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in heard:
            signal.signal(number, before[number])


class _Parser(argparse.ArgumentParser):
    """One whose messages go the way of all text: they quote what was typed."""

    def error(self, message: str) -> NoReturn:
        super().error(printable(message))

    def _print_message(self, message: str, file: object = None) -> None:
        asked_for = file is sys.stdout
        terminal.put(message, sys.stdout if asked_for else sys.stderr)


def _service_command(words: list[str]) -> int:
    parser = _Parser(prog=f"gimp-colorize {words[0]}", description=commands.COMMANDS[words[0]].__doc__)
    if words[0] != "stop":
        parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args(words[1:])
    return commands.COMMANDS[words[0]](getattr(given, "json", False))


def _colorize(words: list[str]) -> int:
    parser = make_parser()
    given = parser.parse_args(words)
    try:
        jobs, problems = plan(given.inputs, given.output, given.format)
    except UsageError as error:
        parser.error(str(error))
    options = options_of(given)
    failures = commands.colorize(jobs, problems, options, given.hints, given.keep, given.overwrite, given.json)
    return SOME_FAILED if failures else DONE


def options_of(given: argparse.Namespace) -> Options:
    """The request's options among what was typed."""
    options = Options(**{each.name: getattr(given, each.name) for each in fields(Options)})
    if given.vividness is None:
        return options
    return replace(options, temperature=Options.from_vividness(given.vividness).temperature)


def make_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="gimp-colorize",
        description="Give black-and-white photographs colour.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("inputs", metavar="IN", nargs="+", type=_path, help="a photograph, or a folder with photographs at any depth")
    add(
        "-o",
        "--output",
        metavar="OUT",
        type=_path,
        help="the result's name, or a folder for results; default: beside IN",
    )
    add("--hints", metavar="PNG", type=_path, help="colours to obey: a transparent picture of the photograph's size")
    add("--keep", metavar="PNG", type=_path, help="what hints leave as it is: painted in any colour, else as --hints")
    for each in fields(Options):
        _add_option(_with_vividness(parser) if each.name == "temperature" else parser, each)
    add("--format", choices=FORMATS, help="of the results; default: as the photograph, else png")
    add("--overwrite", action="store_true", help="replace results that are there already; originals never are")
    add("--json", action="store_true", help="print one JSON object per picture")
    add("--version", action="version", version=f"%(prog)s {VERSION}")
    return parser


def _with_vividness(parser: argparse.ArgumentParser) -> argparse._MutuallyExclusiveGroup:
    """Where the temperature is added too: one of the two can be given."""
    group = parser.add_mutually_exclusive_group()
    low, high = VIVIDNESS_LIMITS
    words = f"{low:g} safe, muted colours, {high:g} the liveliest; default {Options().vividness:.0f}, as in GIMP"
    group.add_argument("--vividness", metavar="V", type=_number(low, high), help=words)
    return group


def _add_option(parser: argparse._ActionsContainer, option: Field[Any]) -> None:
    name, words = flag(option.name), option.metadata
    if option.default is False:
        parser.add_argument(name, action="store_true", help=words["help"])
        return
    kind = _number(*words["limits"]) if "limits" in words else str
    parser.add_argument(name, metavar=words["metavar"], type=kind, default=option.default, help=words["help"])


def _path(text: str) -> Path:
    if not text:  # a script's variable that was not set; Path("") would be the folder that one is in
        raise argparse.ArgumentTypeError("a name is empty; name a file or a folder")
    return Path(text)


def _number(low: float, high: float) -> Callable[[str], float]:
    def within(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number {low:g}..{high:g}")
        return value

    return within


if __name__ == "__main__":
    sys.exit(main())
