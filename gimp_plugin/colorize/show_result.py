"""Show Result Only: hides the layers that are painted on, and shows them again."""

import layers
import parasites
from edits import undo_step
from gi.repository import Gimp
from refusal import Refusal
from text import _


def toggle(image: Gimp.Image) -> bool:
    """Hides all layers of strokes that are visible; where none is, shows those again that were hidden so, or all.

    Returns whether they are visible now. Hidden so, they count as before.

    Raises:
        Refusal: there is none.
    """
    strokes = [layer for layer in layers.strokes_in(image) if not layer.get_lock_visibility()]
    if not strokes:
        raise Refusal(
            _(
                "“{image}” has no hint layer and no keep layer that could be hidden; make one with Filters > Colorize >"
                " New Hint Layer."
            ).format(image=image.get_name())
        )
    visible = [layer for layer in strokes if layer.get_visible()]
    aside = layers.put_aside(image)
    with undo_step(image):
        for layer in visible or aside or strokes:
            layer.set_visible(not visible)
        parasites.write_hidden(image, [layer.get_tattoo() for layer in [*aside, *visible]] if visible else [])
    Gimp.displays_flush()
    return not visible
