"""Which layer is the photograph, which one holds the hints, which one is the result."""

from collections.abc import Iterator

import parasites
from gi.repository import Gimp
from records import NO_LAYER, ResultRecord
from refusal import Refusal, wrong_call
from text import _, marked

HINTS_NAME = marked("Colour hints")


def photo_of(image: Gimp.Image, drawables: list[Gimp.Drawable]) -> Gimp.Layer:
    """The photograph that the user means who has selected `drawables`.

    The layer itself; the layer of a mask that is being edited; where a hint layer or a result is selected, the
    photograph that it belongs to.

    Raises:
        Refusal: indexed image; not exactly one layer; a channel; hints whose photograph is gone.
    """
    refuse_indexed(image)
    layer = _selected_layer(drawables)
    result = parasites.read_result(layer)
    if result is not None:
        return _by_tattoo(image, result.photo) or _layer_below(layer)
    if is_hint_layer(image, layer):
        hints = parasites.read_hints(layer)
        return (hints and _by_tattoo(image, hints.photo)) or _layer_below(layer)
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


def is_hint_layer(image: Gimp.Image, layer: Gimp.Layer) -> bool:
    """Whether hints are painted on this layer: ours, one that a result was made with, or one of that name."""
    if parasites.read_hints(layer) is not None:
        return True
    used = {record.hints for record in map(parasites.read_result, all_layers(image)) if record}
    names = (HINTS_NAME, _(HINTS_NAME))
    return layer.get_tattoo() in used or (layer.has_alpha() and layer.get_name().startswith(names))


def find_hint_layer(image: Gimp.Image, photo: Gimp.Layer) -> Gimp.Layer | None:
    """The hint layer of a photograph: the topmost one that belongs to it, else the topmost that belongs to none."""
    candidates = [layer for layer in all_layers(image) if layer != photo and is_hint_layer(image, layer)]
    owners = [_owner(image, layer) for layer in candidates]
    tattoo = photo.get_tattoo()
    mine = [layer for layer, owner in zip(candidates, owners, strict=True) if owner == tattoo]
    nobodys = [layer for layer, owner in zip(candidates, owners, strict=True) if owner == NO_LAYER]
    return next(iter(mine + nobodys), None)


def _owner(image: Gimp.Image, hints: Gimp.Layer) -> int:
    record = parasites.read_hints(hints)
    return record.photo if record and _by_tattoo(image, record.photo) else NO_LAYER


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


def _by_tattoo(image: Gimp.Image, tattoo: int) -> Gimp.Layer | None:
    return next((layer for layer in all_layers(image) if layer.get_tattoo() == tattoo), None)


def siblings(layer: Gimp.Layer) -> list[Gimp.Layer]:
    """The layers of the same group or of the image's top level, from the top down."""
    parent = layer.get_parent()
    return list(parent.get_children() if parent else layer.get_image().get_layers())


def _layer_below(layer: Gimp.Layer) -> Gimp.Layer:
    image, row = layer.get_image(), siblings(layer)
    for below in row[row.index(layer) + 1 :]:
        if not parasites.carries_result(below) and not is_hint_layer(image, below):
            return below
    raise Refusal(
        _(
            "The photograph that “{name}” belongs to is not in this image any more; select the photograph's layer,"
            " then run this again."
        ).format(name=layer.get_name())
    )
