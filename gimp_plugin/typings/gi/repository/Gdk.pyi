from typing import ClassVar

from gi.repository import GObject

class Atom: ...

class ModifierType(int):
    BUTTON1_MASK: ClassVar[ModifierType]
    BUTTON2_MASK: ClassVar[ModifierType]
    BUTTON3_MASK: ClassVar[ModifierType]

class Rectangle:
    x: int
    y: int
    width: int
    height: int

class Device(GObject.Object): ...

class Monitor(GObject.Object):
    def get_workarea(self) -> Rectangle: ...

class Seat(GObject.Object):
    def get_pointer(self) -> Device: ...

class Window(GObject.Object):
    def get_device_position(self, device: Device) -> tuple[Window | None, int, int, ModifierType]: ...

class Screen(GObject.Object):
    def get_root_window(self) -> Window: ...

class Display(GObject.Object):
    @staticmethod
    def get_default() -> Display | None: ...
    def get_default_screen(self) -> Screen: ...
    def get_default_seat(self) -> Seat: ...
    def get_monitor_at_window(self, window: Window) -> Monitor: ...

SELECTION_CLIPBOARD: Atom
