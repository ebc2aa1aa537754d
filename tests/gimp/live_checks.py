"""Checks of Live Colours inside GIMP, without its window: the session itself, its main loop turned by hand.

As checks.py has them, see there; what only a screen can show is in window.py.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import gi

gi.require_version("Gdk", "3.0")
from checks import BLUE, EXECUTION_ERROR, RED, Facts, Workbench, bar, fill, names, paint, pixels, raw, state_of  # noqa: E402
from gi.repository import Gimp, Gio, GLib  # noqa: E402
from progress import wait_until  # noqa: E402

if TYPE_CHECKING:
    from live_guard import Guard
    from live_session import LiveColours

REPLACE = Gimp.ChannelOps.REPLACE
WIDE, HIGH = 600, 400
SMALL = {"width": 451, "height": 300}


class Live:
    """A session, and what it said."""

    def __init__(self, guard: Guard, selected: Gimp.Layer, **settings: Any) -> None:
        import choice
        import layers
        from live_session import LiveColours
        from records import Settings

        self.image = selected.get_image()
        self.said, self.ended, self.presented = [""], [], 0
        found = choice.found(self.image, [selected])
        record = layers.last_record(self.image, found.subject.layer)
        self.settings = record.settings if record else Settings(**settings)
        self.session: LiveColours = LiveColours(
            found,
            self.settings,
            guard,
            say=self.said.append,
            show_models=lambda models: None,
            present=self._present,
            end=self.ended.append,
        )
        self.session.start()

    def _present(self) -> None:
        self.presented += 1

    @property
    def hints(self) -> Gimp.Layer:
        return self.session._around.strokes[self._kinds[0]][0]

    @property
    def colours(self) -> Gimp.Layer:
        return self.session._colours.layer

    @property
    def _kinds(self) -> tuple:
        import layers

        return layers.KINDS

    def turn(self) -> None:
        """One step of the main loop."""
        GLib.MainContext.default().iteration(False)

    def until(self, condition: Any, what: str) -> None:
        def turned() -> bool:
            self.turn()
            if self.session.failure is not None:
                raise self.session.failure
            return condition()

        wait_until(turned, what, pause=0.002)

    def settle(self) -> None:
        """Until the colours are those of what is painted and chosen."""
        self.session.look_a_last_time()
        self.until(self.session.settle, f"the colours ({self.said[-1]})")

    def await_other(self, colours: bytes) -> None:
        """Until the colour layer shows something else than this."""
        self.until(lambda: raw(self.colours) != colours, "other colours")

    def wait_for_check(self) -> None:
        """Until the session has looked at what changes seldom."""
        self.session._checked = 0.0
        self.until(lambda: self.session._checked > 0.0 or self.ended, "a look")


@contextmanager
def live(bench: Workbench, selected: Gimp.Layer, **settings: Any) -> Iterator[Live]:
    find_modules(bench)
    import live_guard

    guard = live_guard.Guard(selected.get_image())
    try:
        session = Live(guard, selected, **settings)
        try:
            yield session
        finally:
            if not session.session._is_over:
                session.session.cancel()
            session.turn()
    finally:
        guard.release()  # as the command does


def find_modules(bench: Workbench) -> None:
    """The plug-in's own can be imported from now on."""
    for folder in (bench.plug_in, bench.plug_in / "vendor"):
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))


def whole_run(bench: Workbench, image: Gimp.Image, hints: Gimp.Layer) -> bytes:
    """What Colorize with Hints makes of the same strokes, on a copy of the image."""
    copy = image.duplicate()
    copy.undo_disable()
    twins = dict(zip(image.get_layers(), copy.get_layers(), strict=True))
    for layer in copy.get_layers():
        if layer.get_name().startswith("Colorized"):
            copy.remove_layer(layer)
    photo = copy.get_layers()[-1]
    result = bench.colorize(copy, photo, hints=twins[hints])
    found = raw(result)
    copy.delete()
    return found


