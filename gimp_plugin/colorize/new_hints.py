"""The transparent layer on which the user paints colour hints."""

import layers
import parasites
from edits import make_rgb, undo_step
from gi.repository import Gimp
from records import HintsRecord
from text import _


def add(image: Gimp.Image, photo: Gimp.Layer) -> Gimp.Layer:
    """A hint layer for this photograph, of the image's size, on top and selected.

    A grayscale image becomes RGB in the same undo step: on it every stroke would turn gray.
    """
    width, height = image.get_width(), image.get_height()
    with undo_step(image):
        make_rgb(image)
        kind, mode = Gimp.ImageType.RGBA_IMAGE, Gimp.LayerMode.NORMAL
        layer = Gimp.Layer.new(image, _(layers.HINTS_NAME), width, height, kind, 100.0, mode)
        image.insert_layer(layer, None, 0)
        parasites.write(layer, HintsRecord(photo.get_tattoo()))
    image.set_selected_layers([layer])
    Gimp.displays_flush()
    return layer
