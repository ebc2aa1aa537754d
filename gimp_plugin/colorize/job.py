"""One run: read the photograph and its hints, have them coloured, put the colours into the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import layers
import pixels
from gi.repository import Gegl, Gimp
from layers import StrokeKind
from progress_bar import Progress
from records import NO_LAYER, Settings
from result_layer import Result
from text import _
from version import CLIENT

if TYPE_CHECKING:  # imported where a photograph is read: a new hint layer need not wait for it
    from colorize_client import HintTiles, Picture


def colorize(
    photo: Gimp.Layer, hints: Gimp.Layer | None, settings: Settings, kept: Gimp.Layer | None = None
) -> tuple[Gimp.Layer, list[str]]:
    """Colours a photograph; returns the layer with the colours and what the service wants the user to know.

    Strokes on `hints` are colours to obey, those on `kept` leave things as they are without hints. The image is
    changed at the very end, in one undo step.

    Raises:
        Refusal, colorize_client.ColorizeError.
    """
    Gegl.init(None)
    Gimp.progress_init(_("Colouring “{layer}”").format(layer=photo.get_name()))
    result = Result(photo, hints, settings, kept)
    picture, strokes, staying = _picture(photo), _tiles(hints, photo), _tiles(kept, photo)
    summary = _ask(picture, strokes, staying, result)
    layer = result.finish(summary["model"].get("title") or summary["model"]["name"])
    Gimp.progress_end()
    Gimp.displays_flush()
    return layer, [_(note) for note in summary.get("notes", [])]


def _picture(photo: Gimp.Layer) -> Picture:
    from colorize_client import Picture

    dtype, gray = pixels.gray_plane(photo)
    return Picture(photo.get_width(), photo.get_height(), dtype, gray)


def _tiles(strokes: Gimp.Layer | None, photo: Gimp.Layer) -> HintTiles | None:
    from colorize_client import HintTiles

    return HintTiles(*pixels.hint_tiles(strokes, photo)) if strokes else None


def _ask(picture: Picture, hints: HintTiles | None, kept: HintTiles | None, result: Result) -> dict[str, Any]:
    from colorize_client import connect

    options, progress = result.settings.options, Progress(Gimp.progress_set_text, Gimp.progress_update)
    progress("queued", 0.0)
    with connect(client=CLIENT) as service:
        return service.colorize(
            picture, hints, options, kept=kept, layout=result.layout, on_band=result.write, on_progress=progress
        )


def strokes_for(image: Gimp.Image, photo: Gimp.Layer, selected: Gimp.Drawable, kind: StrokeKind) -> Gimp.Layer | None:
    """The selected layer of this kind, else that of the photograph's last result, else the one that belongs to it."""
    if selected != photo and isinstance(selected, Gimp.Layer) and layers.kind_of(image, selected) == kind:
        return selected
    record = layers.last_record(image, photo)
    used = getattr(record, kind.field) if record else NO_LAYER
    by_tattoo = {layer.get_tattoo(): layer for layer in layers.all_layers(image)}
    return by_tattoo.get(used) or layers.find_strokes(image, photo, kind)
