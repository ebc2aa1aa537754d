"""One session of Live Colours on an image: it answers when another command asks for it."""

import json
import os
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
        who = {"session": self._id, "process": os.getpid(), "image": image.get_id()}
        _write(image, who | {"calls": 0, "answers": 0})

    @property
    def holds(self) -> bool:
        """Whether the image still has this mark, and not another session's."""
        return self._image.is_valid() and _read(self._image).get("session") == self._id

    def called(self) -> bool:
        """Whether another command asked since the last time; from now on it knows that the session is there."""
        mark = _read(self._image)
        if mark.get("session") != self._id or mark["calls"] <= mark["answers"]:
            return False
        _write(self._image, mark | {"answers": mark["calls"]})
        return True

    def release(self) -> None:
        if self.holds:
            self._image.detach_parasite(NAME)


def claim(image: Gimp.Image) -> Guard | None:
    """The mark for a session that is about to open; None where one is open, or opens at this moment, too."""
    if answers(image):
        return None
    guard = Guard(image)
    time.sleep(PAUSE)  # of two that found no mark, the later one has written over the other's
    return guard if guard.holds else None


def answers(image: Gimp.Image) -> bool:
    """Whether a session is open on this image, whose window then comes to the front; one that was killed is not."""
    mark = _read(image)
    if not mark:
        return False
    if not _runs(mark["process"]):
        image.detach_parasite(NAME)
        return False
    calls = mark["calls"] + 1
    _write(image, mark | {"calls": calls})
    deadline = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < deadline:
        time.sleep(PAUSE)
        mark = _read(image)
        if not mark or mark["answers"] >= calls:
            return bool(mark)
    return True  # it opens, or has much to do, and comes to the front afterwards


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError:  # it has ended; or its number is another user's now
        return False
    return True


def _read(image: Gimp.Image) -> dict[str, Any]:
    """The mark; nothing on a copy of an image that has one."""
    parasite = image.get_parasite(NAME)
    mark = {} if parasite is None else json.loads(bytes(parasite.get_data()))
    return mark if mark.get("image") == image.get_id() else {}


def _write(image: Gimp.Image, mark: dict[str, Any]) -> None:
    image.attach_parasite(Gimp.Parasite.new(NAME, 0, json.dumps(mark).encode("ascii")))
