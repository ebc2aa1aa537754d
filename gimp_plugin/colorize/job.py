"""One run: read the photograph and its hints, have them coloured, put the colours into the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pixels
import service_report
import strokes
import subject
from gi.repository import Gegl, Gimp
from progress_bar import Progress
from records import Settings
from refusal import Refusal
from result_layer import Result
from subject import Subject
from text import _
from version import CLIENT

if TYPE_CHECKING:  # imported where a photograph is read: a new hint layer need not wait for it
    from colorize_client import HintTiles, Picture
    from colorize_client.picture import UnreadPicture


def colorize(
    what: Subject, hints: Sequence[Gimp.Layer], settings: Settings, kept: Sequence[Gimp.Layer] = ()
) -> tuple[Gimp.Layer, list[str]]:
    """Colours a photograph; returns the layer with the colours and what the user should know.

    Strokes on `hints` are colours to obey, those on `kept` leave things as they are without hints; upper layers come
    first, and win. The image is changed at the very end, in one undo step.

    Raises:
        Refusal, colorize_client.ColorizeError.
    """
    Gegl.init(None)
    Gimp.progress_init(_("Colouring “{layer}”").format(layer=what.layer.get_name()))
    result = Result(what, hints, settings, kept)
    hint_tiles, kept_tiles = (_tiles(painted, what.layer) for painted in (hints, kept))
    picture = result.known_picture(lambda: picture_of(what)) or picture_of(what)
    summary = _ask(picture, hint_tiles, kept_tiles, result)
    layer = result.finish(service_report.title(summary["model"]), summary.get("state", ""))
    Gimp.progress_end()
    Gimp.displays_flush()
    return layer, [*(_(note) for note in summary.get("notes", [])), *result.notes]


def picture_of(what: Subject) -> Picture:
    """What the service needs of the photograph."""
    from colorize_client import Picture

    with subject.drawn(what) as layer:
        dtype, gray = pixels.gray_plane(layer)
    return Picture(what.layer.get_width(), what.layer.get_height(), dtype, gray)


def _tiles(painted: Sequence[Gimp.Layer], photo: Gimp.Layer) -> HintTiles | None:
    from colorize_client import HintTiles

    if not painted:
        return None
    found = HintTiles(*pixels.hint_tiles(painted, photo))
    if found.cover_all(photo.get_width(), photo.get_height()):
        raise Refusal(
            _(
                "“{layer}” is painted all over, so nothing would be left to colour; paint strokes on a layer that is"
                " transparent elsewhere, or choose another layer of strokes in Colorize Photo."
            ).format(layer=max(painted, key=pixels.painted_share).get_name())
        )
    return found


def _outside(hints: HintTiles | None, width: int, result: Result) -> HintTiles | None:
    """The hints for what lies outside the selection; None where the colours there need no request of their own."""
    if not (hints and result.part and result.wants_outside):
        return None
    from colorize_client import HintTiles

    rest = strokes.without_touched(hints.tiles, list(map(bytes, hints.data)), result.part.weights, width)
    return HintTiles(*rest) if rest else None


def _ask(
    picture: Picture | UnreadPicture, hints: HintTiles | None, kept: HintTiles | None, result: Result
) -> dict[str, Any]:
    from colorize_client import connect
    from colorize_client.held import Held
    from colorize_client.live import LiveSession

    outside = _outside(hints, picture.width, result)
    progress = Progress(Gimp.progress_set_text, Gimp.progress_update, requests=2 if outside else 1)
    progress("queued", 0.0)
    options, layout = result.settings.options, result.layout
    with connect(client=CLIENT) as service:
        session = LiveSession(service, picture, layout, result.held())
        summary = session.run(hints, options, kept, result.write, progress)
        picture, result.picture = session.picture, session.picture.key
        if outside:
            progress.next_request()
            session = LiveSession(service, picture, layout, Held(picture.width, picture.height))
            session.run(outside, options, kept, result.write_outside, progress)
        return summary