def check_live_colours_are_those_of_a_whole_run(bench: Workbench) -> Facts:
    """Strokes, more strokes, fewer; what the session left is one result like any other."""
    image, photo = bench.photo("coffee")
    before = raw(photo)
    with live(bench, photo) as user:
        user.settle()
        assert names(image) == ["Colour hints", "Colorized", photo.get_name()], names(image)
        assert image.get_selected_layers() == [user.hints]
        assert raw(user.colours) == whole_run(bench, image, user.hints)
        bar(image, user.hints, BLUE, 100, 262, 50, 10)
        user.settle()
        first = raw(user.colours)
        assert first == whole_run(bench, image, user.hints)
        paint(image, user.hints, RED, 300, 80, 40, 12)
        user.settle()
        second = raw(user.colours)
        assert second != first
        fill(user.hints, "R'G'B'A u8", bytes(4 * WIDE * HIGH))
        bar(image, user.hints, BLUE, 100, 262, 50, 10)
        user.settle()
        assert raw(user.colours) == first
        user.session.finish()
    layer = image.get_layers()[1]
    assert raw(layer) == first
    assert layer.get_name().startswith("Colorized – "), layer.get_name()
    assert layer.get_mode() == Gimp.LayerMode.LCH_COLOR
    assert pixels(photo, "Y' u8") == pixels_of_gray(before, photo)
    assert image.get_parasite("colorize-live") is None
    assert raw(bench.with_hints(image, image.get_layers()[0])) == first
    assert len(image.get_layers()) == 3  # and no copy "changed by hand"


