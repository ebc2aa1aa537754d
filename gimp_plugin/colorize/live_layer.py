"""The colour layer while its colours follow the brush.

Pixels are written into the layer itself and seen at once. Such writes are no undo steps, so Undo takes back the user's
strokes and nothing else. What they replace is kept, and at the end put back: then the colours of the session become one
undo step, or none.
"""

from collections.abc import Iterator, Sequence

import layers
import parasites
import selection
import tiles
from edits import no_undo_step, selected, undo_step
from gi.repository import Babl, Gegl, Gimp
from records import ResultRecord
from result_layer import BABL_FORMATS, Result
from selection import NOTHING, Part
from tiles import Rectangle
from watching import Watched

ALL = 255


class LiveLayer:
    """A photograph's colour layer, found or made, and the tiles of it that were replaced.

    Args:
        result: of this photograph; its record is written at the end.
    """

    def __init__(self, result: Result) -> None:
        self._result = result
        self.layer = result.layer_now()
        self._format = BABL_FORMATS[result.layout]
        self._own = Babl.get_name(self.layer.get_format())
        self._size = self.layer.get_width(), self.layer.get_height()
        self._before, self._record_before = self._own_buffer(), parasites.read_result(self.layer)
        self._is_recorded = True  # that it shows what it shows now
        self._tiles = set(tiles.cut(*self._size))
        self._replaced: set[Rectangle] = set()
        self._shown: list[Rectangle] = []
        self._buffer: Gegl.Buffer | None = None  # of the layer, from the first write until what was written is shown
        self._limit: _Limit | None = None
        self._watched: Watched | None = None  # since nothing was written

    def _own_buffer(self) -> Gegl.Buffer:
        return Gegl.Buffer.new(self._own, 0, 0, *self._size)

    @property
    def is_whole(self) -> bool:
        """Whether it is what it was: in its image, of its size, form and place, and not locked."""
        if not (self.layer.is_valid() and self._result.photo.is_valid()):
            return False
        same = self._size == (self.layer.get_width(), self.layer.get_height())
        same = same and self._own == Babl.get_name(self.layer.get_format())
        return (
            same and not layers.is_locked(self.layer) and self.layer.get_offsets() == self._result.photo.get_offsets()
        )

    def was_changed(self) -> bool:
        """Whether something else than this session changed its pixels since the last such look."""
        if self._watched is None:
            self._watched = Watched(self.layer)
        return self._watched.changed() is not None

    def limit(self, part: Part | None) -> None:
        """From now on pixels are written inside a selection alone; None for everywhere."""
        self._limit = _Limit(part, self.layer) if part else None

    def write(self, place: Rectangle, pixels: bytes) -> bool:
        """Pixels in the result's layout, there and seen after `show`. Returns whether the selection let all through."""
        buffer = self._buffer = self._buffer or self.layer.get_buffer()
        for tile in tiles.cut(*self._size) if place not in self._tiles else [place]:
            if tile not in self._replaced and tiles.meet(tile, place):
                _copy(buffer, self._before, tile)
                self._replaced.add(tile)
        everywhere = self._limit is None or self._limit.write(buffer, place, self._format, pixels)
        if self._limit is None:
            buffer.set(_rectangle(place), self._format, pixels)
        self._shown.append(place)
        self._is_recorded = False
        return everywhere

    def show(self) -> None:
        """Hands what was written to GIMP, which is slow to answer while it shows it: so not after each tile."""
        if self._buffer is None:
            return
        self._buffer.flush()
        for x, y, w, h in self._shown:
            self.layer.update(x, y, w, h)
        self._shown, self._buffer = [], None
        Gimp.displays_flush()
        self._watched = None

    def record(self, state: str) -> None:
        """Lets it be known again for what it shows where GIMP ends before the session does; no undo step.

        Args:
            state: as the service names what it shows.
        """
        if not self._is_recorded:
            self._write_record(self._result.record_of(self.layer, state))
            self._is_recorded = True

    def finish(self, model_title: str, state: str) -> None:
        """What the session changed becomes one undo step; nothing is one where nothing was changed."""
        self.show()
        if not self._replaced:
            return
        after = self._own_buffer()
        self._move(self.layer.get_buffer(), after)
        self._put_back()
        with undo_step(self._result.image):
            self._move(after, self.layer.get_shadow_buffer())
            self._result.merge(self.layer, self._replaced)
            self._result.rename(self.layer, model_title)
            self._result.record(self.layer, state)
        Gimp.displays_flush()

    def forget(self) -> None:
        """The pixels are as before the session."""
        self.show()
        self._put_back()
        self.layer.update(0, 0, *self._size)

    def _put_back(self) -> None:
        buffer = self.layer.get_buffer()
        self._move(self._before, buffer)
        buffer.flush()
        if self._record_before is not None:
            self._write_record(self._record_before)

    def _write_record(self, record: ResultRecord) -> None:
        with no_undo_step(self._result.image):
            parasites.write(self.layer, parasites.RESULT, record)

    def _move(self, source: Gegl.Buffer, target: Gegl.Buffer) -> None:
        for place in self._replaced:
            _copy(source, target, place)


