"""One run: read the photograph and its hints, have them coloured, put the colours into the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import layers
import pixels
import strokes
from gi.repository import Gegl, Gimp
from layers import StrokeKind
from progress_bar import Progress
from records import NO_LAYER, Settings
from result_layer import Result
from text import _
from version import CLIENT

if TYPE_CHECKING:  # imported where a photograph is read: a new hint layer need not wait for it
    from colorize_client import HintTiles, Picture
    from colorize_client.client import OnBand


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
    summary = _ask(_picture(photo), _tiles(hints, photo), _tiles(kept, photo), result)
    layer = result.finish(summary["model"].get("title") or summary["model"]["name"])
    Gimp.progress_end()
    Gimp.displays_flush()
    return layer, [_(note) for note in summary.get("notes", [])]


def _picture(photo: Gimp.Layer) -> Picture:
    from colorize_client import Picture

    dtype, gray = pixels.gray_plane(photo)
    return Picture(photo.get_width(), photo.get_height(), dtype, gray)


def _tiles(painted: Gimp.Layer | None, photo: Gimp.Layer) -> HintTiles | None:
    from colorize_client import HintTiles

    return HintTiles(*pixels.hint_tiles(painted, photo)) if painted else None


def _outside(hints: HintTiles | None, width: int, result: Result) -> HintTiles | None:
    """The hints for what lies outside the selection; None where the colours there need no request of their own."""
    if not (hints and result.part and result.wants_outside):
        return None
    from colorize_client import HintTiles

    rest = strokes.without_touched(hints.tiles, list(map(bytes, hints.data)), result.part.weights, width)
    return HintTiles(*rest) if rest else None


def _ask(picture: Picture, hints: HintTiles | None, kept: HintTiles | None, result: Result) -> dict[str, Any]:
    from colorize_client import connect

    outside = _outside(hints, picture.width, result)
    progress = Progress(Gimp.progress_set_text, Gimp.progress_update, requests=2 if outside else 1)
    progress("queued", 0.0)
    with connect(client=CLIENT) as service:

        def colorize(these: HintTiles | None, write: OnBand) -> dict[str, Any]:
            options, layout = result.settings.options, result.layout
            return service.colorize(
                picture, these, options, kept=kept, layout=layout, on_band=write, on_progress=progress
            )

        summary = colorize(hints, result.write)
        if outside:
            progress.next_request()
            colorize(outside, result.write_outside)
        return summary


def strokes_for(image: Gimp.Image, photo: Gimp.Layer, selected: Gimp.Drawable, kind: StrokeKind) -> Gimp.Layer | None:
    """The selected layer of this kind, else that of the photograph's last result, else the one that belongs to it."""
    if selected != photo and isinstance(selected, Gimp.Layer) and layers.kind_of(image, selected) == kind:
        return selected
    record = layers.last_record(image, photo)
    used = getattr(record, kind.field) if record else NO_LAYER
    by_tattoo = {layer.get_tattoo(): layer for layer in layers.all_layers(image)}
    return by_tattoo.get(used) or layers.find_strokes(image, photo, kind)
