"""What the user's hand does: a pressed button is the sign to look often, a pointer that rests to look seldom."""

from __future__ import annotations

import time

from gi.repository import Gdk

BUTTONS = Gdk.ModifierType.BUTTON1_MASK | Gdk.ModifierType.BUTTON2_MASK | Gdk.ModifierType.BUTTON3_MASK


class Hand:
    """Mouse or pen, over whichever window. Wayland says nothing of them outside of one's own windows.

    Attributes:
        is_seen: whether the screen says where the hand is.
        is_down: whether a button is held; False where it is not seen.
    """

    def __init__(self) -> None:
        display = Gdk.Display.get_default()
        self.is_seen = display is not None and "Wayland" not in type(display).__name__
        self.is_down = False
        self._place, self._moved = (0, 0), time.monotonic()
        if display is not None and self.is_seen:
            self._pointer = display.get_default_seat().get_pointer()
            self._root = display.get_default_screen().get_root_window()

    def look(self) -> None:
        """To be called often; costs a tenth of a millisecond."""
        if not self.is_seen:
            return
        _, x, y, state = self._root.get_device_position(self._pointer)
        if (x, y) != self._place or bool(state & BUTTONS) != self.is_down:
            self._moved = time.monotonic()
        self._place, self.is_down = (x, y), bool(state & BUTTONS)

    def rests(self, seconds: float) -> bool:
        """Whether it has not moved for so long; False where it is not seen."""
        return self.is_seen and time.monotonic() - self._moved > seconds
