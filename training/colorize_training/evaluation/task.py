"""What one evaluation measures."""

from dataclasses import dataclass

from colorize_training.data import PackedPhotographs
from colorize_training.evaluation.features import Lpips, Recognizer
from colorize_training.evaluation.methods import Method
from colorize_training.evaluation.protocols import Protocol


@dataclass(frozen=True)
class Task:
    """What is measured: which pictures, how, with what."""

    photographs: PackedPhotographs
    count: int
    protocol: Protocol
    counts: tuple[int, ...]
    methods: list[Method]
    lpips: Lpips | None
    classifier: Recognizer | None
