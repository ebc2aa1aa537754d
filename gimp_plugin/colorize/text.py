"""The plug-in's texts in the user's language."""

import gettext
from pathlib import Path

DOMAIN = "colorize"
LOCALE_FOLDER = "locale"  # beside this file; GIMP itself reads the menu labels from it

_catalogue = gettext.translation(DOMAIN, Path(__file__).resolve().parent / LOCALE_FOLDER, fallback=True)
_ = _catalogue.gettext


def marked(text: str) -> str:
    """Marks a text for translation at the place where it is shown, not where it stands."""
    return text