def pixels_of_gray(before: bytes, photo: Gimp.Layer) -> bytes:
    return before if photo.is_gray() else before[:: len(before) // (photo.get_width() * photo.get_height())]


def check_live_colours_come_while_the_brush_is_down(bench: Workbench) -> Facts:
    """Dab after dab, without a pause that would end a draft; each is seen, and the last one counts."""
    image, photo = bench.photo("large")
    with live(bench, photo) as user:
        user.settle()
        for step in range(8):
            bar(image, user.hints, BLUE, 900, 1500 + 12 * step, 40 + 20 * step, 12)
            user.await_other(raw(user.colours))
        user.settle()
        assert raw(user.colours) == whole_run(bench, image, user.hints)


def check_live_cancel_leaves_the_image_as_it_was(bench: Workbench) -> Facts:
    """Byte for byte: with layers that were there, with strokes painted meanwhile, and with layers that were not."""
    image, photo = bench.photo("coffee")
    image.convert_rgb()
    before = state_of(image)[0], state_of(image)[3]
    with live(bench, photo) as user:
        user.settle()
        bar(image, user.hints, BLUE, 100, 262, 50, 10)
        user.settle()
        user.session.cancel()
    assert (state_of(image)[0], state_of(image)[3]) == before
    hints = bench.new_hints(image, photo)
    bar(image, hints, RED, 100, 262, 50, 10)
    hints.get_buffer()
    bench.with_hints(image, hints)
    image.select_rectangle(REPLACE, 20, 20, 300, 300)
    selected, before = raw(image.get_selection()), (state_of(image)[0], state_of(image)[3])
    with live(bench, photo) as user:
        user.settle()
        user.session.show_strokes(False)
        user.session.show_colours(False)
        bar_within(hints, BLUE, 80)
        user.settle()
        user.session.cancel()
    assert (state_of(image)[0], state_of(image)[3]) == before
    assert all(layer.get_visible() for layer in image.get_layers())
    assert raw(image.get_selection()) == selected


def check_live_cancel_puts_strokes_back_in_their_place(bench: Workbench) -> Facts:
    """Of a layer of strokes that was cropped, enlarged, moved or scaled meanwhile, too."""

    def crop(layer: Gimp.Layer) -> None:
        layer.resize(120, 60, -50, -160)

    def enlarge(layer: Gimp.Layer) -> None:
        layer.resize(900, 700, 100, 100)

    def move(layer: Gimp.Layer) -> None:
        layer.set_offsets(30, 20)

    def scale(layer: Gimp.Layer) -> None:
        layer.scale(200, 100, True)

    image, photo = bench.photo("coffee", **SMALL)
    image.convert_rgb()
    hints = bench.new_hints(image, photo)
    bar(image, hints, BLUE, 70, 190, 40, 8)

    def now() -> tuple:
        return raw(hints), hints.get_offsets()[1:], hints.get_width(), hints.get_height()

    before = now()
    for change in (crop, enlarge, move, scale):
        with live(bench, photo) as user:
            change(hints)
            changed = now()
            user.wait_for_check()
            user.settle()
            user.session.cancel()
        assert changed != before
        assert now() == before, change.__name__


def check_live_done_without_a_change_leaves_no_step(bench: Workbench) -> Facts:
    """The colours are up to date: nothing is sent, nothing is written, nothing can be undone."""
    image, photo = bench.photo("coffee")
    hints = bench.new_hints(image, photo)
    bar(image, hints, BLUE, 100, 262, 50, 10)
    layer = bench.with_hints(image, hints)
    with live(bench, photo) as user:
        user.settle()
        user.session.finish()
    first = raw(layer)
    image.clean_all()
    with live(bench, photo) as user:
        user.settle()
        assert not user.session._colours._replaced
        user.session.finish()
    assert raw(layer) == first
    assert not image.is_dirty()


def check_live_settings_act_at_once(bench: Workbench) -> Facts:
    from dataclasses import replace

    image, photo = bench.photo("coffee")
    with live(bench, photo) as user:
        user.settle()
        bar(image, user.hints, BLUE, 100, 262, 50, 10)
        user.settle()
        seen = {raw(user.colours)}
        changes = ({"vividness": 20.0}, {"saturation": 0.3}, {"alike": True}, {"reach": 1.0}, {"model": "chroma-free"})
        for change in changes:
            user.settings = replace(user.settings, **change)
            user.session.change(user.settings)
            user.settle()
            seen.add(raw(user.colours))
        assert len(seen) == 1 + len(changes)
        user.session.show_colours(False)
        assert not user.colours.get_visible()
        user.session.show_strokes(False)
        assert not user.hints.get_visible()
        user.wait_for_check()
        user.session.finish()
        assert user.colours.get_visible()
    layer = bench.with_hints(image, image.get_layers()[0])
    assert raw(layer) in seen


def check_live_colours_keep_to_the_selection(bench: Workbench) -> Facts:
    image, photo = bench.photo("coffee")
    layer = bench.colorize(image, photo)
    earlier = raw(layer)
    with live(bench, photo) as user:
        user.settle()
        image.select_rectangle(REPLACE, 0, 200, 600, 200)
        user.wait_for_check()
        bar_within(user.hints, BLUE, 262)
        bar_within(user.hints, RED, 80)
        user.settle()
        row = len(earlier) // HIGH
        limited = raw(user.colours)
        assert limited[: 200 * row] == earlier[: 200 * row]
        assert limited[200 * row :] != earlier[200 * row :]
        Gimp.Selection.none(image)
        user.wait_for_check()
        user.settle()
        everywhere = raw(user.colours)
        assert everywhere == whole_run(bench, image, user.hints)
        assert limited[200 * row :] == everywhere[200 * row :]


def bar_within(layer: Gimp.Layer, colour: str, top: int) -> None:
    """A bar of colour that leaves the selection alone, as a brush does."""
    content = bytearray(pixels(layer, "R'G'B'A u8"))
    row = bytes((int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16), 255)) * 50
    for y in range(top, top + 10):
        at = 4 * (y * layer.get_width() + 100)
        content[at : at + len(row)] = row
    fill(layer, "R'G'B'A u8", bytes(content))


