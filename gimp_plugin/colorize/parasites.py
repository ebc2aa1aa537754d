"""The records on layers: parasites, kept in XCF files and undone with the step that wrote them."""

import records
from gi.repository import Gimp
from records import ResultRecord, StrokesRecord

RESULT = "colorize-result"
HINTS, KEEP = "colorize-hints", "colorize-keep"


def read_result(layer: Gimp.Layer) -> ResultRecord | None:
    """The record of a result layer; None on any other layer, a duplicate of a result included."""
    content = _read(layer, RESULT)
    return None if content is None else records.decode_result(content, layer.get_tattoo())


def read_strokes(layer: Gimp.Layer, name: str) -> StrokesRecord | None:
    """The record of a layer that New Hint Layer (`HINTS`) or New Keep Layer (`KEEP`) made; None on any other."""
    content = _read(layer, name)
    return None if content is None else records.decode_strokes(content)


def write(layer: Gimp.Layer, name: str, record: ResultRecord | StrokesRecord) -> None:
    flags = Gimp.PARASITE_PERSISTENT | Gimp.PARASITE_UNDOABLE
    layer.attach_parasite(Gimp.Parasite.new(name, flags, records.encode(record)))


def carries_result(layer: Gimp.Layer) -> bool:
    """Whether this is a result layer or a duplicate of one."""
    return layer.get_parasite(RESULT) is not None


def _read(layer: Gimp.Layer, name: str) -> bytes | None:
    parasite = layer.get_parasite(name)
    return None if parasite is None else bytes(parasite.get_data())
