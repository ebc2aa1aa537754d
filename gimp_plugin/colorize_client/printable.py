"""Text from elsewhere (file names, models, answers of the service, errors) as text that a terminal only prints."""

from __future__ import annotations

import unicodedata

# Control characters, halves of a pair, and what begins a line or paragraph.
_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
# What turns the direction of the text after it, so that a name reads as another one.
_TURNS = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})


def printable(text: str) -> str:
    r"""The text in one line, with an escape (\x1b, \n, \u202e) for each character that would steer a terminal.

    A byte of a file name that is no UTF-8 is shown as such: \xe9.
    """
    return "".join(_escaped(char) if _steers(char) else char for char in text)


def _steers(char: str) -> bool:
    return unicodedata.category(char) in _CATEGORIES or unicodedata.bidirectional(char) in _TURNS


def _escaped(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # os.fsdecode's stand-in for a byte
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")
