"""What a run works on: found by itself, and changed by the user in the dialog."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import layers
import new_hints
import pixels
import subject
from gi.repository import Gegl, Gimp
from layers import StrokeKind
from subject import Subject


@dataclass
class Choice:
    """One run's photograph and layers of strokes.

    Attributes:
        subjects: what can be coloured, the likeliest first.
        subject: what is.
        strokes: of each kind the layers to read, from the top down.
        unmarked: a layer that is painted on like a hint layer and is none, or None.
        marks: whether `unmarked` becomes a hint layer.
        takes_colours: whether the photograph's own colours become a hint layer.
    """

    subjects: list[Subject]
    subject: Subject
    strokes: dict[StrokeKind, list[Gimp.Layer]]
    unmarked: Gimp.Layer | None = None
    marks: bool = field(default=False)
    takes_colours: bool = field(default=False)

    @cached_property
    def in_colour(self) -> bool:
        """Whether the photograph has colours of its own; at 24 megapixels that is half a second's look."""
        return pixels.is_in_colour(self.subject.layer)

    def apply(self) -> None:
        """Makes the hint layers that the user agreed to; they count in this run."""
        image, photo = self.subject.layer.get_image(), self.subject.layer
        if self.marks and self.unmarked is not None:
            new_hints.mark(self.unmarked, photo)
            self.strokes[layers.HINTS].insert(0, self.unmarked)
        if self.takes_colours:
            self.strokes[layers.HINTS].append(new_hints.from_photo(image, photo, below=self.strokes[layers.HINTS]))


def found(image: Gimp.Image, drawables: Sequence[Gimp.Drawable], source: str = "auto") -> Choice:
    """What the user can mean who has selected `drawables`; raises Refusal as `layers.photo_of` does."""
    Gegl.init(None)
    selected = layers.photo_of(image, list(drawables))
    unmarked = subject.unmarked_strokes(image, selected)
    subjects = subject.candidates(image, selected, [unmarked] if unmarked else [])
    what = subject.chosen(subjects, source, layers.last_record(image, subjects[0].layer))
    strokes = {kind: layers.strokes_of(image, what.layer, kind, drawables[0]) for kind in layers.KINDS}
    return Choice(subjects, what, strokes, unmarked)
