"""What is coloured: one layer, or all that is visible where it lies."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import layers
import pixels
from gi.repository import Gimp
from records import ResultRecord

_MODES = Gimp.LayerMode
COLOUR_MODES = (  # of layers that leave the lightness below them as it is, or nearly
    *(_MODES.LCH_COLOR, _MODES.LCH_HUE, _MODES.LCH_CHROMA, _MODES.HSL_COLOR, _MODES.HSL_COLOR_LEGACY),
    *(_MODES.HSV_HUE, _MODES.HSV_HUE_LEGACY, _MODES.HSV_SATURATION, _MODES.HSV_SATURATION_LEGACY),
)
PATCH_COVERS = 1 / 3  # of a layer, at most, if it is a patch over another one
PATCH_AREA = 1 / 4  # of the layer below, at most, if it is a small layer that is one


@dataclass(frozen=True)
class Subject:
    """The photograph's layer, whose place and size the result takes.

    Attributes:
        layer: the layer.
        merged: whether all that is visible there is coloured, rather than the layer's own pixels.
        apart: layers that are no part of what is visible: results and strokes.
    """

    layer: Gimp.Layer
    merged: bool = False
    apart: tuple[Gimp.Layer, ...] = ()

    @property
    def covers(self) -> list[Gimp.Layer]:
        """What lies over the layer and takes part, from the top down."""
        return covering(self.layer, self.apart) if self.merged else []

    @property
    def anchor(self) -> Gimp.Layer:
        """The layer that the result lies above."""
        covers = self.covers
        if not covers:
            return self.layer
        if all(each.get_parent() == self.layer.get_parent() for each in covers):
            return covers[0]
        return _outermost(covers[0])


def candidates(image: Gimp.Image, photo: Gimp.Layer, strokes: Sequence[Gimp.Layer] = ()) -> list[Subject]:
    """What the user can mean who has chosen this layer, the likeliest first.

    A patch, or a text, stands for the photograph below it; where something lies over a photograph, or filters change
    it, all that is visible there is likelier than its own pixels.

    Args:
        strokes: layers that were chosen for strokes, besides those that are known as such.
    """
    ours = layers.ours(image)
    apart = tuple(layer for layer in layers.all_layers(image) if layer in strokes or layer in ours)
    base = _photograph_below(image, photo, apart) or photo
    is_changed = bool(covering(base, apart)) or any(each.get_visible() for each in base.get_filters())
    whole = [Subject(base, merged=True, apart=apart)] if is_changed else []
    alone = [Subject(photo, apart=apart)] if photo != base and photo not in strokes else []
    return [*whole, Subject(base, apart=apart), *alone]


def chosen(found: Sequence[Subject], source: str, record: ResultRecord | None = None) -> Subject:
    """The candidate that the setting `source` names; "auto" keeps to what the user named the last time."""
    if source == "auto" and record is not None:
        source = record.settings.source
    wanted = [each for each in found if source == "auto" or each.merged == (source == "visible")]
    return (wanted or list(found))[0]


def covering(photo: Gimp.Layer, apart: Sequence[Gimp.Layer]) -> list[Gimp.Layer]:
    """The visible layers over a photograph that overlap it, less `apart`, mere colours, and what looks like strokes."""
    above = []
    for layer in layers.all_layers(photo.get_image()):
        if layer == photo:
            break
        if not layer.is_group() and layer not in apart and _alters(layer):
            above.append(layer)
    return [layer for layer in above if _overlap(layer, photo) and not pixels.looks_like_strokes(layer, photo)]


def _alters(layer: Gimp.Layer) -> bool:
    """Whether a layer changes more than the colours of what lies below it."""
    return layers.is_shown(layer) and layer.get_opacity() > 0.0 and layer.get_mode() not in COLOUR_MODES


def unmarked_strokes(image: Gimp.Image, photo: Gimp.Layer) -> Gimp.Layer | None:
    """The uppermost visible layer over a photograph, or itself, that is painted like a hint layer and is none."""
    ours = layers.ours(image)
    for layer in layers.all_layers(image):
        if not layer.is_group() and not layer.is_text_layer() and layers.is_shown(layer) and layer not in ours:
            if pixels.looks_like_strokes(layer, photo):
                return layer
            if layer == photo:
                break
    return None


def _photograph_below(image: Gimp.Image, layer: Gimp.Layer, apart: Sequence[Gimp.Layer]) -> Gimp.Layer | None:
    """The layer that a patch or a text lies on; None where this layer is neither, or was coloured by itself."""
    if layers.find_result(image, layer) is not None or layer.is_group():
        return None
    everything = list(layers.all_layers(image))
    below = [each for each in everything[everything.index(layer) + 1 :] if not each.is_group() and each not in apart]
    for each in below:
        over_it = layers.is_shown(each) and _overlap(layer, each)
        is_below = over_it and (layer in apart or _is_patch(layer, each)) and not _is_patch(each, layer)
        if is_below and not pixels.is_plain(each):
            return each
    return None


def _is_patch(layer: Gimp.Layer, over: Gimp.Layer) -> bool:
    if layer.is_text_layer() or pixels.painted_share(layer) < PATCH_COVERS:
        return True
    return _area(layer) < PATCH_AREA * _area(over)


def _area(layer: Gimp.Layer) -> int:
    return layer.get_width() * layer.get_height()


def _overlap(one: Gimp.Layer, other: Gimp.Layer) -> bool:
    _, x, y = one.get_offsets()
    _, left, top = other.get_offsets()
    return (
        x < left + other.get_width()
        and left < x + one.get_width()
        and y < top + other.get_height()
        and top < y + one.get_height()
    )


def _outermost(layer: Gimp.Layer) -> Gimp.Layer:
    parent = layer.get_parent()
    return layer if parent is None else _outermost(parent)


@contextmanager
def drawn(subject: Subject) -> Iterator[Gimp.Layer]:
    """A layer with the pixels to be coloured, of the subject's own size.

    For all that is visible it lies in a copy of the image, without what is apart, and goes with it: the image itself is
    not touched.
    """
    if not subject.merged:
        yield subject.layer
        return
    image = subject.layer.get_image()
    everything = list(layers.all_layers(image))
    copy = image.duplicate()
    copy.undo_disable()
    try:
        copies = dict(zip(everything, layers.all_layers(copy), strict=True))  # tattoos change, the order does not
        base = copies[subject.layer]
        _, x, y = base.get_offsets()
        _show_within_groups(base)
        copy.resize(base.get_width(), base.get_height(), -x, -y)
        for layer in subject.apart:
            layers.show(copies[layer], False)
        seen = Gimp.Layer.new_from_visible(copy, copy, None)
        try:
            yield seen
        finally:
            seen.delete()  # it lies in no image, so it would outlive the copy
    finally:
        copy.delete()


def _show_within_groups(layer: Gimp.Layer | None) -> None:
    while layer is not None:
        layers.show(layer, True)
        layer = layer.get_parent()
