"""The layer that holds the colours: where it goes, and how what the service sends becomes its pixels.

Pixels are kept away from the image until all of them are there, because Cancel ends the plug-in without asking: a new
layer's in a buffer of the plug-in's own, those of a layer that is coloured again in its shadow buffer, which GIMP drops
with the plug-in. (Measured at 24 megapixels: the step that touches the image takes 0.3 s for a new layer, 0.02 s for a
shadow; keeping the pixels as bytes instead took 0.7 s and twice the memory.) Of a layer that is as the last run left
it, only the tiles that change are sent and written.

A selection limits a run: a layer that is coloured again keeps its bytes outside; a new one gets there the colours that
the photograph has without the strokes that the selection touches, and where no hint layer is used, it is transparent.
Masks and opacity are the user's own, and so are pixels that were changed since the last run: they are kept apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import layers
import parasites
import pixels
import selection
import tiles
from edits import make_rgb, selected, undo_step
from gi.repository import Babl, Gegl, Gimp
from records import NO_LAYER, ResultRecord, Settings, StrokesRecord
from refusal import Refusal
from subject import Subject, drawn
from text import _
from tiles import Rectangle
from watching import Watched, fingerprint

if TYPE_CHECKING:  # imported where the service is asked: a new hint layer need not wait for it
    from colorize_client import Picture
    from colorize_client.held import Held, Pixels
    from colorize_client.picture import UnreadPicture

BABL_FORMATS = {"rgb8": "R'G'B' u8", "rgb16": "R'G'B' u16"}
MODES = {"layer": Gimp.LayerMode.LCH_COLOR, "normal": Gimp.LayerMode.NORMAL, "image": Gimp.LayerMode.LCH_COLOR}
OPAQUE = 255


class Result:
    """Takes the coloured pixels of one photograph, then puts them into the image in one undo step."""

    def __init__(
        self, what: Subject, hints: Sequence[Gimp.Layer], settings: Settings, kept: Sequence[Gimp.Layer]
    ) -> None:
        self.what, self.hints, self.settings, self.kept = what, hints, settings, kept
        self.photo = photo = what.layer
        self.notes: list[str] = []
        self.image = photo.get_image()
        self.part = selection.part_of(photo)
        self.layout = "rgb8" if pixels.is_eight_bit(self.image) else "rgb16"
        self._size = photo.get_width(), photo.get_height()
        self._old = layers.find_result(self.image, photo, settings.output)
        self._refuse_locked()
        self._in_place = self._old is not None and _size(self._old) == self._size
        self._old_form = _form(self._old) if self._old else None
        self.inserted: list[Gimp.Layer] = []  # layers that are in the image because of this run
        shadow = self._old.get_shadow_buffer() if self._old and self._takes_rows_as_they_are(self._old) else None
        self._in_shadow = shadow is not None
        self._rows = shadow or self._own_buffer()
        self._tiles = set(tiles.cut(*self._size))
        self._written: set[Rectangle] = set()
        self._outside: Gegl.Buffer | None = None
        self._record_before = parasites.read_result(self._old) if self._old else None
        self._fingerprint = fingerprint(self._old) if self._old else 0
        self._watched = Watched(self._old) if self._old else None
        self._photo_fingerprint = fingerprint(photo)
        self.picture = ""  # the photograph's key

    def _takes_rows_as_they_are(self, old: Gimp.Layer) -> bool:
        """Whether all rows can wait in the shadow of the layer; a gray one's has no room for colours."""
        return self._in_place and not self.part and not old.is_gray()

    def _own_buffer(self) -> Gegl.Buffer:
        return Gegl.Buffer.new(BABL_FORMATS[self.layout], 0, 0, *self._size)

    def _refuse_locked(self) -> None:
        old = self._old
        if old is not None and layers.is_locked(old):
            problem = _(
                "The pixels of “{layer}” are locked, so it cannot take new colours; unlock it in the Layers"
                " dialog, or delete it to get a new one."
            )
        elif old is not None and old.get_lock_position() and layers.place(old) != layers.place(self.photo):
            problem = _(
                "The position and size of “{layer}” are locked, so it cannot follow the photograph; unlock it in the"
                " Layers dialog, or delete it to get a new one."
            )
        else:
            return
        raise Refusal(problem.format(layer=old.get_name()))

    def known_picture(self, read: Callable[[], Picture]) -> UnreadPicture | None:
        """The photograph, where it looks as in the last run: read where the service does not know it any more.

        A colour layer shows the photograph's own lightness, so a change that a close look does not see is none.
        """
        from colorize_client.picture import UnreadPicture

        record = self._record_before
        if record is None or self.what.merged or self.settings.output != "layer":
            return None
        if not record.picture or record.photo_fingerprint != self._photo_fingerprint:
            return None
        return UnreadPicture(*self._size, record.picture, read)

    def held(self) -> Held:
        """What the layer shows already, as the service named it, where its pixels are as the last run left them."""
        from colorize_client.held import Held

        record = self._record_before
        trusted = record is not None and record.fingerprint and self._in_shadow and not self._is_changed
        return Held(*self._size, record.state if record and trusted else "")

    def write(self, part: Pixels) -> None:
        """Keeps pixels in this result's layout; the image is not touched."""
        place = (part.x, part.y, part.width, part.height)
        self._rows.set(Gegl.Rectangle.new(*place), BABL_FORMATS[self.layout], part.data)
        self._written.add(place if place in self._tiles else (0, 0, *self._size))  # an older service sends it all

    @property
    def wants_outside(self) -> bool:
        """Whether the photograph needs colours outside the selection, because no earlier ones lie there."""
        return self.part is not None and bool(self.hints) and not self._in_place

    def write_outside(self, part: Pixels) -> None:
        """Keeps pixels as `write` does, for the photograph outside the selection."""
        if self._outside is None:
            self._outside = self._own_buffer()
        place = Gegl.Rectangle.new(part.x, part.y, part.width, part.height)
        self._outside.set(place, BABL_FORMATS[self.layout], part.data)

    def finish(self, model_title: str, state: str) -> Gimp.Layer:
        """Puts the colours into the image, or into a new one, and returns their layer.

        Args:
            state: as the service named what was written together with what was held.

        Raises:
            Refusal: the image was changed in the meantime, so that the colours have no place any more.
        """
        self._refuse_changed()
        self._rows.flush()
        if self.part and self._outside:
            merged, babl_format = self._own_buffer(), BABL_FORMATS[self.layout]
            selection.merge(self.part, self._rows, babl_format, self._outside, merged, babl_format)
            self._rows = merged
        name = _name(model_title)
        if self.settings.output == "image":
            return self._new_image(name)
        selected = self.image.get_selected_layers()
        with undo_step(self.image):
            make_rgb(self.image)
            layer = self._update(self._old, name) if self._old else self._insert(self.what.anchor, name)
            self.record(layer, "" if self.part else state)
        self.image.set_selected_layers(selected)  # the next stroke belongs on the hint layer, not on this one
        return layer

    def layer_now(self) -> Gimp.Layer:
        """The layer of the colours as it is, with its pixels; where there is none, an empty one.

        For pixels that are written into it afterwards: what was painted on it is kept on a copy of it. What has to be
        changed for that is one undo step.
        """
        old = self._old
        if old is None:
            with undo_step(self.image):
                make_rgb(self.image)
                layer = self._insert(self.what.anchor, _name(""))
                self.record(layer, "")
            self.inserted.append(layer)
            return layer
        if not self._in_place or layers.place(old) != layers.place(self.photo) or old.is_gray() or self._is_changed:
            with undo_step(self.image):
                make_rgb(self.image)
                self._keep_changed(old)
                self._place(old)
        return old

    def _place(self, layer: Gimp.Layer) -> None:
        """Of the photograph's size, over it."""
        if not self._in_place:
            layer.resize(*self._size, 0, 0)
        _, x, y = self.photo.get_offsets()
        layer.set_offsets(x, y)
        self._raise(layer)

    def _refuse_changed(self) -> None:
        valid = self.photo.is_valid() and (self._old is None or self._old.is_valid())
        same = valid and _size(self.photo) == self._size and (not self._old or _form(self._old) == self._old_form)
        if not same or (self._watched and self._watched.changed()):
            raise Refusal(
                _("The photograph's layer was changed or removed while its colours were made; run this again.")
            )

    def _insert(self, anchor: Gimp.Layer, name: str) -> Gimp.Layer:
        image = anchor.get_image()
        mode = MODES[self.settings.output]
        only_part = self.part is not None and not self.hints
        kind = Gimp.ImageType.RGBA_IMAGE if only_part else Gimp.ImageType.RGB_IMAGE
        layer = Gimp.Layer.new(image, name, *self._size, kind, 100.0, mode)
        _, x, y = self.photo.get_offsets()
        layer.set_offsets(x, y)
        limit = self._seen_limit(layer) if self.what.merged else _limits(layer, self.photo)
        if self.part and only_part:
            own = Babl.get_name(layer.get_format())
            nothing = Gegl.Buffer.new(own, 0, 0, *self._size)
            selection.merge(self.part, self._rows, BABL_FORMATS[self.layout], nothing, layer.get_buffer(), own)
        else:
            self._copy_rows(layer.get_buffer())
        image.insert_layer(layer, anchor.get_parent(), _position_above(anchor))  # filled: in a locked group it is, too
        if limit is not None:
            layer.add_mask(limit)
            layer.set_edit_mask(False)
        return layer

    def _seen_limit(self, layer: Gimp.Layer) -> Gimp.LayerMask | None:
        """A mask, where a layer that needs nothing below it would fill what is transparent in the visible image."""
        if self.settings.output != "normal":
            return None
        with drawn(self.what) as seen:
            if not _is_transparent(seen):
                return None
            everything = Gegl.Rectangle.new(0, 0, *self._size)
            alpha = seen.get_buffer().get(everything, 1.0, "A float", Gegl.AbyssPolicy.NONE)
        mask = layer.create_mask(Gimp.AddMaskType.WHITE)
        mask.get_buffer().set(everything, "Y float", alpha)
        mask.get_buffer().flush()
        return mask

    def _update(self, layer: Gimp.Layer, name: str) -> Gimp.Layer:
        self._keep_changed(layer)
        self._place(layer)
        if self.part and self._in_place:
            own, old, shadow = Babl.get_name(layer.get_format()), layer.get_buffer(), layer.get_shadow_buffer()
            selection.merge(self.part, self._rows, BABL_FORMATS[self.layout], old, shadow, own)
        elif not self._in_shadow:
            self._copy_rows(layer.get_shadow_buffer())
        self.merge(layer, self._written if self._in_shadow else {(0, 0, *self._size)})
        _rename(layer, name)
        return layer

    def merge(self, layer: Gimp.Layer, written: set[Rectangle]) -> None:
        """What was written into the layer's shadow buffer becomes its pixels, in a step that can be undone."""
        if not written:
            return
        shadow, own = layer.get_shadow_buffer(), layer.get_buffer()
        for box in self._boxes(layer, written):
            if (0, 0, *self._size) not in written:
                for place in self._tiles - written:
                    if tiles.meet(place, box):
                        rectangle = Gegl.Rectangle.new(*place)
                        own.copy(rectangle, Gegl.AbyssPolicy.NONE, shadow, rectangle)
            shadow.flush()
            with selected(self.image, layer, box):
                layer.merge_shadow(True)
            layer.update(*box)

    def _boxes(self, layer: Gimp.Layer, written: set[Rectangle]) -> list[Rectangle]:
        """What holds all that was written; of a layer that reaches beyond its image, which limits selections, all."""
        _, dx, dy = layer.get_offsets()
        width, height = self._size
        if dx < 0 or dy < 0 or dx + width > self.image.get_width() or dy + height > self.image.get_height():
            return [(0, 0, width, height)]
        return tiles.boxes(written)

    def rename(self, layer: Gimp.Layer, model_title: str) -> None:
        """By the model, unless the user gave the layer a name."""
        _rename(layer, _name(model_title))

    @property
    def _is_changed(self) -> bool:
        """Whether something was painted on the layer between the last run and this one."""
        record = self._record_before
        return record is not None and record.fingerprint not in (0, self._fingerprint)

    def _keep_changed(self, layer: Gimp.Layer) -> None:
        """What was painted on the layer since the last run stays, on a copy of it that is hidden."""
        if not self._is_changed:
            return
        copy = layer.copy()  # by its record, no result any more: no run changes it
        self.image.insert_layer(copy, layer.get_parent(), layers.siblings(layer).index(layer) + 1)
        copy.set_name(_("{layer} (changed by hand)").format(layer=layer.get_name()))
        layers.show(copy, False)
        self.inserted.append(copy)
        self.notes.append(
            _(
                "“{layer}” was changed since the last run. It stays as it was, hidden, as “{copy}”; the new colours"
                " lie above it."
            ).format(layer=layer.get_name(), copy=copy.get_name())
        )

    def _raise(self, layer: Gimp.Layer) -> None:
        """Above everything that was coloured: that, or retouching, may have come to lie over an earlier result."""
        everything, anchor = list(layers.all_layers(self.image)), self.what.anchor
        if everything.index(anchor) < everything.index(layer):
            self.image.reorder_item(layer, anchor.get_parent(), layers.siblings(anchor).index(anchor))

    def _copy_rows(self, target: Gegl.Buffer) -> None:
        everything = Gegl.Rectangle.new(0, 0, *self._size)
        self._rows.copy(everything, Gegl.AbyssPolicy.NONE, target, everything)
        target.flush()

    def record(self, layer: Gimp.Layer, state: str = "") -> None:
        """Writes the record of this run on the layer; `state` as the service names what its pixels are."""
        parasites.write(layer, parasites.RESULT, self.record_of(layer, state))

    def record_of(self, layer: Gimp.Layer, state: str = "") -> ResultRecord:
        """What `record` writes."""
        return self._record_of(layer, self.settings, lambda each: each, state)

    def _record_of(
        self, layer: Gimp.Layer, settings: Settings, here: Callable[[Gimp.Layer], Gimp.Layer], state: str = ""
    ) -> ResultRecord:
        """`here` gives the layer of the result's image that one of the photograph's image became."""
        hints, kept = (here(painted[0]).get_tattoo() if painted else NO_LAYER for painted in (self.hints, self.kept))
        return ResultRecord(
            layer.get_tattoo(),
            here(self.photo).get_tattoo(),
            hints,
            layer.get_name(),
            settings,
            kept,
            fingerprint(layer),
            state,
            self._photo_fingerprint,
            "" if self.what.merged else self.picture,
        )

    def _new_image(self, name: str) -> Gimp.Layer:
        """A copy of the image, in which the result and the strokes belong to the copied photograph."""
        copy = self.image.duplicate()
        copy.undo_disable()
        twins = dict(zip(layers.all_layers(self.image), layers.all_layers(copy), strict=True))  # tattoos change
        make_rgb(copy)
        layer = self._insert(twins[self.what.anchor], name)
        record = self._record_of(layer, replace(self.settings, output="layer"), twins.__getitem__)
        parasites.write(layer, parasites.RESULT, record)
        for strokes, kind in layers.strokes_in(self.image).items():
            owner = layers.owner_of(strokes, kind)
            if owner is not None:
                parasites.write(twins[strokes], kind.parasite, StrokesRecord(twins[owner].get_tattoo()))
        copy.undo_enable()
        return layer


