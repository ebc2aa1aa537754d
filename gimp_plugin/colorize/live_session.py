"""Live Colours: every stroke on a hint layer changes the colour layer while the brush is down.

GIMP does not tell a plug-in what is painted. So the session looks, often while a button is held and seldom otherwise,
reads the tiles that changed, and asks the service for what they change. What comes is written into the colour layer at
once. All of it happens in the one thread that may talk to GIMP, in steps of some 30 ms, so that the next dab is seen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import layers
import new_hints
import parasites
import service_report
from choice import Choice
from colorize_client.held import Held
from edits import no_undo_step, undo_step
from gi.repository import Gimp, GLib
from hand import Hand
from live_guard import Guard
from live_layer import LiveLayer, StrokesBefore
from live_link import Link
from live_surroundings import Surroundings
from progress_bar import STAGES
from records import Settings
from result_layer import Result
from text import _
from tiles import Rectangle
from watching import CLOSE, COARSE

TICK_MS = 30
MOVING, UNSEEN, RESTING = 8, 4, 16  # ticks from look to look while nothing is painted, by what the hand does
REST = 2.0  # seconds after which a hand that does not move rests
LIVELY = 1.5  # seconds after a change in which every tick looks
PAUSE = 0.25  # seconds without a change after which a draft is answered for good; at once where the brush was lifted
CLOSE_AFTER, CLOSE_EVERY = 0.8, 5.0  # seconds from a change, and always, to a close look that finds the smallest dab
CHECK_EVERY, CHECK_AT_REST = 1.0, 2.0  # seconds between looks at what changes seldom
SHOW_EVERY = 0.1  # seconds from one change of the canvas to the next while an answer comes
STREAM = 0.12  # seconds from pixels to the next, at most, while an answer comes
AT_ONCE = 0.03  # seconds of writing until the next dab is looked for


class LiveColours:
    """A session on one photograph.

    Args:
        found: the photograph and its layers of strokes; a hint layer is made where there is none.
        settings: to begin with.
        guard: the session's mark on the image; released when the session closes.
        say: shows a sentence on what goes on.
        show_models: takes the installed models, once they are known.
        present: brings the session's window to the front.
        end: called with a sentence, or "", when the session cannot go on.

    Raises:
        Refusal: the colour layer is locked.
    """

    def __init__(
        self,
        found: Choice,
        settings: Settings,
        guard: Guard,
        *,
        say: Callable[[str], object],
        show_models: Callable[[list[dict[str, Any]]], object],
        present: Callable[[], object],
        end: Callable[[str], object],
    ) -> None:
        self._say, self._present, self._end = say, present, end
        self.settings, self._guard = replace(settings, output="layer"), guard
        self.image = found.subject.layer.get_image()
        strokes = {kind: list(found.strokes[kind]) for kind in layers.KINDS}
        everything = [layer for own in strokes.values() for layer in own]
        self._before = StrokesBefore(everything)
        self._were_visible = [layer for layer in everything if layer.get_visible()]
        self._result = Result(found.subject, strokes[layers.HINTS], self.settings, strokes[layers.KEEP])
        self._colours = self._begin(strokes)
        self._around = Surroundings(found, strokes)
        picture = self._around.picture
        held = Held(picture.width, picture.height, self._trusted_state())
        self._link = Link(self._result.layout, held, say, show_models, self._guarded(self._receive))
        self._link.use(picture)
        self._withheld: list[Rectangle] = []  # tiles of which a selection let not all through
        self._near: tuple[int, int] | None = None
        self._wanted, self._owed = True, False  # something is to be asked for; a draft is to be answered for good
        self._reported: tuple[str, int] = ("", 0)  # what the last sentence was about
        self._filled = False  # a layer of strokes is painted all over, and nothing is asked for
        self._hand, self._ticks = Hand(), 0
        self._pressed = self._changed = self._looked = self._checked = self._came = self._shown = 0.0  # when, last
        self._is_over, self._leaves = False, False
        self.failure: Exception | None = None

    def _begin(self, strokes: dict[layers.StrokeKind, list[Gimp.Layer]]) -> LiveLayer:
        """The layers that a session needs, in one undo step."""
        selected = self.image.get_selected_layers()
        if strokes[layers.HINTS]:
            colours = LiveLayer(self._result)
        else:
            with undo_step(self.image):
                colours = LiveLayer(self._result)
                hints = new_hints.add(self.image, self._result.photo)
            strokes[layers.HINTS], selected = [hints], [hints]
            self._result.inserted.append(hints)
        self.image.set_selected_layers(selected)
        Gimp.displays_flush()
        return colours

    def _trusted_state(self) -> str:
        """The state of the pixels that are there, where they are as the last run left them."""
        record = parasites.read_result(self._colours.layer)
        return record.state if record and not self._result.inserted else ""

    def start(self) -> None:
        """Begins to look and to ask, with the main loop."""
        GLib.timeout_add(TICK_MS, self._guarded(self._tick))

    def _guarded(self, step: Callable[[], None], again: bool = True) -> Callable[..., bool]:
        """A callback of the main loop, once or again and again; what it raises ends the session."""

        def guarded(*_arguments: object) -> bool:
            if not self._is_over:
                try:
                    step()
                except Exception as error:  # noqa: BLE001 - the edge: the main loop would swallow it
                    self.failure = error
                    self._stop("")
            return GLib.SOURCE_CONTINUE if again and not self._is_over else GLib.SOURCE_REMOVE

        return guarded

    def _stop(self, sentence: str) -> None:
        self._is_over = True
        self._end(sentence)

    # looking

    def _tick(self) -> None:
        self._ticks += 1
        if self._ticks % 2 and self._hand.rests(REST):
            return  # half as often is often enough
        self._check()
        if self._is_over:
            return
        was_down = self._hand.is_down
        self._hand.look()
        self._look_if_due(was_down)
        if self._link.is_busy:
            self._receive()
        self._ask()

    def _look_if_due(self, was_down: bool) -> None:
        now, is_down = time.monotonic(), self._hand.is_down
        if is_down and not was_down:
            self._pressed = now
        lifted = was_down and not is_down
        unseen = lifted and self._changed < self._pressed
        by_and_by = not is_down and now - self._looked > CLOSE_EVERY and not self._hand.rests(CLOSE_EVERY)
        in_the_way = not is_down and now - self._came < STREAM  # GIMP is slow to answer while it shows what comes
        if unseen or by_and_by:
            self._look(CLOSE)
        elif lifted or (self._ticks % self._every(now) == 0 and not in_the_way):
            self._look(COARSE)

    def _every(self, now: float) -> int:
        """How many ticks lie between two looks."""
        if self._hand.is_down or now - self._changed < LIVELY:
            return 1
        return RESTING if self._hand.rests(REST) else MOVING if self._hand.is_seen else UNSEEN

    def _look(self, side: int) -> None:
        now, picture = time.monotonic(), self._around.picture
        if side == CLOSE:
            self._looked = now
        for painted in self._around.painted.values():
            if not painted.is_whole:
                self._checked = 0.0  # the next check finds what is left
                continue
            box = painted.look(side)
            if box is not None:
                x, y, w, h = box
                self._near = min(max(0, x + w // 2), picture.width - 1), min(max(0, y + h // 2), picture.height - 1)
                self._changed, self._wanted = now, True
                if side == COARSE:
                    self._looked = min(self._looked, now - CLOSE_EVERY + CLOSE_AFTER)

    # asking and writing

    def _ask(self) -> None:
        paused = time.monotonic() - self._changed > PAUSE
        lifted = self._hand.is_seen and not self._hand.is_down
        if (self._wanted or self._link.is_new) and self._link.is_ready:
            self._send(draft=not (paused or lifted))
        elif self._owed and (paused or lifted) and self._link.is_ready and not self._link.is_busy:
            self._send(draft=False)
        elif not self._link.is_busy:
            self._link.look_after(self.settings.model)

    def _send(self, draft: bool) -> None:
        hints, kept = (self._around.painted[kind] for kind in layers.KINDS)
        filled = next((painted for painted in (hints, kept) if painted.covers_all), None)
        self._wanted, self._owed, self._filled = False, draft, filled is not None
        if filled is None:
            self._link.ask(hints.tiles, self.settings.options, kept.tiles, self._near, draft)
            return
        text = _("“{layer}” is painted all over, so nothing would be left to colour; erase what is no stroke.")
        self._say(text.format(layer=filled.layers[0].get_name()))

    def _receive(self) -> None:
        begun = time.monotonic()
        for part in self._link.receive():
            self._came = time.monotonic()
            place = (part.x, part.y, part.width, part.height)
            if not self._colours.layer.is_valid():
                return
            if not self._colours.write(place, part.data):
                self._withheld.append(place)
            if time.monotonic() - begun > AT_ONCE:
                GLib.idle_add(self._guarded(self._receive, again=False))
                break
        if not self._link.is_busy or time.monotonic() - self._shown > SHOW_EVERY:
            self._colours.show()
            self._shown = time.monotonic()
        if not self._filled and (self._link.stage, id(self._link.result)) != self._reported:
            self._reported = self._link.stage, id(self._link.result)
            self._report()

    def _report(self) -> None:
        stage, result = self._link.stage, self._link.result
        if stage in ("loading", "upload", "encode"):
            self._say(_(STAGES[stage][0]))
        elif result:
            notes = [_(note) for note in result.get("notes", [])]
            title = service_report.title(result.get("model", {}))
            text = _("The colours follow the brush: {model}, on {device}")
            self._say("\n".join(notes) or text.format(model=title, device=service_report.device(result)))

    # what changes seldom

    def _check(self) -> None:
        now = time.monotonic()
        if now - self._checked < (CHECK_AT_REST if self._hand.rests(REST) else CHECK_EVERY):
            return
        self._checked = now
        if not self.image.is_valid():
            self._stop("")
            return
        if self._guard.called():
            self._present()
        reason = self._why_over()
        if reason:
            self._leaves = True
            self._stop(reason)
            return
        if self._around.has_other_strokes():
            self._changed, self._wanted = now, True
        if self._around.has_other_selection():
            self._follow_selection()
        if not self._hand.is_down and now - self._changed > CHECK_EVERY and self._around.has_other_picture():
            self._link.held.put_all("")
            self._link.use(self._around.picture)
        if not (self._hand.is_down or self._link.is_busy) and now - self._came > REST:
            self._describe()
            self._colours.record(self._state)

    def _why_over(self) -> str:
        if not (self._around.is_there and self._colours.is_whole):
            return _(
                "The photograph or its colour layer was moved, scaled, converted, locked or removed, so Live Colours"
                " ended. Open it again to go on."
            )
        if not self._link.is_busy and self._colours.was_changed():
            return _(
                "The colour layer was changed by something else, so Live Colours ended and left it as it is; open it"
                " again to go on."
            )
        return ""

    def _follow_selection(self) -> None:
        """What is written is limited to what is selected now; what was withheld is asked for again."""
        self._colours.limit(self._around.selected_part())
        for place in self._withheld:
            self._link.held.put(place, "")
        self._wanted = self._wanted or bool(self._withheld)
        self._withheld = []

    # what the user does in the window

    def change(self, settings: Settings) -> None:
        """Colours with other settings, from now on."""
        self.settings = replace(settings, output="layer")
        self._near, self._wanted = None, True

    def show_colours(self, shown: bool) -> None:
        self._show([self._colours.layer], shown)

    def show_strokes(self, shown: bool) -> None:
        """Hidden so, strokes count as before."""
        self._around.strokes_are_hidden = not shown
        self._show([layer for own in self._around.strokes.values() for layer in own], shown)

    def _show(self, changed: Sequence[Gimp.Layer], shown: bool) -> None:
        with no_undo_step(self.image):  # to look is no change
            for layer in changed:
                if layer.is_valid():
                    layers.show(layer, shown)
        Gimp.displays_flush()

    # the end

    def settle(self) -> bool:
        """Whether the colours are those of what is painted and chosen; to be called until they are."""
        self._changed = 0.0
        is_idle = self._link.is_there and not (self._link.is_busy or self._link.is_new)
        return is_idle and not (self._wanted or self._owed)

    def look_a_last_time(self) -> None:
        """So that the end loses no dab."""
        self._look(CLOSE)

    def finish(self) -> None:
        """The colours become one undo step."""
        result, state = self._link.result, self._state
        self._close()
        if self._leaves or not (self.image.is_valid() and self._colours.is_whole):
            return
        self._show([self._colours.layer], True)
        self._describe()
        self._colours.finish(service_report.title(result.get("model", {})), state)

    @property
    def _state(self) -> str:
        """Of what the colour layer shows, as the service names it; "" where it has no name for it."""
        return "" if self._withheld else self._link.held.state

    def _describe(self) -> None:
        """What made the colours, for their record."""
        self._result.settings = self.settings
        self._result.hints, self._result.kept = (self._around.strokes[kind] for kind in layers.KINDS)

    def cancel(self) -> None:
        """The image is as it was when the session began, strokes too; Undo brings those back."""
        self._close()
        if not self.image.is_valid():
            return
        if self._colours.is_whole:
            self._colours.forget()
        self._show([self._colours.layer, *self._were_visible], True)
        added = [layer for layer in self._result.inserted if layer.is_valid()]
        if added or self._before.differ():
            with undo_step(self.image):
                self._before.put_back()
                for layer in added:
                    self.image.remove_layer(layer)
        Gimp.displays_flush()

    def _close(self) -> None:
        self._is_over = True
        self._link.close()
        self._guard.release()
