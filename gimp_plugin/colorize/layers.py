"""Which layer is the photograph, which ones are painted on, which one is the result."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import parasites
from gi.repository import Gimp
from records import NO_LAYER, ResultRecord
from refusal import Refusal, wrong_call
from text import _, marked


@dataclass(frozen=True)
class StrokeKind:
    """What strokes on a layer mean.

    Attributes:
        name: of the layers that the plug-in makes; another program's layer of this name is one, too.
        parasite: that the plug-in leaves on them.
        field: of a result's record, which holds the tattoo of the layer that was used.
    """

    name: str
    parasite: str
    field: str


HINTS = StrokeKind(marked("Colour hints"), parasites.HINTS, "hints")
KEEP = StrokeKind(marked("Keep as it is"), parasites.KEEP, "kept")
KINDS = (HINTS, KEEP)


def photo_of(image: Gimp.Image, drawables: list[Gimp.Drawable]) -> Gimp.Layer:
    """The photograph that the user means who has selected `drawables`.

    The layer itself; the layer of a mask that is being edited; where a layer with strokes or a result is selected, the
    photograph that it belongs to.

    Raises:
        Refusal: indexed image; not exactly one layer; a channel; strokes whose photograph is gone.
    """
    refuse_indexed(image)
    layer = _selected_layer(drawables)
    result = parasites.read_result(layer)
    if result is not None:
        return _photo_with(image, result.photo) or _layer_below(layer)
    kind = kind_of(image, layer)
    if kind is not None:
        strokes = parasites.read_strokes(layer, kind.parasite)
        return (strokes and _photo_with(image, strokes.photo)) or _layer_below(layer)
    return layer


def refuse_indexed(image: Gimp.Image) -> None:
    if image.get_base_type() == Gimp.ImageBaseType.INDEXED:
        raise wrong_call(
            _(
                "“{image}” is an indexed image, which has room for 256 colours only; convert it with"
                " Image > Mode > RGB, then run this again."
            ).format(image=image.get_name())
        )


def _selected_layer(drawables: list[Gimp.Drawable]) -> Gimp.Layer:
    if len(drawables) != 1:
        raise wrong_call(
            _("{count} layers are selected; select only the photograph's layer, then run this again.").format(
                count=len(drawables)
            )
        )
    drawable = drawables[0]
    if isinstance(drawable, Gimp.LayerMask):
        return Gimp.Layer.from_mask(drawable)
    if isinstance(drawable, Gimp.Layer):
        return drawable
    raise wrong_call(
        _("“{name}” is a channel, not a layer; click the photograph in the Layers dialog, then run this again.").format(
            name=drawable.get_name()
        )
    )


def kind_of(image: Gimp.Image, layer: Gimp.Layer) -> StrokeKind | None:
    """What strokes on this layer mean; None where it is not ours, none that a result used, and none of that name."""
    return _kind(layer, _records(image))


def strokes_in(image: Gimp.Image) -> dict[Gimp.Layer, StrokeKind]:
    """All layers of strokes, from the top down; for many layers far faster than `kind_of` each."""
    records = _records(image)
    kinds = {layer: _kind(layer, records) for layer in all_layers(image)}
    return {layer: kind for layer, kind in kinds.items() if kind is not None}


def _records(image: Gimp.Image) -> list[ResultRecord]:
    return list(filter(None, map(parasites.read_result, all_layers(image))))


def _kind(layer: Gimp.Layer, records: Sequence[ResultRecord]) -> StrokeKind | None:
    return _marked_kind(layer) or _used_kind(layer, records) or _named_kind(layer)


def _marked_kind(layer: Gimp.Layer) -> StrokeKind | None:
    return next((kind for kind in KINDS if parasites.read_strokes(layer, kind.parasite) is not None), None)


def _used_kind(layer: Gimp.Layer, records: Sequence[ResultRecord]) -> StrokeKind | None:
    return next((kind for kind in KINDS if _user(layer, kind, records) != NO_LAYER), None)


def _user(strokes: Gimp.Layer, kind: StrokeKind, records: Sequence[ResultRecord]) -> int:
    """The tattoo of a photograph whose result used this layer for strokes of this kind; NO_LAYER where none did."""
    tattoo = strokes.get_tattoo()
    return next((record.photo for record in records if getattr(record, kind.field) == tattoo), NO_LAYER)


def _named_kind(layer: Gimp.Layer) -> StrokeKind | None:
    if not layer.has_alpha():
        return None
    return next((kind for kind in KINDS if layer.get_name().startswith((kind.name, _(kind.name)))), None)


def strokes_of(
    image: Gimp.Image, photo: Gimp.Layer, kind: StrokeKind, selected: Gimp.Drawable | None = None
) -> list[Gimp.Layer]:
    """A photograph's layers of this kind that count, from the top down, with those that belong to no photograph.

    The visible ones count, the selected one, and those that Show Result Only hid; where all are hidden, all of them.
    """
    found = [layer for layer, its_kind in strokes_in(image).items() if layer != photo and its_kind == kind]
    mine = [layer for layer in found if owner_of(layer, kind) in (photo, None)]
    aside = put_aside(image)
    return [layer for layer in mine if is_shown(layer) or layer == selected or layer in aside] or mine


def put_aside(image: Gimp.Image) -> list[Gimp.Layer]:
    """The layers of strokes that Show Result Only hid; none as soon as the user has shown one of them again."""
    hidden = parasites.read_hidden(image)
    found = [layer for layer in strokes_in(image) if layer.get_tattoo() in hidden] if hidden else []
    return [] if any(layer.get_visible() for layer in found) else found


def owner_of(strokes: Gimp.Layer, kind: StrokeKind) -> Gimp.Layer | None:
    """The photograph that a layer of strokes was made or used for, where it is still in the image."""
    image, record = strokes.get_image(), parasites.read_strokes(strokes, kind.parasite)
    return _photo_with(image, record.photo if record else _user(strokes, kind, _records(image)))


def is_shown(layer: Gimp.Layer | None) -> bool:
    """Whether a layer and the groups around it are visible."""
    while layer is not None and layer.get_visible():
        layer = layer.get_parent()
    return layer is None


def ours(image: Gimp.Image) -> list[Gimp.Layer]:
    """The results and the layers of strokes, from the top down, which are no part of the picture."""
    strokes = strokes_in(image)
    return [layer for layer in all_layers(image) if layer in strokes or parasites.carries_result(layer)]


def place(layer: Gimp.Layer) -> tuple[int, int, int, int]:
    """x, y, width and height of a layer in its image."""
    _found, x, y = layer.get_offsets()
    return x, y, layer.get_width(), layer.get_height()


def show(layer: Gimp.Layer, shown: bool) -> None:
    """Shows or hides a layer of our own, or of a copy; GIMP refuses to where its visibility is locked."""
    locked = layer.get_lock_visibility()
    layer.set_lock_visibility(False)
    layer.set_visible(shown)
    layer.set_lock_visibility(locked)


def is_locked(layer: Gimp.Layer | None) -> bool:
    """Whether the pixels of a layer, or of a group around it, are locked."""
    while layer is not None and not layer.get_lock_content():
        layer = layer.get_parent()
    return layer is not None


def find_result(image: Gimp.Image, photo: Gimp.Layer, output: str | None = None) -> Gimp.Layer | None:
    """The topmost result layer of a photograph, of one kind of output or of any."""
    for layer in all_layers(image):
        record = parasites.read_result(layer)
        if record and record.photo == photo.get_tattoo() and output in (None, record.settings.output):
            return layer
    return None


def last_record(image: Gimp.Image, photo: Gimp.Layer) -> ResultRecord | None:
    """The record of a photograph's topmost result layer."""
    result = find_result(image, photo)
    return parasites.read_result(result) if result else None


