"""One run: read the photograph and its hints, have them coloured, put the colours into the image."""

from collections.abc import Callable
from typing import Any

import layers
import pixels
import records
from gi.repository import Gegl, Gimp
from records import Settings
from result_layer import Result
from text import _, marked
from version import CLIENT

NAMELESS = marked("Waiting for the colour service…")
STAGES = {  # of the service: what the person reads, and the part of the progress bar that is its own
    "queued": (NAMELESS, 0.05, 0.05),
    "loading": (marked("Loading the model…"), 0.05, 0.15),
    "upload": (marked("Sending the photograph…"), 0.15, 0.2),
    "encode": (marked("Looking at the photograph…"), 0.2, 0.6),
    "hints": (marked("Choosing colours…"), 0.6, 0.65),
    "lift": (marked("Colouring at full size…"), 0.65, 0.98),
}


def colorize(photo: Gimp.Layer, hints: Gimp.Layer | None, settings: Settings) -> tuple[Gimp.Layer, list[str]]:
    """Colours a photograph; returns the layer with the colours and what the service wants the person to know.

    The image is changed at the very end, in one undo step.

    Raises:
        Refusal, colorize_client.ColorizeError.
    """
    Gegl.init(None)
    Gimp.progress_init(_("Colouring “{layer}”").format(layer=photo.get_name()))
    result = Result(photo, hints, settings)
    picture, tiles = _read(photo, hints)
    summary = _ask(picture, tiles, result, _Progress())
    layer = result.finish(summary["model"].get("title") or summary["model"]["name"])
    Gimp.progress_end()
    Gimp.displays_flush()
    return layer, summary.get("notes", [])


def _read(photo: Gimp.Layer, hints: Gimp.Layer | None) -> tuple[Any, Any]:
    from colorize_client import HintTiles, Picture

    dtype, gray = pixels.gray_plane(photo)
    picture = Picture(photo.get_width(), photo.get_height(), dtype, gray)
    return picture, HintTiles(*pixels.hint_tiles(hints, photo)) if hints else None


def _ask(picture: Any, tiles: Any, result: Result, progress: Callable[[str, float], None]) -> dict[str, Any]:
    from colorize_client import Options, connect

    options = Options.from_vividness(result.settings.vividness, result.settings.saturation, result.settings.model)
    progress("queued", 0.0)
    with connect(client=CLIENT) as service:
        return service.colorize(
            picture, tiles, options, layout=result.layout, on_band=result.write, on_progress=progress
        )


class _Progress:
    """Shows the service's progress in GIMP, at most once per percent: each update is a message to GIMP."""

    def __init__(self) -> None:
        self._text, self._shown = "", 0.0

    def __call__(self, stage: str, fraction: float) -> None:
        text, begin, end = STAGES.get(stage, (NAMELESS, self._shown, self._shown))
        if text != self._text:
            self._text = text
            Gimp.progress_set_text(_(text))
        reached = begin + (end - begin) * fraction
        if reached - self._shown >= 0.01:
            self._shown = reached
            Gimp.progress_update(reached)


def hint_layer_for(image: Gimp.Image, photo: Gimp.Layer, selected: Gimp.Drawable) -> Gimp.Layer | None:
    """The selected hint layer, else that of the photograph's last result, else the one that belongs to it."""
    if selected != photo and isinstance(selected, Gimp.Layer) and layers.is_hint_layer(image, selected):
        return selected
    result = layers.find_result(image, photo)
    used = records.read_result(result).hints if result else records.NO_LAYER
    by_tattoo = {layer.get_tattoo(): layer for layer in layers.all_layers(image)}
    return by_tattoo.get(used) or layers.find_hint_layer(image, photo)
