"""`gimp-colorize-train survey`: a page that asks people which picture is the true one.

Pathak, *Image Colorization*, names this "colorization Turing test" of Zhang et al. 2016 (section 3.1: the true and the
coloured picture side by side for one second, each fools in 50 % of the trials at best, ten trials of practice) as what
could not be done; Zia and Malik's report (training/README.md has its title) asked their peers whether single pictures
are real or fake. The page does both, in one HTML file that needs no server and no network. Zhang et al. tell the
pictures' places to nobody; here they are drawn in the browser.

True and coloured pictures are stored alike, as JPEG with whole chroma planes: the usual halved ones would blur just
what is judged. Which is which stands in the page, as there is no server to hide it: out of sight, not safe from a
participant who wants to cheat.
"""

import argparse
import base64
import hashlib
import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from colorize_client import Options
from colorize_engine import weights
from colorize_engine.colorizer import Colorizer
from tqdm import tqdm

from colorize_training.data import PackedPhotographs, pack
from colorize_training.pictures import coloured, gray_of, jpeg_uri, shown_gray
from colorize_training.ranges import PICTURES, PICTURES_OR_NONE, SEED, Within
from colorize_training.writing import write_text

QUALITY = 92  # of JPEG
PLACE = "@SURVEY@"  # where the data stand in survey.html
GRAY = "gray"  # what an attention check shows instead of a coloured picture


@dataclass(frozen=True)
class SurveySettings:
    """What the page asks: so many pictures for practice, for counted trials and for attention checks."""

    pictures: int = 40
    practice: int = 4
    checks: int = 2
    seconds: float = 1.0  # that a trial's pictures stay; 0: until the answer
    single: bool = False
    temperature: float = Options().temperature  # of the engine: 1 is cautious, lower is more vivid
    seed: int = 0

    @property
    def all_pictures(self) -> int:
        return self.pictures + self.practice + self.checks


