"""What numbers the options of commands take: said once for each, and refused in a sentence where it is another."""

import argparse
import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Within:
    """An option's type: finite numbers from `least` to `most`, and `also`, a number that stands for something else.

    least: itself not, where `above`; what, unit: how a refusal names the number.
    """

    kind: type[int] | type[float]
    least: float
    most: float
    also: float | None = None
    above: bool = False
    what: str = ""
    unit: str = ""

    def __call__(self, text: str) -> int | float:
        """The number that `text` says. Raises argparse.ArgumentTypeError."""
        try:
            number = self.kind(text)
        except ValueError:
            number = math.nan
        if not self.holds(number):
            raise argparse.ArgumentTypeError(f"{text[:40]!r} is no {self._what}: {self._limits}")
        return number

    def holds(self, number: float) -> bool:
        """Whether the number is one of these."""
        inside = self.least < number if self.above else self.least <= number
        return number == self.also or (inside and number <= self.most)

    @property
    def _what(self) -> str:
        return self.what or ("whole number that fits here" if self.kind is int else "number that fits here")

    @property
    def _limits(self) -> str:
        start = f"above {self.least:.10g}, up to" if self.above else f"{self.least:.10g} to"
        return f"{start} {self.most:.10g}{self.unit and ' '}{self.unit}" + (
            "" if self.also is None else f", or {self.also:g}"
        )


SEED = Within(int, 0, 2**22)  # the loop numbers 2^40 pictures of each seed, in 63 bits
BATCH = Within(int, 1, 2**16)
SIDE = Within(int, 8, 2048)  # of a training picture, in pixels
SIDE_OR_NONE = Within(int, 8, 2048, also=0)
PICTURES = Within(int, 1, 10**9, what="number of pictures")
PICTURES_OR_NONE = Within(int, 0, 10**9, what="number of pictures")
STEPS = Within(int, 1, 10**9)
STEPS_OR_NONE = Within(int, 0, 10**9)
LEARNING_RATE = Within(float, 0, 100, above=True)
RATE_OR_NONE = Within(float, 0, 100)
SHARE = Within(float, 0, 1)
DECAY = Within(float, 0, 0.999999)  # of a mean that moves
WEIGHT = Within(float, 0, 10**6)  # of a term in a sum
