"""The packages import each other one way: what CONTRIBUTING.md draws is what the code does."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# package: its folder, and the modules of the project that it may import, besides its own
ARROWS = {
    "colorize_client": ("gimp_plugin/colorize_client", ()),
    "colorize": ("gimp_plugin/colorize", ("colorize_client",)),
    "colorize_engine": ("daemon/colorize_engine", ("colorize_client",)),
    "colorize_daemon": ("daemon/colorize_daemon", ("colorize_client", "colorize_engine")),
    "colorize_cli": ("daemon/colorize_cli", ("colorize_client", "colorize_engine.colour")),
    "colorize_training": ("training/colorize_training", ("colorize_client", "colorize_engine")),
}


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{name.name}" for name in node.names)


@pytest.mark.parametrize("package", ARROWS)
def test_imports_follow_the_arrows(package: str) -> None:
    folder, allowed = ARROWS[package]
    files = [file for file in (ROOT / folder).rglob("*.py") if "vendor" not in file.parts]
    assert files
    within = tuple(f"{name}." for name in (package, *allowed))
    ours = [(file, name) for file in files for name in imported(file) if name.startswith("colorize_")]
    assert [(str(file.relative_to(ROOT)), name) for file, name in ours if not f"{name}.".startswith(within)] == []


@pytest.mark.parametrize(
    ("inner", "outer"), [("recipes", "commands"), ("data", "commands"), ("evaluation", "commands"), ("data", "running")]
)
def test_trainings_libraries_know_nothing_of_who_uses_them(inner: str, outer: str) -> None:
    files = list((ROOT / "training" / "colorize_training" / inner).rglob("*.py"))
    assert files
    assert not [name for file in files for name in imported(file) if name.startswith(f"colorize_training.{outer}")]
