"""Whether the user's hand is at work: a pressed button is the sign to look often."""

from gi.repository import Gdk

BUTTONS = Gdk.ModifierType.BUTTON1_MASK | Gdk.ModifierType.BUTTON2_MASK | Gdk.ModifierType.BUTTON3_MASK


def is_pressed() -> bool | None:
    """Whether a button of mouse or pen is held, over whichever window; None where the screen does not say (Wayland)."""
    display = Gdk.Display.get_default()
    if display is None or "Wayland" in type(display).__name__:
        return None
    pointer = display.get_default_seat().get_pointer()
    root = display.get_default_screen().get_root_window()
    return bool(root.get_device_position(pointer)[3] & BUTTONS)
