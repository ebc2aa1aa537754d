"""The pages that people read name files that are there."""

import re
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "CONTRIBUTING.md", "daemon/PROTOCOL.md", "training/README.md")
FOLDERS = ("gimp_plugin", "daemon", "training", "tests")
FILES = ["install.sh", *(f.relative_to(ROOT).as_posix() for each in FOLDERS for f in (ROOT / each).rglob("*.*"))]

FILM = "gimp_plugin/pictures/live.webp"
SOON_LOADED = 2_000_000  # bytes


@pytest.mark.parametrize("page", PAGES)
def test_files_that_a_page_names_exist(page: str) -> None:
    named = set(re.findall(r"`([\w/]+\.(?:py|sh|pyi))`", (ROOT / page).read_text(encoding="utf-8")))
    assert [name for name in sorted(named) if not any(f"/{file}".endswith(f"/{name}") for file in FILES)] == []


@pytest.mark.parametrize("page", PAGES)
def test_links_of_a_page_lead_somewhere(page: str) -> None:
    file = ROOT / page
    links = re.findall(r"\]\((?!http)([^)#]+)", file.read_text(encoding="utf-8"))
    assert [link for link in links if not (file.parent / link).exists()] == []


def pictures_of_the_readme() -> list[str]:
    return re.findall(r"!\[[^]]+\]\(([^)]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize("picture", pictures_of_the_readme())
def test_pictures_of_the_readme_are_whole_and_soon_loaded(picture: str) -> None:
    assert (ROOT / picture).stat().st_size <= SOON_LOADED
    with Image.open(ROOT / picture) as opened:
        opened.load()


def test_the_readme_begins_with_a_film_that_runs_again_and_again() -> None:
    assert pictures_of_the_readme()[0] == FILM
    with Image.open(ROOT / FILM) as film:
        assert film.n_frames > 50
        assert film.info["loop"] == 0
        assert 6 <= sum(_milliseconds(film, number) for number in range(film.n_frames)) / 1000 <= 12


def _milliseconds(film: Image.Image, number: int) -> int:
    film.seek(number)
    film.load()
    return film.info["duration"]
