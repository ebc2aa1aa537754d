"""How far a run is: the service's stages and fractions as a text and a position of GIMP's progress bar."""

from collections.abc import Callable

from text import _, marked

STEP = 0.01
WAITING = marked("Waiting for the colour service…")
STAGES = {  # of the service: what the user reads, and the part of the progress bar that the stage covers
    "queued": (WAITING, 0.05, 0.05),
    "loading": (marked("Loading the model…"), 0.05, 0.15),
    "upload": (marked("Sending the photograph…"), 0.15, 0.2),
    "encode": (marked("Looking at the photograph…"), 0.2, 0.6),
    "hints": (marked("Choosing colours…"), 0.6, 0.65),
    "lift": (marked("Colouring at full size…"), 0.65, 0.98),
}


class Progress:
    """Shows the service's progress, at most once per percent: each update is a message to GIMP.

    Args:
        show_text: takes the stage in the user's language.
        show_position: takes 0..1, each time more than before.
        requests: how many the run makes, one after the other; each begins with `next_request`.
    """

    def __init__(
        self, show_text: Callable[[str], object], show_position: Callable[[float], object], requests: int = 1
    ) -> None:
        self._show_text, self._show_position, self._requests = show_text, show_position, requests
        self._text, self._position, self._done = "", 0.0, 0

    def next_request(self) -> None:
        """The request is over, and another one begins."""
        self._done += 1

    def __call__(self, stage: str, fraction: float) -> None:
        """Takes a stage's name and how much of it is done, 0..1; in an unknown stage the position stays."""
        now = self._position * self._requests - self._done
        text, begin, end = STAGES.get(stage, (WAITING, now, now))
        if text != self._text:
            self._text = text
            self._show_text(_(text))
        position = (self._done + begin + (end - begin) * fraction) / self._requests
        if position - self._position >= STEP:
            self._position = position
            self._show_position(position)
