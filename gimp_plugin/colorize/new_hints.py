"""The transparent layers on which the user paints: colour hints, and what is to stay as it is."""

import struct
from collections.abc import Sequence

import layers
import palette
import parasites
import pixels
from edits import make_rgb, undo_step
from gi.repository import Gegl, Gimp
from layers import StrokeKind
from records import StrokesRecord
from text import _

DAB = 0.4  # of the distance between two colours that are taken over: the side of each


def add(image: Gimp.Image, photo: Gimp.Layer, kind: StrokeKind = layers.HINTS) -> Gimp.Layer:
    """A layer of this kind for this photograph, of the image's size, on top and selected.

    A grayscale image becomes RGB in the same undo step: on it every stroke would turn gray.
    """
    width, height = image.get_width(), image.get_height()
    with undo_step(image):
        make_rgb(image)
        rgba, mode = Gimp.ImageType.RGBA_IMAGE, Gimp.LayerMode.NORMAL
        layer = Gimp.Layer.new(image, _(kind.name), width, height, rgba, 100.0, mode)
        image.insert_layer(layer, None, 0)
        parasites.write(layer, kind.parasite, StrokesRecord(photo.get_tattoo()))
    image.set_selected_layers([layer])
    Gimp.displays_flush()
    return layer


def mark(layer: Gimp.Layer, photo: Gimp.Layer, kind: StrokeKind = layers.HINTS) -> None:
    """An ordinary layer becomes one of this kind; its strokes count from now on."""
    with undo_step(layer.get_image()):
        parasites.write(layer, kind.parasite, StrokesRecord(photo.get_tattoo()))


def from_photo(image: Gimp.Image, photo: Gimp.Layer, below: Sequence[Gimp.Layer] = ()) -> Gimp.Layer:
    """A new hint layer with dabs of the photograph's own colours, one for each place that is even.

    It lies below the layers `below`, whose strokes win over it, else on top.
    """
    width, height, samples = pixels.overview(photo)
    step = photo.get_width() / width, photo.get_height() / height
    _found, left, top = photo.get_offsets()
    with undo_step(image):
        layer = add(image, photo)
        if below:
            image.reorder_item(layer, below[-1].get_parent(), layers.siblings(below[-1]).index(below[-1]))
        for dab in palette.dabs(width, height, samples):
            x, y = left + dab.x * step[0], top + dab.y * step[1]
            _put(layer, x, y, DAB * palette.CELL * step[0], dab.lab)
        layer.get_buffer().flush()
        layer.update(0, 0, layer.get_width(), layer.get_height())
    return layer


def _put(layer: Gimp.Layer, x: float, y: float, side: float, lab: palette.Sample) -> None:
    """A square of one colour around a place in the image's pixels; the layer starts at the image's own corner."""
    size = max(1, round(side))
    place = Gegl.Rectangle.new(round(x - size / 2), round(y - size / 2), size, size)
    layer.get_buffer().set(place, "CIE Lab alpha float", struct.pack("<ffff", *lab, 1.0) * size * size)