def add_command(commands: argparse._SubParsersAction) -> None:
    """The command `survey`."""
    command = commands.add_parser(
        "survey",
        description="Write one HTML page that shows true and coloured pictures and counts how often people are fooled.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    default = SurveySettings()
    command.add_argument("--data", type=Path, nargs="+", required=True, help="pictures that no weights were trained on")
    command.add_argument("--weights", type=Path, nargs="+", required=True, help="one or more .safetensors files")
    command.add_argument("--out", type=Path, required=True, help="the HTML file to write")
    command.add_argument("--cache", type=Path, help="folder for decoded photographs; beside OUT where it is not given")
    command.add_argument("--side", type=Within(int, 16, 4096), default=256, help="short side of the pictures in pixels")
    command.add_argument("--pictures", type=PICTURES, default=default.pictures, help="how many each participant judges")
    command.add_argument(
        "--practice", type=PICTURES_OR_NONE, default=default.practice, help="pictures before them, not counted"
    )
    command.add_argument(
        "--checks",
        type=PICTURES_OR_NONE,
        default=default.checks,
        help="trials with a gray picture, which show who pays attention",
    )
    command.add_argument(
        "--seconds",
        type=Within(float, 0, 3600),
        default=default.seconds,
        help="that the pictures stay; 0: until the answer",
    )
    command.add_argument("--single", action="store_true", help="one picture at a time: real or fake?")
    command.add_argument(
        "--temperature",
        type=Within(float, *Options.limits("temperature")),
        default=default.temperature,
        help="1 is cautious, lower is vivid",
    )
    command.add_argument("--seed", type=SEED, default=default.seed, help="of the choice of pictures")
    command.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    fields = SurveySettings.__dataclass_fields__
    settings = SurveySettings(**{name: getattr(arguments, name) for name in fields})
    records = [weights.read_record(path) for path in arguments.weights]
    cache = arguments.cache or arguments.out.parent / "cache"
    page = survey_page(pack(arguments.data, cache, arguments.side), records, settings)
    write_text(arguments.out, page)
    print(f"{arguments.out}: {len(page) / 1e6:.1f} MB, {settings.pictures} pictures, {len(records)} weights")
    return 0


def survey_page(photographs: PackedPhotographs, records: list[weights.WeightsRecord], settings: SurveySettings) -> str:
    """The page's HTML. Raises ValueError where photographs are too few, or weights share a name or have the gray's."""
    _check(photographs, records, settings)
    rng = np.random.default_rng([settings.seed, len(photographs)])
    numbers = rng.permutation(len(photographs))[: settings.all_pictures]
    uses = ["practice"] * settings.practice + ["check"] * settings.checks + ["trial"] * settings.pictures
    images, key = _Images(), []
    colorizers = {record.name: Colorizer.load(record) for record in records}
    for number, use in tqdm(zip(numbers, uses, strict=True), desc="colouring", total=len(uses), unit="img"):
        truth = photographs[number]
        made = _made(truth, use, colorizers, settings.temperature)
        places = {name: images.add(picture) for name, picture in made.items()}
        name = Path(photographs.names[number]).name
        key.append({"name": name, "use": use, "truth": images.add(truth), "made": places})
    return _fill(_described(*images.shuffled(key, rng), records, settings))


def _check(photographs: PackedPhotographs, records: list[weights.WeightsRecord], settings: SurveySettings) -> None:
    names = [record.name for record in records]
    if len({*names, GRAY}) != len(names) + 1:
        raise ValueError(f"weights of a survey need names of their own, and not {GRAY!r}: {', '.join(names)}")
    if settings.pictures < 1 or min(settings.practice, settings.checks, settings.seconds) < 0:
        raise ValueError("a survey needs at least one picture; practice, checks and seconds are 0 or more")
    if len(photographs) < settings.all_pictures:
        raise ValueError(f"{len(photographs)} photographs are too few for a survey of {settings.all_pictures} pictures")


def _made(rgb: np.ndarray, use: str, colorizers: dict[str, Colorizer], temperature: float) -> dict[str, np.ndarray]:
    """What is shown beside the true picture: each weights' colours, or none for a check."""
    gray = gray_of(rgb)
    if use == "check":
        return {GRAY: shown_gray(gray)}
    return {name: coloured(c, c.set_image(gray), Options(temperature=temperature)) for name, c in colorizers.items()}


class _Images:
    """The page's pictures as data: URIs; in the end in an order that tells nothing."""

    def __init__(self) -> None:
        self.images: list[str] = []

    def add(self, rgb: np.ndarray) -> int:
        self.images.append(jpeg_uri(rgb, QUALITY))
        return len(self.images) - 1

    def shuffled(self, key: list[dict], rng: np.random.Generator) -> tuple[list[str], list[dict]]:
        """The images in random order, and the key with their new places."""
        order = rng.permutation(len(self.images))
        place = {int(old): new for new, old in enumerate(order)}
        moved = [
            entry | {"truth": place[entry["truth"]], "made": {name: place[n] for name, n in entry["made"].items()}}
            for entry in key
        ]
        return [self.images[n] for n in order], moved


def _described(
    images: list[str], key: list[dict], records: list[weights.WeightsRecord], settings: SurveySettings
) -> dict[str, Any]:
    """What the page's script reads; the key is packed, so that a look at the source gives nothing away."""
    shown = {
        "seconds": settings.seconds,
        "single": settings.single,
        "weights": [{"name": r.name, "title": r.title, "sha256": r.sha256} for r in records],
        "key": base64.b64encode(json.dumps(key).encode()).decode(),
        "images": images,
    }
    return {"id": hashlib.blake2b(json.dumps(shown).encode(), digest_size=8).hexdigest(), **shown}


def _fill(survey: dict[str, Any]) -> str:
    template = resources.files("colorize_training.commands").joinpath("survey.html").read_text(encoding="utf-8")
    return template.replace(PLACE, json.dumps(survey).replace("<", "\\u003c"))  # no name may end the script element