def _name(model_title: str) -> str:
    return _("Colorized – {model}").format(model=model_title) if model_title else _("Colorized")


def _rename(layer: Gimp.Layer, name: str) -> None:
    record = parasites.read_result(layer)
    own_name = record is None or layer.get_name() != record.name  # given by the user, so it stays
    if not own_name and not layer.get_name().startswith(name):
        layer.set_name(name)


def _size(layer: Gimp.Layer) -> tuple[int, int]:
    return layer.get_width(), layer.get_height()


def _form(layer: Gimp.Layer) -> tuple[int, int, str]:
    return *_size(layer), Babl.get_name(layer.get_format())


def _position_above(photo: Gimp.Layer) -> int:
    """Right above the photograph, and above earlier results that lie there: they would hide this one."""
    row = layers.siblings(photo)
    position = row.index(photo)
    while position > 0 and parasites.carries_result(row[position - 1]):
        position -= 1
    return position


def _limits(layer: Gimp.Layer, photo: Gimp.Layer) -> Gimp.LayerMask | None:
    """A mask, where the photograph's transparency or its mask leave less than everything."""
    limits = []
    if _is_transparent(photo):
        limits.append(photo.create_mask(Gimp.AddMaskType.ALPHA))
    photo_mask = pixels.applied_mask(photo)
    if photo_mask is not None:
        limits.append(photo_mask)
    if not limits:
        return None
    mask = layer.create_mask(Gimp.AddMaskType.WHITE)
    for limit in limits:
        mask.combine_masks(limit, Gimp.ChannelOps.INTERSECT, 0, 0)
    return mask


def _is_transparent(photo: Gimp.Layer) -> bool:
    if not photo.has_alpha():
        return False
    width, height = _size(photo)
    everything = Gegl.Rectangle.new(0, 0, width, height)
    alpha = photo.get_buffer().get(everything, 1.0, "A u8", Gegl.AbyssPolicy.NONE)
    return alpha.count(OPAQUE) != len(alpha)
