"""Reads what the service needs out of GIMP: the photograph's gray plane, and the painted tiles of layers of strokes.

And what the user has to be told of a layer: that it is painted on, or in colour.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence

import palette
import tiles
from gi.repository import Gegl, Gimp
from palette import Sample
from watching import Coverage

STRIP = 256
PLAIN = 4  # of 255, at most, between the darkest and the lightest pixel of a plain layer
ROWS_LOOKED_AT = 16  # for that
OVERVIEW = 48  # pixels on the longer side
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


def hint_tiles(painted: Sequence[Gimp.Layer], photo: Gimp.Layer) -> tuple[list[tiles.Rectangle], list[bytes]]:
    """The painted tiles of layers of strokes in the photograph's pixels: ([(x, y, w, h)], [R'G'B'A u8]).

    Where several layers are painted on, the upper one wins. Tiles that are wholly transparent are left out, whatever
    colour lies under the transparency. Reading all four channels and looking at the fourth is twenty times faster than
    asking babl for the alpha alone.

    Args:
        painted: from the top down.
    """
    everywhere = list(tiles.cut(photo.get_width(), photo.get_height()))
    found = tiles.merged(dict(painted_tiles(layer, photo, everywhere)) for layer in painted)
    return [place for place, _ in found], [pixels for _, pixels in found]


def painted_tiles(
    layer: Gimp.Layer, photo: Gimp.Layer, places: Iterable[tiles.Rectangle]
) -> Iterator[tuple[tiles.Rectangle, bytes]]:
    """Those of the places (x, y, w, h), in the photograph's pixels, that a layer is painted on, with R'G'B'A u8."""
    buffer, dx, dy = _visible_hints(layer), *offset_between(photo, layer)
    coverage = Coverage(layer)
    for x, y, w, h in places:
        if not coverage.may_be_painted(x + dx, y + dy, w, h):
            continue
        pixels = _read(buffer, x + dx, y + dy, w, h, "R'G'B'A u8")
        if tiles.is_painted(pixels):
            yield (x, y, w, h), pixels


def _visible_hints(hints: Gimp.Layer) -> Gegl.Buffer:
    """The hint layer's pixels, less what its own layer mask hides."""
    mask = applied_mask(hints)
    if mask is None:
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


def applied_mask(layer: Gimp.Layer) -> Gimp.LayerMask | None:
    """A layer's mask, where it hides anything."""
    mask = layer.get_mask()
    return mask if mask is not None and layer.get_apply_mask() else None


def source_node(graph: Gegl.Node, buffer: Gegl.Buffer) -> Gegl.Node:
    node = graph.create_child("gegl:buffer-source")
    node.set_property("buffer", buffer)
    return node


def offset_between(photo: Gimp.Layer, hints: Gimp.Layer) -> tuple[int, int]:
    """What is added to x and y in the photograph to have them in the other layer."""
    _, photo_x, photo_y = photo.get_offsets()
    _, hints_x, hints_y = hints.get_offsets()
    return photo_x - hints_x, photo_y - hints_y


def _read(buffer: Gegl.Buffer, x: int, y: int, width: int, height: int, babl_format: str) -> bytes:
    """Zeros come for what lies outside the buffer."""
    return buffer.get(Gegl.Rectangle.new(x, y, width, height), 1.0, babl_format, Gegl.AbyssPolicy.NONE)


def painted_share(layer: Gimp.Layer) -> float:
    """The share of a layer's pixels that are not wholly transparent, 0..1."""
    if not layer.has_alpha():
        return 1.0
    unpainted = sum(pixels[tiles.CHANNELS - 1 :: tiles.CHANNELS].count(0) for pixels in _strips(layer, "R'G'B'A u8"))
    return 1.0 - unpainted / (layer.get_width() * layer.get_height())


def looks_like_strokes(layer: Gimp.Layer, photo: Gimp.Layer) -> bool:
    """Whether somebody painted on this layer as one does on a hint layer, rather than retouched the photograph."""
    if not layer.has_alpha() or layer.is_gray():
        return False

    def own() -> bytes:
        return b"" if photo == layer else _small(photo, "R'G'B' u8")[2]

    return palette.is_painted(_strips(layer, "R'G'B'A u8"), own)


def is_in_colour(layer: Gimp.Layer) -> bool:
    """Whether a photograph has colours of its own, rather than a tone that follows its lightness."""
    return not layer.is_gray() and palette.is_colourful(overview(layer)[2])


def is_plain(layer: Gimp.Layer) -> bool:
    """Whether a layer is one even tone: a page that photographs lie on, and none itself."""
    buffer, width, height = layer.get_buffer(), layer.get_width(), layer.get_height()
    rows = range(0, height, max(1, height // ROWS_LOOKED_AT))
    levels = b"".join(_read(buffer, 0, y, width, 1, "Y' u8") for y in rows)
    return max(levels) - min(levels) <= PLAIN


def overview(layer: Gimp.Layer) -> tuple[int, int, list[Sample]]:
    """A small picture of a layer: width, height, and CIE Lab (D50) of its pixels, row by row.

    GIMP's own means; half-transparent places come out darker and grayer than they are.
    """
    width, height, data = _small(layer, "CIE Lab float")
    return width, height, list(struct.iter_unpack("<fff", data))


def _small(layer: Gimp.Layer, babl_format: str) -> tuple[int, int, bytes]:
    scale = min(1.0, OVERVIEW / max(layer.get_width(), layer.get_height()))
    width, height = (max(1, round(scale * side)) for side in (layer.get_width(), layer.get_height()))
    place = Gegl.Rectangle.new(0, 0, width, height)
    return width, height, layer.get_buffer().get(place, scale, babl_format, Gegl.AbyssPolicy.CLAMP)


def _strips(layer: Gimp.Layer, babl_format: str) -> Iterator[bytes]:
    """The layer's pixels, a number of rows at a time."""
    buffer, width, height = layer.get_buffer(), layer.get_width(), layer.get_height()
    for y in range(0, height, STRIP):
        yield _read(buffer, 0, y, width, min(STRIP, height - y), babl_format)
