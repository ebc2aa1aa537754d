"""One session of Live Colours on an image: it answers when another command asks for it."""

import json
import time
import uuid
from typing import Any

from gi.repository import Gimp

NAME = "colorize-live"
ANSWER_SECONDS, PAUSE = 4.0, 0.05  # a session looks for calls every second or two


class Guard:
    """The mark of a session on its image; neither saved nor undone with it."""

    def __init__(self, image: Gimp.Image) -> None:
        self._image, self._id = image, uuid.uuid4().hex
        _write(image, {"session": self._id, "image": image.get_id(), "calls": 0, "answers": 0})

    def called(self) -> bool:
        """Whether another command asked since the last time; from now on it knows that the session is there."""
        mark = _read(self._image)
        if mark.get("session") != self._id or mark["calls"] <= mark["answers"]:
            return False
        _write(self._image, mark | {"answers": mark["calls"]})
        return True

    def release(self) -> None:
        if self._image.is_valid() and _read(self._image).get("session") == self._id:
            self._image.detach_parasite(NAME)


def answers(image: Gimp.Image) -> bool:
    """Whether a session is open on this image, whose window then comes to the front; one that was killed is not."""
    mark = _read(image)
    if not mark:
        return False
    calls = mark["calls"] + 1
    _write(image, mark | {"calls": calls})
    deadline = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < deadline:
        time.sleep(PAUSE)
        mark = _read(image)
        if not mark or mark["answers"] >= calls:
            return bool(mark)
    image.detach_parasite(NAME)
    return False


def _read(image: Gimp.Image) -> dict[str, Any]:
    """The mark; nothing on a copy of an image that has one."""
    parasite = image.get_parasite(NAME)
    mark = {} if parasite is None else json.loads(bytes(parasite.get_data()))
    return mark if mark.get("image") == image.get_id() else {}


def _write(image: Gimp.Image, mark: dict[str, Any]) -> None:
    image.attach_parasite(Gimp.Parasite.new(NAME, 0, json.dumps(mark).encode("ascii")))