def check_live_session_follows_the_photograph(bench: Workbench) -> Facts:
    """Retouching while the window is open: the colours are made anew from what it shows now."""
    image, photo = bench.photo("coffee")
    image.convert_rgb()
    with live(bench, photo) as user:
        user.settle()
        before = raw(user.colours)
        bar(image, photo, "#404040", 60, 40, 200, 120)
        user.session._changed = 0.0
        user.wait_for_check()
        user.settle()
        assert raw(user.colours) != before
        assert raw(user.colours) == whole_run(bench, image, user.hints)


def check_live_session_follows_the_layers_of_strokes(bench: Workbench) -> Facts:
    """A hint layer that is hidden, deleted, moved, or comes: what counts is what a run would count."""
    image, photo = bench.photo("coffee")
    first = bench.new_hints(image, photo)
    bar(image, first, BLUE, 100, 262, 50, 10)
    with live(bench, photo) as user:
        user.settle()
        one = raw(user.colours)
        second = bench.new_hints(image, photo)
        bar(image, second, RED, 300, 80, 40, 12)
        user.wait_for_check()
        user.settle()
        both = raw(user.colours)
        assert both != one
        second.set_visible(False)
        user.wait_for_check()
        user.settle()
        assert raw(user.colours) == one
        second.set_visible(True)
        first.set_offsets(40, 8)
        user.wait_for_check()
        user.settle()
        assert raw(user.colours) not in (one, both)
        image.remove_layer(second)
        image.remove_layer(first)
        user.wait_for_check()
        user.settle()
        assert raw(user.colours) != both
        assert not user.ended


def check_live_session_follows_a_mask_on_strokes(bench: Workbench) -> Facts:
    """A mask that comes, is painted on, is disabled, or goes."""
    image, photo = bench.photo("coffee", **SMALL)
    with live(bench, photo) as user:
        user.settle()
        bare = raw(user.colours)
        bar(image, user.hints, BLUE, 70, 190, 40, 8)
        user.settle()
        painted = raw(user.colours)
        mask = user.hints.create_mask(Gimp.AddMaskType.BLACK)

        def shows(colours: bytes) -> bool:
            user.wait_for_check()
            user.settle()
            return raw(user.colours) == colours

        user.hints.add_mask(mask)
        assert shows(bare)
        user.hints.set_apply_mask(False)
        assert shows(painted)
        user.hints.set_apply_mask(True)
        assert shows(bare)
        fill(mask, "Y u8", bytes([255]) * (SMALL["width"] * SMALL["height"]))
        assert shows(painted)
        user.hints.remove_mask(Gimp.MaskApplyMode.DISCARD)
        assert shows(painted)


def check_live_session_ends_with_a_sentence(bench: Workbench) -> Facts:
    """Whatever happens to what it works on, and never with an error."""

    def delete_colours(user: Live) -> None:
        user.image.remove_layer(user.colours)

    def delete_photograph(user: Live) -> None:
        user.image.remove_layer(user.image.get_layers()[-1])

    def scale(user: Live) -> None:
        user.image.scale(200, 133)

    def lock(user: Live) -> None:
        user.colours.set_lock_content(True)

    def convert(user: Live) -> None:
        user.image.convert_grayscale()

    def deepen(user: Live) -> None:
        user.image.convert_precision(Gimp.Precision.U16_NON_LINEAR)

    def paint_on_colours(user: Live) -> None:
        user.wait_for_check()
        bar(user.image, user.colours, RED, 20, 20, 100, 60)

    found = {}
    everything = (delete_colours, delete_photograph, scale, lock, convert, deepen, paint_on_colours)
    for happens in everything:
        image, photo = bench.photo("coffee", **SMALL)
        with live(bench, photo) as user:
            bar(image, user.hints, BLUE, 70, 190, 40, 8)
            user.settle()
            happens(user)
            user.session._checked = 0.0
            user.until(lambda: user.ended, f"the end after {happens.__name__}")  # noqa: B023
            after = [raw(layer) for layer in image.get_layers()]
            user.session.finish()
        assert [raw(layer) for layer in image.get_layers()] == after, happens.__name__
        assert "Live Colours ended" in user.ended[0], user.ended
        assert image.get_parasite("colorize-live") is None
        found[happens.__name__] = user.ended[0]
        image.delete()
    return found


