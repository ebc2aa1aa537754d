"""The transparent layers on which the user paints: colour hints, and what is to stay as it is."""

import layers
import parasites
from edits import make_rgb, undo_step
from gi.repository import Gimp
from layers import StrokeKind
from records import StrokesRecord
from text import _


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
