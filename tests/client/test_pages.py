"""The pages that people read name files that are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "CONTRIBUTING.md", "daemon/PROTOCOL.md", "training/README.md")
FOLDERS = ("gimp_plugin", "daemon", "training", "tests")
FILES = ["install.sh", *(f.relative_to(ROOT).as_posix() for each in FOLDERS for f in (ROOT / each).rglob("*.*"))]


@pytest.mark.parametrize("page", PAGES)
def test_files_that_a_page_names_exist(page: str) -> None:
    named = set(re.findall(r"`([\w/]+\.(?:py|sh|pyi))`", (ROOT / page).read_text(encoding="utf-8")))
    assert [name for name in sorted(named) if not any(f"/{file}".endswith(f"/{name}") for file in FILES)] == []


@pytest.mark.parametrize("page", PAGES)
def test_links_of_a_page_lead_somewhere(page: str) -> None:
    file = ROOT / page
    links = re.findall(r"\]\((?!http)([^)#]+)", file.read_text(encoding="utf-8"))
    assert [link for link in links if not (file.parent / link).exists()] == []