def all_layers(image: Gimp.Image) -> Iterator[Gimp.Layer]:
    """Every layer of the image, groups and what is in them, from the top down."""
    waiting = list(image.get_layers())
    while waiting:
        layer = waiting.pop(0)
        yield layer
        if layer.is_group():
            waiting[:0] = layer.get_children()


def _photo_with(image: Gimp.Image, tattoo: int) -> Gimp.Layer | None:
    """The photograph of this tattoo; in a duplicated image, where tattoos are dealt out anew, strokes may have it."""
    found = next((layer for layer in all_layers(image) if layer.get_tattoo() == tattoo), None)
    return None if found is None or parasites.read_result(found) or _marked_kind(found) else found


def siblings(layer: Gimp.Layer) -> list[Gimp.Layer]:
    """The layers of the same group or of the image's top level, from the top down."""
    parent = layer.get_parent()
    return list(parent.get_children() if parent else layer.get_image().get_layers())


def _layer_below(layer: Gimp.Layer) -> Gimp.Layer:
    row, not_it = siblings(layer), ours(layer.get_image())
    for below in row[row.index(layer) + 1 :]:
        if below not in not_it:
            return below
    raise Refusal(
        _(
            "The photograph that “{name}” belongs to is not in this image any more; select the photograph's layer,"
            " then run this again."
        ).format(name=layer.get_name())
    )
