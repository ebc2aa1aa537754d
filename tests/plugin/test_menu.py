"""The entries of Filters > Colorize. GIMP sorts them by their labels, so the labels are chosen for their order."""

from __future__ import annotations

import ast
import gettext
from pathlib import Path

import pytest
from text import DOMAIN, LOCALE_FOLDER

PLUG_IN = Path(__file__).resolve().parents[2] / "gimp_plugin" / "colorize"
FIRST, SECOND = "Colorize _Photo (AI)…", "Colorize _with Hints"
LAST = ("_Service…", "Show _Result Only")


def labels() -> list[str]:
    """What the procedures hand to `set_menu_label`, and to the function that does it for several."""
    found = []
    for node in ast.walk(ast.parse((PLUG_IN / "colorize.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("set_menu_label", "_layer_maker")):
            found += [each.args[0].value for each in node.args if ast.unparse(each).startswith("_(")]
    return found


@pytest.mark.parametrize("language", ["en", "de"])
def test_the_photograph_comes_first_then_hints_then_new_layers(language: str) -> None:
    read = gettext.translation(DOMAIN, PLUG_IN / LOCALE_FOLDER, [language], fallback=language == "en").gettext
    order = sorted(labels(), key=lambda label: read(label).replace("_", "").casefold())
    assert len(order) >= 5
    assert (order[0], order[1]) == (FIRST, SECOND)
    assert set(order[-2:]) == set(LAST)


@pytest.mark.parametrize("language", ["en", "de"])
def test_no_two_entries_share_their_underlined_letter(language: str) -> None:
    read = gettext.translation(DOMAIN, PLUG_IN / LOCALE_FOLDER, [language], fallback=language == "en").gettext
    letters = [read(label).partition("_")[2][0].casefold() for label in labels()]
    assert len(set(letters)) == len(letters)


@pytest.mark.parametrize("language", ["en", "de"])
def test_no_two_rows_of_the_dialog_share_their_underlined_letter(language: str) -> None:
    read = gettext.translation(DOMAIN, PLUG_IN / LOCALE_FOLDER, [language], fallback=language == "en").gettext
    tree = ast.parse((PLUG_IN / "colorize.py").read_text(encoding="utf-8"))
    (settings,) = (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "_add_settings")
    rows = {text for text in underlined(settings) if text not in ("_Hint layer", "_Model", "C_olour")}
    rows |= underlined(ast.parse((PLUG_IN / "dialog.py").read_text(encoding="utf-8")))
    letters = sorted(read(text).partition("_")[2][0].casefold() for text in rows)
    assert len(letters) >= 11
    assert len(set(letters)) == len(letters), letters


def underlined(tree: ast.AST) -> set[str]:
    """The texts in `_(…)` that have an underlined letter."""
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "_")
    return {str(ast.literal_eval(call.args[0])) for call in calls if "_" in str(ast.literal_eval(call.args[0]))}
