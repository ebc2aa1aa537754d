"""The plug-in's texts: each has a German translation, and the compiled catalogue is the one of the .po file."""

from __future__ import annotations

import ast
import gettext
import string
from pathlib import Path

import pytest
from colorize_client.errors import SENTENCES
from colorize_daemon.worker import NOTHING_KEPT, NOTHING_PAINTED

PLUG_IN = Path(__file__).resolve().parents[2] / "gimp_plugin" / "colorize"
GERMAN = gettext.translation("colorize", PLUG_IN / "locale", ["de"])


def texts() -> set[str]:
    """What stands in _(…) and marked(…) of the plug-in, the client's sentences, and the service's notes."""
    found = {*SENTENCES.values(), NOTHING_PAINTED, NOTHING_KEPT}
    for file in PLUG_IN.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("_", "marked"):
                found |= {ast.literal_eval(text) for text in node.args if isinstance(text, ast.Constant)}
    return found


@pytest.mark.parametrize("text", sorted(texts()))
def test_german(text: str) -> None:
    german = GERMAN.gettext(text)
    same = text == german and text not in ("System",)
    assert not same, "run gimp_plugin/translate.sh"
    assert fields(german) == fields(text)


def fields(text: str) -> set[str | None]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}
