"""What is painted on layers of strokes, kept in memory, so that a dab costs the tiles that it touches."""

from collections.abc import Sequence

import pixels
import tiles
from colorize_client import HintTiles
from gi.repository import Gimp
from tiles import Rectangle
from watching import CLOSE, COARSE, Watched


class Painted:
    """The painted tiles of a photograph's layers of one kind, from the top down.

    Args:
        layers: may be none.
        photo: the photograph.
    """

    def __init__(self, layers: Sequence[Gimp.Layer], photo: Gimp.Layer) -> None:
        self.layers, self._photo = list(layers), photo
        self._watched = [(layer, Watched(layer, COARSE, CLOSE), _watched_mask(layer)) for layer in self.layers]
        self._found: dict[Gimp.Layer, dict[Rectangle, bytes]] = {}
        for layer in self.layers:
            self._read(layer, list(tiles.cut(photo.get_width(), photo.get_height())))
        self._tiles: HintTiles | None = None

    @property
    def is_whole(self) -> bool:
        """Whether all of its layers are there."""
        return all(layer.is_valid() for layer in self.layers)

    def look(self, side: int = COARSE) -> Rectangle | None:
        """Reads what changed since the last such look, and says where that is, in the photograph's pixels."""
        found = None
        for layer, watched, mask in self._watched:
            box = watched.changed(side)
            if mask is not None and mask.changed(side) is not None:
                box = (0, 0, layer.get_width(), layer.get_height())
            if box is not None:
                found = self._update(layer, box) or found
        return found

    def _update(self, layer: Gimp.Layer, box: Rectangle) -> Rectangle | None:
        dx, dy = pixels.offset_between(self._photo, layer)
        x, y, w, h = box[0] - dx, box[1] - dy, box[2], box[3]
        everything = tiles.cut(self._photo.get_width(), self._photo.get_height())
        near = [place for place in everything if tiles.meet(place, (x, y, w, h))]
        if not near or not self._read(layer, near):
            return None
        self._tiles = None
        return x, y, w, h

    def _read(self, layer: Gimp.Layer, places: list[Rectangle]) -> bool:
        """Reads these tiles of a layer again; whether any is another than before."""
        own = self._found.setdefault(layer, {})
        before = {place: own.get(place) for place in places}
        painted = dict(pixels.painted_tiles(layer, self._photo, places))
        for place in places:
            own.pop(place, None)
        own.update(painted)
        return any(painted.get(place) != was for place, was in before.items())

    @property
    def tiles(self) -> HintTiles | None:
        """As `pixels.hint_tiles` has them, less their unpainted rows; None where nothing is painted."""
        if self._tiles is None:
            trimmed = [tiles.trimmed(*tile) for tile in tiles.merged(self._found[layer] for layer in self.layers)]
            self._tiles = HintTiles([place for place, _ in trimmed], [own for _, own in trimmed])
        return self._tiles if self._tiles.tiles else None

    @property
    def covers_all(self) -> bool:
        """Whether practically nothing is left unpainted: a layer that was filled, and no strokes."""
        found = self.tiles
        return found is not None and found.cover_all(self._photo.get_width(), self._photo.get_height())


def _watched_mask(layer: Gimp.Layer) -> Watched | None:
    mask = pixels.applied_mask(layer)
    return Watched(mask, COARSE, CLOSE) if mask is not None else None
