"""The plug-in's texts in the user's language."""

import gettext
from pathlib import Path

DOMAIN = "colorize"
LOCALE_FOLDER = "locale"  # beside this file; GIMP itself reads the menu labels from it

_catalogue = gettext.translation(DOMAIN, Path(__file__).resolve().parent / LOCALE_FOLDER, fallback=True)
_ = _catalogue.gettext


LONGEST = 40  # characters of a name within a sentence


def shortened(name: str) -> str:
    """A name that the user gave, cut in its middle where it is longer than a line has room for."""
    half = LONGEST // 2
    return name if len(name) <= LONGEST else f"{name[:half]}…{name[-half:]}"


def marked(text: str) -> str:
    """Marks a text for translation at the place where it is shown, not where it stands."""
    return text
