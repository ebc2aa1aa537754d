"""The selection as a limit of a run: what it holds of the photograph, and colours that are new inside it only."""

from dataclasses import dataclass

import masks
from gi.repository import Gegl, Gimp
from pixels import STRIP, source_node
from refusal import Refusal
from text import _

NOTHING, EVERYTHING = 0, 255


@dataclass(frozen=True)
class Part:
    """What a selection holds of a layer.

    Attributes:
        weights: u8, row by row over the whole layer: 0 outside, 255 inside, between where the selection is soft.
        stencil: the same, "Y float".
        width, height: of the layer.
    """

    weights: bytes
    stencil: Gegl.Buffer
    width: int
    height: int

    def cut(self, place: tuple[int, int, int, int]) -> bytes:
        """The weights of a rectangle (x, y, width, height) of the layer."""
        x, y, w, h = place
        return b"".join(self.weights[row * self.width + x : row * self.width + x + w] for row in range(y, y + h))


def of_weights(weights: bytes, width: int, height: int) -> Part:
    """A part of a piece of a layer, of its weights."""
    stencil = Gegl.Buffer.new("Y float", 0, 0, width, height)
    stencil.set(Gegl.Rectangle.new(0, 0, width, height), "Y u8", weights)
    return Part(weights, stencil, width, height)


def part_of(layer: Gimp.Layer) -> Part | None:
    """What the selection holds of this layer; None where nothing is selected, or all of the layer.

    Raises:
        Refusal: the selection lies beside the layer.
    """
    image, width, height = layer.get_image(), layer.get_width(), layer.get_height()
    if Gimp.Selection.is_empty(image):
        return None
    _found, x, y = layer.get_offsets()
    stencil, place = Gegl.Buffer.new("Y float", 0, 0, width, height), Gegl.Rectangle.new(0, 0, width, height)
    selected = image.get_selection().get_buffer()
    selected.copy(Gegl.Rectangle.new(x, y, width, height), Gegl.AbyssPolicy.NONE, stencil, place)
    weights = stencil.get(place, 1.0, "Y u8", Gegl.AbyssPolicy.NONE)
    if weights.count(NOTHING) == len(weights):
        raise Refusal(
            _(
                "The selection holds nothing of “{layer}”; select a part of it, or nothing at all with Select > None,"
                " then run this again."
            ).format(layer=layer.get_name())
        )
    return None if weights.count(EVERYTHING) == len(weights) else Part(weights, stencil, width, height)


def merge(
    part: Part, new: Gegl.Buffer, new_format: str, old: Gegl.Buffer, target: Gegl.Buffer, target_format: str
) -> None:
    """Fills `target` with the colours of `new` inside the selection and the bytes of `old` outside it.

    Between, where the selection is soft, they are mixed in linear light.

    Args:
        new: opaque, of `new_format`.
        old, target: of `target_format`, by its full name.
    """
    _mix(part, new, old, target)
    for y in range(0, part.height, STRIP):
        rows = Gegl.Rectangle.new(0, y, part.width, min(STRIP, part.height - y))
        mixed, before = _read(target, rows, target_format), _read(old, rows, target_format)
        target.set(rows, new_format, _read(new, rows, new_format))
        after = _read(target, rows, target_format)  # converted as a run without a selection does
        weights = part.weights[y * part.width : (y + rows.height) * part.width]
        target.set(rows, target_format, masks.composed(weights, before, mixed, after))
    target.flush()


def _read(buffer: Gegl.Buffer, rows: Gegl.Rectangle, babl_format: str) -> bytes:
    return buffer.get(rows, 1.0, babl_format, Gegl.AbyssPolicy.NONE)


def _mix(part: Part, new: Gegl.Buffer, old: Gegl.Buffer, target: Gegl.Buffer) -> None:
    graph = Gegl.Node()
    fade, over = graph.create_child("gegl:opacity"), graph.create_child("gegl:over")
    source_node(graph, new).link(fade)
    source_node(graph, part.stencil).connect_to("output", fade, "aux")
    source_node(graph, old).link(over)
    fade.connect_to("output", over, "aux")
    sink = graph.create_child("gegl:write-buffer")
    sink.set_property("buffer", target)
    over.link(sink)
    sink.process()
