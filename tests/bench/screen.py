"""Hands and an eye on a screen, through X itself: a program for each movement would take longer than what is measured.

Runs inside a host; standard library only.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

BUTTON = 1
Z_PIXMAP, ALL_PLANES = 2, ctypes.c_ulong(-1)


class _Image(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int) for name in ("width", "height", "xoffset", "format")]
    _fields_ += [("data", ctypes.c_void_p), *((name, ctypes.c_int) for name in ("a", "b", "c", "d", "e", "line"))]


class _Pointer(ctypes.Structure):
    _fields_ = [(name, ctypes.c_short) for name in ("x", "y")]
    _fields_ += [(name, ctypes.c_ushort) for name in ("width", "height", "xhot", "yhot")]
    _fields_ += [("serial", ctypes.c_ulong), ("pixels", ctypes.POINTER(ctypes.c_ulong))]


@dataclass(frozen=True)
class Pointer:
    """The mouse's pointer, which is no part of the screen's pixels.

    Attributes:
        x, y: of its upper left corner on the screen.
        width, height: in pixels.
        argb: its pixels by rows, 32 bits each, the colours multiplied by alpha.
    """

    x: int
    y: int
    width: int
    height: int
    argb: list[int]


class Screen:
    """Mouse, keys and eye; the eye sees the rectangle `place` of the screen: x, y, width, height."""

    def __init__(self, place: tuple[int, int, int, int]) -> None:
        self._x11, self._test = ctypes.CDLL("libX11.so.6"), ctypes.CDLL("libXtst.so.6")
        self._fixes = ctypes.CDLL("libXfixes.so.3")
        self._x11.XOpenDisplay.restype = ctypes.c_void_p
        self._x11.XDefaultRootWindow.restype = ctypes.c_ulong
        self._x11.XGetImage.restype = ctypes.POINTER(_Image)
        self._x11.XStringToKeysym.restype = ctypes.c_ulong
        self._fixes.XFixesGetCursorImage.restype = ctypes.POINTER(_Pointer)
        self._display = ctypes.c_void_p(self._x11.XOpenDisplay(None))
        self._root = ctypes.c_ulong(self._x11.XDefaultRootWindow(self._display))
        x, y, width, height = place
        self._place = (x, y, ctypes.c_uint(width), ctypes.c_uint(height), ALL_PLANES, Z_PIXMAP)
        self._image = self._x11.XGetImage(self._display, self._root, *self._place)

    def pixels(self) -> bytes:
        """What is seen now, by rows, 4 bytes a pixel: blue, green, red, none."""
        self._x11.XGetSubImage(self._display, self._root, *self._place, self._image, 0, 0)
        image = self._image.contents
        return ctypes.string_at(image.data, image.line * image.height)

    def pointer(self) -> Pointer:
        """The pointer as it is now."""
        found = self._fixes.XFixesGetCursorImage(self._display)
        seen = found.contents
        argb = [pixel & 0xFFFFFFFF for pixel in seen.pixels[: seen.width * seen.height]]
        pointer = Pointer(seen.x - seen.xhot, seen.y - seen.yhot, seen.width, seen.height, argb)
        self._x11.XFree(found)
        return pointer

    def move(self, x: int, y: int) -> None:
        self._test.XTestFakeMotionEvent(self._display, -1, x, y, ctypes.c_ulong(0))
        self._x11.XFlush(self._display)

    def press(self, down: bool) -> None:
        self._test.XTestFakeButtonEvent(self._display, BUTTON, int(down), ctypes.c_ulong(0))
        self._x11.XFlush(self._display)

    def strike(self, *keys: str) -> None:
        """Presses keys, by X's names of them, together, and lets them go."""
        symbols = (ctypes.c_ulong(self._x11.XStringToKeysym(key.encode())) for key in keys)
        codes = [self._x11.XKeysymToKeycode(self._display, symbol) & 0xFF for symbol in symbols]
        for down, order in ((1, codes), (0, codes[::-1])):
            for code in order:
                self._test.XTestFakeKeyEvent(self._display, code, down, ctypes.c_ulong(0))
        self._x11.XFlush(self._display)