def check_what_is_painted_on_the_colours_is_kept_before_and_after_a_session(bench: Workbench) -> Facts:
    image, photo = bench.photo("coffee", **SMALL)
    layer = bench.colorize(image, photo)
    bar(image, layer, RED, 20, 20, 100, 60)
    painted = raw(layer)
    with live(bench, photo) as user:
        user.settle()
        user.session.finish()
    (copy,) = [each for each in image.get_layers() if "changed by hand" in each.get_name()]
    assert raw(copy) == painted
    assert not copy.get_visible()
    with live(bench, photo) as user:
        bar(image, user.hints, BLUE, 70, 190, 40, 8)
        user.settle()
        user.wait_for_check()
        bar(image, layer, RED, 20, 20, 100, 60)
        user.session._checked = 0.0
        user.until(lambda: user.ended, "the end")
        user.session.finish()
    by_hand = raw(layer)
    bench.with_hints(image, image.get_layers()[0])
    assert by_hand in [raw(each) for each in image.get_layers() if "changed by hand" in each.get_name()]


def check_live_colours_are_known_again_where_gimp_ended_before_the_session(bench: Workbench) -> Facts:
    """A file that was saved while it was open: its colours are no work of the user's, and need not come again."""
    image, photo = bench.photo("coffee", **SMALL)
    file = Gio.File.new_for_path(str(bench.folder / "while-open.xcf"))
    with live(bench, photo) as user:
        import parasites

        bar(image, user.hints, BLUE, 70, 190, 40, 8)
        user.settle()
        user.until(lambda: parasites.read_result(user.colours).state, "the record")
        assert Gimp.file_save(Gimp.RunMode.NONINTERACTIVE, image, file, None)
        shown = raw(user.colours)
        user.session.cancel()
    again = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, file)
    layers_then = names(again)
    with live(bench, again.get_layers()[-1]) as user:
        user.settle()
        assert names(again) == layers_then
        assert raw(user.colours) == shown
        assert not user.session._colours._replaced
        user.session.finish()
    again.delete()


def check_live_image_may_be_closed(bench: Workbench) -> Facts:
    image, photo = bench.photo("coffee", **SMALL)
    with live(bench, photo) as user:
        user.settle()
        image.delete()
        user.until(lambda: user.ended, "the end")
        assert user.ended == [""]
        user.session.finish()


def check_live_session_is_one_for_an_image(bench: Workbench) -> Facts:
    """Another one that is asked for finds it; one that was killed is not there any more."""
    import threading

    image, photo = bench.photo("coffee", **SMALL)
    with live(bench, photo) as user:
        import json

        import live_guard

        user.settle()
        mark = json.loads(bytes(image.get_parasite("colorize-live").get_data()))
        image.attach_parasite(Gimp.Parasite.new("colorize-live", 0, json.dumps(mark | {"calls": 1}).encode()))
        user.session._checked = 0.0
        user.until(lambda: user.presented, "the window")
        answered = json.loads(bytes(image.get_parasite("colorize-live").get_data()))
        assert answered["answers"] == 1
        other, _ = bench.photo("coffee", **SMALL)
        assert not live_guard.answers(other)
        assert not live_guard.answers(image.duplicate())
    assert threading.active_count() < 20
    live_guard.Guard(image)
    ended = subprocess.Popen(["true"])
    ended.wait()
    mark = json.loads(bytes(image.get_parasite("colorize-live").get_data()))
    mark["process"] = ended.pid
    image.attach_parasite(Gimp.Parasite.new("colorize-live", 0, json.dumps(mark).encode()))
    assert not live_guard.answers(image)
    assert image.get_parasite("colorize-live") is None


