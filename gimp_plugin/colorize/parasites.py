"""The records on layers: parasites, kept in XCF files and undone with the step that wrote them."""

import records
from gi.repository import Gimp
from records import ResultRecord, StrokesRecord

RESULT = "colorize-result"
HINTS, KEEP = "colorize-hints", "colorize-keep"
HIDDEN = "colorize-hidden"  # on an image: the tattoos of the layers that Show Result Only hid
TOLD = "colorize-told"  # begins the names of what was said, on the image or in GIMP itself
PERSISTENT = Gimp.PARASITE_PERSISTENT


def read_result(layer: Gimp.Layer) -> ResultRecord | None:
    """The record of a result layer; None on any other layer, a duplicate of a result included."""
    content = _read(layer, RESULT)
    return None if content is None else records.decode_result(content, layer.get_tattoo())


def read_strokes(layer: Gimp.Layer, name: str) -> StrokesRecord | None:
    """The record of a layer that New Hint Layer (`HINTS`) or New Keep Layer (`KEEP`) made; None on any other."""
    content = _read(layer, name)
    return None if content is None else records.decode_strokes(content)


def write(layer: Gimp.Layer, name: str, record: ResultRecord | StrokesRecord) -> None:
    """Writes a record, as an undo step or as a part of the one that is open."""
    flags = PERSISTENT | Gimp.PARASITE_UNDOABLE
    layer.attach_parasite(Gimp.Parasite.new(name, flags, records.encode(record)))


def read_hidden(image: Gimp.Image) -> list[int]:
    """The tattoos of the layers that Show Result Only hid last."""
    parasite = image.get_parasite(HIDDEN)
    return [] if parasite is None else records.decode_tattoos(bytes(parasite.get_data()))


def write_hidden(image: Gimp.Image, tattoos: list[int]) -> None:
    image.attach_parasite(
        Gimp.Parasite.new(HIDDEN, PERSISTENT | Gimp.PARASITE_UNDOABLE, records.encode_tattoos(tattoos))
    )


def is_first_time(what: str, image: Gimp.Image | None = None) -> bool:
    """Whether the user has not been told this yet, of this image or (None) at all; from now on they have."""
    name = f"{TOLD}-{what}"
    if (image.get_parasite(name) if image else Gimp.get_parasite(name)) is not None:
        return False
    told = Gimp.Parasite.new(name, PERSISTENT, b"told")
    if image:
        image.attach_parasite(told)
    else:
        Gimp.attach_parasite(told)
    return True


def carries_result(layer: Gimp.Layer) -> bool:
    """Whether this is a result layer or a duplicate of one."""
    return layer.get_parasite(RESULT) is not None


def _read(layer: Gimp.Layer, name: str) -> bytes | None:
    parasite = layer.get_parasite(name)
    return None if parasite is None else bytes(parasite.get_data())
