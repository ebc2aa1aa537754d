"""Changes to an image that several commands make."""

from collections.abc import Iterator
from contextlib import contextmanager

from gi.repository import Gimp


@contextmanager
def undo_step(image: Gimp.Image) -> Iterator[None]:
    """All changes inside are undone by one Undo."""
    image.undo_group_start()
    try:
        yield
    finally:
        image.undo_group_end()


@contextmanager
def without_selection(image: Gimp.Image) -> Iterator[None]:
    """Inside, nothing is selected: a shadow buffer is merged whole. Afterwards the selection is what it was."""
    if Gimp.Selection.is_empty(image):
        yield
        return
    selected = image.get_selection().copy()
    Gimp.Selection.none(image)
    try:
        yield
    finally:
        image.get_selection().combine_masks(selected, Gimp.ChannelOps.REPLACE, 0, 0)
        selected.delete()


def make_rgb(image: Gimp.Image) -> None:
    """A grayscale image would turn colours into gray without a word."""
    if image.get_base_type() != Gimp.ImageBaseType.RGB:
        image.convert_rgb()
