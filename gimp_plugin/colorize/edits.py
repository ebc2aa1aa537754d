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
def no_undo_step(image: Gimp.Image) -> Iterator[None]:
    """Changes inside are none that Undo knows; nor would be a stroke that ends meanwhile, so let it be short."""
    image.undo_freeze()
    try:
        yield
    finally:
        image.undo_thaw()


@contextmanager
def without_selection(image: Gimp.Image) -> Iterator[None]:
    """Inside, nothing is selected: a shadow buffer is merged whole. Afterwards the selection is what it was."""
    if Gimp.Selection.is_empty(image):
        yield
        return
    with _remembered_selection(image):
        Gimp.Selection.none(image)
        yield


@contextmanager
def selected(image: Gimp.Image, layer: Gimp.Layer, box: tuple[int, int, int, int]) -> Iterator[None]:
    """Inside, a rectangle (x, y, width, height) of a layer is selected: a shadow buffer is merged there alone.

    The whole layer needs no selection, which would end at the image's border. Afterwards it is what it was.
    """
    _found, left, top = layer.get_offsets()
    x, y, width, height = box
    if box == (0, 0, layer.get_width(), layer.get_height()):
        with without_selection(image):
            yield
        return
    with _remembered_selection(image):
        Gimp.context_push()
        Gimp.context_set_feather(False)
        image.select_rectangle(Gimp.ChannelOps.REPLACE, left + x, top + y, width, height)
        Gimp.context_pop()
        yield


@contextmanager
def _remembered_selection(image: Gimp.Image) -> Iterator[None]:
    before = None if Gimp.Selection.is_empty(image) else image.get_selection().copy()
    try:
        yield
    finally:
        if before is None:
            Gimp.Selection.none(image)
        else:
            image.get_selection().combine_masks(before, Gimp.ChannelOps.REPLACE, 0, 0)
            before.delete()


def make_rgb(image: Gimp.Image) -> None:
    """A grayscale image would turn colours into gray without a word."""
    if image.get_base_type() != Gimp.ImageBaseType.RGB:
        image.convert_rgb()