class _Limit:
    """A selection, and what the layer had where pixels were written while it holds."""

    def __init__(self, part: Part, layer: Gimp.Layer) -> None:
        self._part, self._own = part, Babl.get_name(layer.get_format())
        self._before: dict[Rectangle, bytes] = {}

    def write(self, buffer: Gegl.Buffer, place: Rectangle, babl_format: str, pixels: bytes) -> bool:
        weights = self._part.cut(place)
        if weights.count(ALL) == len(weights):
            buffer.set(_rectangle(place), babl_format, pixels)
            return True
        if weights.count(NOTHING) < len(weights):
            self._mix(buffer, place, babl_format, pixels, weights)
        return False

    def _mix(self, buffer: Gegl.Buffer, place: Rectangle, babl_format: str, pixels: bytes, weights: bytes) -> None:
        if place not in self._before:
            self._before[place] = buffer.get(_rectangle(place), 1.0, self._own, Gegl.AbyssPolicy.NONE)
        _, _, w, h = place
        whole = Gegl.Rectangle.new(0, 0, w, h)
        new, old, mixed = (Gegl.Buffer.new(each, 0, 0, w, h) for each in (babl_format, self._own, self._own))
        new.set(whole, babl_format, pixels)
        old.set(whole, self._own, self._before[place])
        selection.merge(selection.of_weights(weights, w, h), new, babl_format, old, mixed, self._own)
        buffer.set(_rectangle(place), self._own, mixed.get(whole, 1.0, self._own, Gegl.AbyssPolicy.NONE))


class StrokesBefore:
    """Layers of strokes as they were, byte for byte, where they were."""

    def __init__(self, strokes: Sequence[Gimp.Layer]) -> None:
        self._kept = {layer: (layers.place(layer), dict(_full_tiles(layer))) for layer in strokes}

    def differ(self) -> bool:
        """Whether any is another now."""
        return any(True for _changed in self._changed())

    def put_back(self) -> None:
        """They become what they were, as a step that can be undone."""
        for layer in list(self._changed()):
            place, kept = self._kept[layer]
            _move_back(layer, place)
            _replace(layer, kept)

    def _changed(self) -> Iterator[Gimp.Layer]:
        for layer, kept in self._kept.items():
            if layer.is_valid() and (layers.place(layer), dict(_full_tiles(layer))) != kept:
                yield layer


def _move_back(layer: Gimp.Layer, place: Rectangle) -> None:
    x, y, width, height = place
    if layers.place(layer) != place:
        layer.resize(width, height, 0, 0)
        layer.set_offsets(x, y)


def _full_tiles(layer: Gimp.Layer) -> Iterator[tuple[Rectangle, bytes]]:
    """The tiles of a layer that hold any but zeros, in its own format."""
    buffer = layer.get_buffer()
    for place in tiles.cut(layer.get_width(), layer.get_height()):
        pixels = buffer.get(_rectangle(place), 1.0, None, Gegl.AbyssPolicy.NONE)
        if pixels.count(0) != len(pixels):
            yield place, pixels


def _replace(layer: Gimp.Layer, kept: dict[Rectangle, bytes]) -> None:
    own, size = Babl.get_name(layer.get_format()), (layer.get_width(), layer.get_height())
    whole = Gegl.Buffer.new(own, 0, 0, *size)
    for place, pixels in kept.items():
        whole.set(_rectangle(place), own, pixels)
    with selected(layer.get_image(), layer, (0, 0, *size)):
        shadow = layer.get_shadow_buffer()
        _copy(whole, shadow, (0, 0, *size))
        shadow.flush()
        layer.merge_shadow(True)
        layer.update(0, 0, *size)


def _rectangle(place: Rectangle) -> Gegl.Rectangle:
    return Gegl.Rectangle.new(*place)


def _copy(source: Gegl.Buffer, target: Gegl.Buffer, place: Rectangle) -> None:
    source.copy(_rectangle(place), Gegl.AbyssPolicy.NONE, target, _rectangle(place))
