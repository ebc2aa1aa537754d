"""Settings of recipes and of the loop: frozen dataclasses whose fields explain themselves on the command line."""

import argparse
import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeVar

from colorize_training.ranges import (
    DECAY,
    PICTURES,
    SHARE,
    SIDE,
    SIDE_OR_NONE,
    STEPS_OR_NONE,
    Within,
)


class Settings(Protocol):
    """A frozen dataclass of `setting` fields."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]


T = TypeVar("T", bound=Settings)


def setting(default: Any, text: str, takes: tuple[Any, ...] | Within | None = None) -> Any:
    """A field of a settings dataclass, explained by `text`; its option takes these choices, or numbers within these."""
    return dataclasses.field(default=default, metadata={"help": text, "takes": takes})


def add_options(parser: argparse.ArgumentParser, defaults: Settings) -> None:
    """One option for each field of the settings `defaults`, with their values as defaults."""
    group = parser.add_argument_group((type(defaults).__doc__ or "").partition("\n")[0].rstrip("."))
    for field in dataclasses.fields(defaults):
        value, text, takes = getattr(defaults, field.name), field.metadata["help"], field.metadata["takes"]
        kind = {"type": takes} if isinstance(takes, Within) else {"type": type(value), "choices": takes}
        if isinstance(value, bool):
            kind = {"action": argparse.BooleanOptionalAction}
        group.add_argument("--" + field.name.replace("_", "-"), default=value, help=text, **kind)


def chosen(settings: type[T], arguments: argparse.Namespace) -> T:
    """The settings that the command line gave."""
    return settings(**{field.name: getattr(arguments, field.name) for field in dataclasses.fields(settings)})


@dataclass(frozen=True)
class LoopSettings:
    """Settings of the loop."""

    samples: int = setting(200_000, "pictures seen in the whole run", PICTURES)
    minutes: float = setting(
        0.0,
        "time to train, all parts of the run together, instead of SAMPLES; 0: SAMPLES count",
        Within(float, 0.001, 10**6, also=0),
    )
    training_share: float = setting(
        1.0, "share of the training photographs that is used, drawn by chance", Within(float, 0, 1, above=True)
    )
    size: int = setting(160, "pixels of a training picture's side", SIDE)
    early_size: int = setting(0, "the same until EARLY_SHARE of the run is over; 0: SIZE throughout", SIDE_OR_NONE)
    early_share: float = setting(0.6, "share of the run in which pictures have EARLY_SIZE", SHARE)
    schedule: str = setting(
        "fall", "learning rate: fall to zero at the end, plateau, or constant", ("fall", "plateau", "constant")
    )
    warm_up: int = setting(0, "steps in which the learning rate rises from zero", STEPS_OR_NONE)
    fall_share: float = setting(0.35, "share of the run in which the learning rate falls to zero", SHARE)
    patience: int = setting(
        1, "plateau: validations without progress before the learning rate is divided by ten", STEPS_OR_NONE
    )
    ema: float = setting(
        0.0, "decay of the exponential moving average of the weights that is validated and exported; 0: none", DECAY
    )
    clip: float = setting(1.0, "largest norm of the gradient; 0: any", Within(float, 0, 10**6))
    validate_every: int = setting(16_000, "samples between validations; each may save the best weights", PICTURES)
    validate_on: int = setting(48, "photographs of a validation", PICTURES)
    validate_size: int = setting(0, "pixels of their side; 0: SIZE", SIDE_OR_NONE)
    save_every: int = setting(300, "seconds between checkpoints", Within(int, 0, 10**6))
    precision: str = setting(
        "auto", "arithmetic of the forward pass; auto: bf16 where the device has it", ("auto", "bf16", "fp32")
    )
    compile: bool = setting(
        False, "compile what a step computes: takes a minute or two for each size, gains nothing on a CPU"
    )
    drawers: int = setting(
        1, "threads that draw ahead, of recipes that draw pictures one by one; a GPU wants several", Within(int, 1, 256)
    )
    threads: int = setting(0, "CPU threads; 0: torch's own choice", Within(int, 0, 1024))
    device: str = setting("auto", "cuda, cpu or auto")
