"""One run: read the photograph and its hints, have them coloured, put the colours into the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import layers
import pixels
from gi.repository import Gegl, Gimp
from progress_bar import Progress
from records import NO_LAYER, Settings
from result_layer import Result
from text import _
from version import CLIENT

if TYPE_CHECKING:  # imported where a photograph is read: a new hint layer need not wait for it
    from colorize_client import HintTiles, Picture


def colorize(photo: Gimp.Layer, hints: Gimp.Layer | None, settings: Settings) -> tuple[Gimp.Layer, list[str]]:
    """Colours a photograph; returns the layer with the colours and what the service wants the user to know.

    The image is changed at the very end, in one undo step.

    Raises:
        Refusal, colorize_client.ColorizeError.
    """
    Gegl.init(None)
    Gimp.progress_init(_("Colouring “{layer}”").format(layer=photo.get_name()))
    result = Result(photo, hints, settings)
    picture, tiles = _read(photo, hints)
    summary = _ask(picture, tiles, result)
    layer = result.finish(summary["model"].get("title") or summary["model"]["name"])
    Gimp.progress_end()
    Gimp.displays_flush()
    return layer, [_(note) for note in summary.get("notes", [])]


def _read(photo: Gimp.Layer, hints: Gimp.Layer | None) -> tuple[Picture, HintTiles | None]:
    from colorize_client import HintTiles, Picture

    dtype, gray = pixels.gray_plane(photo)
    picture = Picture(photo.get_width(), photo.get_height(), dtype, gray)
    return picture, HintTiles(*pixels.hint_tiles(hints, photo)) if hints else None


def _ask(picture: Picture, tiles: HintTiles | None, result: Result) -> dict[str, Any]:
    from colorize_client import connect

    options, progress = result.settings.options, Progress(Gimp.progress_set_text, Gimp.progress_update)
    progress("queued", 0.0)
    with connect(client=CLIENT) as service:
        return service.colorize(
            picture, tiles, options, layout=result.layout, on_band=result.write, on_progress=progress
        )


def hint_layer_for(image: Gimp.Image, photo: Gimp.Layer, selected: Gimp.Drawable) -> Gimp.Layer | None:
    """The selected hint layer, else that of the photograph's last result, else the one that belongs to it."""
    if selected != photo and isinstance(selected, Gimp.Layer) and layers.is_hint_layer(image, selected):
        return selected
    record = layers.last_record(image, photo)
    used = record.hints if record else NO_LAYER
    by_tattoo = {layer.get_tattoo(): layer for layer in layers.all_layers(image)}
    return by_tattoo.get(used) or layers.find_hint_layer(image, photo)
