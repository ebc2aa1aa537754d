"""The parts of the plug-in that need no GIMP; its modules lie flat in its folder, as GIMP starts them."""

import sys
from pathlib import Path

import pytest

PLUG_IN = Path(__file__).resolve().parents[2] / "gimp_plugin" / "colorize"
sys.path.append(str(PLUG_IN))

with pytest.MonkeyPatch.context() as patch:
    patch.setenv("LANGUAGE", "C")  # whatever language the terminal has
    import text  # noqa: F401 - it loads its translation when it is first imported
