"""What changes seldom while colours follow the brush: which layers are painted on, the selection, the photograph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import layers
import selection
from choice import Choice
from gi.repository import Gimp
from job import picture_of
from painted import Painted
from pixels import applied_mask
from refusal import Refusal
from watching import Watched

if TYPE_CHECKING:
    from selection import Part

Strokes = dict[layers.StrokeKind, list[Gimp.Layer]]


class Surroundings:
    """Of one photograph, as they were at the last look."""

    def __init__(self, found: Choice, strokes: Strokes) -> None:
        self._what, self.photo = found.subject, found.subject.layer
        self.image = self.photo.get_image()
        self.strokes_are_hidden = False  # by the session: they count as before
        self._take(strokes)
        self.picture = picture_of(self._what)
        self._seen = self._looked_at()
        self._selected: Watched | None = None

    @property
    def is_there(self) -> bool:
        """Whether the photograph is in its image, of the size that it had."""
        size = self.picture.width, self.picture.height
        return self.photo.is_valid() and size == (self.photo.get_width(), self.photo.get_height())

    def has_other_strokes(self) -> bool:
        """Whether layers of strokes came, went, were moved, shown, hidden or masked; those that count are read anew."""
        if self.strokes_are_hidden:
            now = {kind: [layer for layer in own if layer.is_valid()] for kind, own in self.strokes.items()}
        else:
            now = {kind: layers.strokes_of(self.image, self.photo, kind) for kind in layers.KINDS}
        if now == self.strokes and _forms(now) == self._forms:
            return False
        self._take(now)
        return True

    def _take(self, strokes: Strokes) -> None:
        self.strokes, self._forms = strokes, _forms(strokes)
        self.painted = {kind: Painted(strokes[kind], self.photo) for kind in layers.KINDS}

    def has_other_selection(self) -> bool:
        """Whether something else is selected."""
        if Gimp.Selection.is_empty(self.image):
            before, self._selected = self._selected, None
            return before is not None
        if self._selected is None:
            self._selected = Watched(self.image.get_selection())
            return True
        return self._selected.changed() is not None

    def selected_part(self) -> Part | None:
        """What is selected of the photograph; None for all of it, and where only what lies beside it is selected."""
        try:
            return selection.part_of(self.photo)
        except Refusal:
            return None

    def has_other_picture(self) -> bool:
        """Whether the photograph, or what lies over it, was painted on; `picture` is then what it is now."""
        same = [layer for layer, _ in self._seen] == [self.photo, *self._what.covers]
        if same and not [layer for layer, watched in self._seen if watched.changed() is not None]:
            return False
        before, self._seen, self.picture = self.picture, self._looked_at(), picture_of(self._what)
        return before.key != self.picture.key

    def _looked_at(self) -> list[tuple[Gimp.Layer, Watched]]:
        return [(layer, Watched(layer)) for layer in (self.photo, *self._what.covers)]


def _forms(strokes: Strokes) -> list[tuple[int, int, Gimp.LayerMask | None]]:
    """Where each layer lies, and its mask."""
    return [(*layer.get_offsets()[1:], applied_mask(layer)) for own in strokes.values() for layer in own]
