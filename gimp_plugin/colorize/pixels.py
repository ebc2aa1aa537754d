"""Reads what the service needs out of GIMP: the photograph's gray plane, and the painted tiles of layers of strokes."""

import tiles
from gi.repository import Gegl, Gimp

STRIP = 256
EIGHT_BIT = (Gimp.Precision.U8_LINEAR, Gimp.Precision.U8_NON_LINEAR, Gimp.Precision.U8_PERCEPTUAL)


def is_eight_bit(image: Gimp.Image) -> bool:
    return image.get_precision() in EIGHT_BIT


def gray_plane(layer: Gimp.Layer) -> tuple[str, bytes]:
    """The layer's sRGB-encoded luminance, row by row: ("u8" | "u16", bytes).

    16 bits for every image that holds more than 8. Opacity, mask and filters of the layer have no part in it; the
    image's profile has, because babl converts to sRGB.
    """
    image, buffer = layer.get_image(), layer.get_buffer()
    width, height = layer.get_width(), layer.get_height()
    if is_eight_bit(image):
        return "u8", _read(buffer, 0, 0, width, height, "Y' u8")
    if layer.is_gray():
        return "u16", _read(buffer, 0, 0, width, height, "Y' u16")
    return "u16", _deep_gray(buffer, width, height)


def _deep_gray(buffer: Gegl.Buffer, width: int, height: int) -> bytes:
    """Y' u16 of deep RGB by way of linear float: babl's direct way is five times slower for integers, and equal."""
    strip, strips = Gegl.Buffer.new("RGB float", 0, 0, width, STRIP), []
    for y in range(0, height, STRIP):
        rows = min(STRIP, height - y)
        strip.set(Gegl.Rectangle.new(0, 0, width, rows), "RGB float", _read(buffer, 0, y, width, rows, "RGB float"))
        strips.append(_read(strip, 0, 0, width, rows, "Y' u16"))
    return b"".join(strips)


def hint_tiles(hints: Gimp.Layer, photo: Gimp.Layer) -> tuple[list[tiles.Rectangle], list[bytes]]:
    """The painted tiles of a layer of strokes in the photograph's pixels: ([(x, y, w, h)], [R'G'B'A u8]).

    Tiles that are wholly transparent are left out, whatever colour lies under the transparency. Reading all four
    channels and looking at the fourth is twenty times faster than asking babl for the alpha alone.
    """
    width, height = photo.get_width(), photo.get_height()
    buffer, dx, dy = _visible_hints(hints), *_offset_between(photo, hints)
    places, data = [], []
    for x, y, w, h in tiles.cut(width, height):
        pixels = _read(buffer, x + dx, y + dy, w, h, "R'G'B'A u8")
        if tiles.is_painted(pixels):
            places.append((x, y, w, h))
            data.append(pixels)
    return places, data


def _visible_hints(hints: Gimp.Layer) -> Gegl.Buffer:
    """The hint layer's pixels, less what its own layer mask hides."""
    mask = hints.get_mask()
    if mask is None or not hints.get_apply_mask():
        return hints.get_buffer()
    width, height = hints.get_width(), hints.get_height()
    masked = Gegl.Buffer.new("R'G'B'A float", 0, 0, width, height)
    graph = Gegl.Node()
    source, stencil = source_node(graph, hints.get_buffer()), source_node(graph, mask.get_buffer())
    fade, sink = graph.create_child("gegl:opacity"), graph.create_child("gegl:write-buffer")
    sink.set_property("buffer", masked)
    source.link(fade)
    stencil.connect_to("output", fade, "aux")
    fade.link(sink)
    sink.process()
    return masked


def source_node(graph: Gegl.Node, buffer: Gegl.Buffer) -> Gegl.Node:
    node = graph.create_child("gegl:buffer-source")
    node.set_property("buffer", buffer)
    return node


def _offset_between(photo: Gimp.Layer, hints: Gimp.Layer) -> tuple[int, int]:
    _, photo_x, photo_y = photo.get_offsets()
    _, hints_x, hints_y = hints.get_offsets()
    return photo_x - hints_x, photo_y - hints_y


def _read(buffer: Gegl.Buffer, x: int, y: int, width: int, height: int, babl_format: str) -> bytes:
    """Zeros come for what lies outside the buffer."""
    return buffer.get(Gegl.Rectangle.new(x, y, width, height), 1.0, babl_format, Gegl.AbyssPolicy.NONE)