def check_live_session_that_still_opens_is_there(bench: Workbench) -> Facts:
    """A user who does not see the window at once asks for it again: one opens, however long that takes."""
    find_modules(bench)
    import live_guard

    image, photo = bench.photo("coffee", **SMALL)
    patience, live_guard.ANSWER_SECONDS = live_guard.ANSWER_SECONDS, 0.2
    try:
        first = live_guard.claim(image)
        assert first.holds
        assert live_guard.answers(image)
        assert live_guard.claim(image) is None
        bench.refused("plug-in-colorize", image, [photo], says=["Live Colours is open"], status=EXECUTION_ERROR)
        assert first.holds
        assert first.called()
        first.release()
    finally:
        live_guard.ANSWER_SECONDS = patience
    one, other = live_guard.Guard(image), live_guard.Guard(image)  # that looked at the same moment
    assert (one.holds, other.holds) == (False, True)
    one.release()
    assert other.holds


def check_live_session_survives_the_services_death(bench: Workbench) -> Facts:
    image, photo = bench.photo("coffee")
    with live(bench, photo) as user:
        user.settle()
        bar(image, user.hints, BLUE, 100, 262, 50, 10)
        user.settle()
        before = raw(user.colours)
        bench.request("kill")
        bench.await_done("kill")
        paint(image, user.hints, RED, 300, 80, 40, 12)
        user.settle()
        assert raw(user.colours) != before
        assert raw(user.colours) == whole_run(bench, image, user.hints)
        assert any("service" in sentence for sentence in user.said), user.said
        user.session.finish()
    assert len(image.get_layers()) == 3


def check_live_colours_are_not_settled_without_a_service(bench: Workbench) -> Facts:
    """Done waits for the strokes that the service was asked about when it died."""
    image, photo = bench.photo("coffee", **SMALL)
    with live(bench, photo) as user:
        user.settle()
        bar(image, user.hints, BLUE, 70, 190, 40, 8)
        before = raw(user.colours)
        bench.request("kill")
        bench.await_done("kill")
        user.session.look_a_last_time()
        user.session.settle()
        user.until(lambda: not user.session._link.is_there, "the end of the connection")
        assert not user.session.settle()
        user.until(user.session.settle, "the colours")
        assert raw(user.colours) != before
        assert raw(user.colours) == whole_run(bench, image, user.hints)


def check_live_refuses_a_locked_layer_and_a_script(bench: Workbench) -> Facts:
    find_modules(bench)
    from refusal import Refusal

    image, photo = bench.photo("coffee", **SMALL)
    bench.refused("plug-in-colorize-live", image, [photo], says=["Colorize with Hints"])
    layer = bench.colorize(image, photo)
    layer.set_lock_content(True)
    before = state_of(image)
    try:
        with live(bench, photo):
            raise AssertionError("a locked layer was not refused")
    except Refusal as refusal:
        assert "locked" in str(refusal)
    assert state_of(image) == before
    assert image.get_parasite("colorize-live") is None


def check_live_colours_of_deep_images(bench: Workbench) -> Facts:
    """16 bits, and a layer that lies beside its image's corner and reaches beyond it."""
    image, photo = bench.photo("chelsea-16", **SMALL)
    image.convert_rgb()
    image.resize(400, 260, -30, -20)
    with live(bench, photo) as user:
        user.settle()
        bar(image, user.hints, BLUE, 100, 150, 60, 10)
        user.settle()
        live_pixels = raw(user.colours)
        user.session.finish()
    assert user.colours.get_offsets()[1:] == (-30, -20)
    assert raw(user.colours) == live_pixels
    assert raw(bench.with_hints(image, user.hints)) == live_pixels
