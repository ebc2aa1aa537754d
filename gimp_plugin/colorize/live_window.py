"""The small window beside the canvas while colours follow the brush."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from choice import Choice
from dialog import DEFAULT_DIGITS, DEFAULT_STEPS, DIGITS, SPACING, STEPS
from gi.repository import Gdk, GimpUi, GLib, Gtk, Pango
from live_guard import Guard
from live_session import LiveColours
from model_list import narrow, with_licence
from records import LIMITS, Settings
from text import DOMAIN, _

ASIDE = 40  # pixels from the screen's corner
WIDEST = 36  # characters of a sentence in a line
SETTLE_MS, PATIENCE = 40, 250  # how often, and how many times it is asked, whether all colours have come


class LiveWindow:
    """Shows a session until the user ends it, or it ends by itself."""

    def __init__(self, found: Choice, settings: Settings, guard: Guard) -> None:
        GimpUi.init(DOMAIN)
        self._settings = settings
        self._sentence, self._cancelled, self._looks_left = "", False, PATIENCE
        self._state = Gtk.Label(xalign=0.0, wrap=True, width_chars=WIDEST, max_width_chars=WIDEST)
        self._state.get_style_context().add_class("dim-label")
        self._models = Gtk.ComboBoxText()
        title = _("Live Colours") + f" – {found.subject.layer.get_image().get_name()}"
        self._window = GimpUi.Dialog(title=title, role=DOMAIN)
        self._window.set_focus_on_map(False)  # the next stroke, and an Undo after it, are GIMP's
        self._session = LiveColours(
            found,
            settings,
            guard,
            say=self._state.set_text,
            show_models=self._show_models,
            present=self._window.present,
            end=self._ended,
        )
        self._fill()

    def run(self) -> str:
        """Returns a sentence for the user where the session ended by itself, else "". Raises what ended it."""
        self._window.show_all()
        self._move_aside()
        self._session.start()
        Gtk.main()
        self._window.destroy()
        if self._session.failure is not None:
            self._session.cancel()
            raise self._session.failure
        if self._cancelled:
            self._session.cancel()
        else:
            self._session.finish()
        return self._sentence

    def _move_aside(self) -> None:
        """To the upper right of the screen, where it hides little of the photograph; Wayland places it by itself."""
        display = Gdk.Display.get_default()
        if display is None:
            return
        area = display.get_monitor_at_window(self._window.get_window()).get_workarea()
        width, _height = self._window.get_size()
        self._window.move(area.x + area.width - width - ASIDE, area.y + 2 * ASIDE)

    def _fill(self) -> None:
        content = self._window.get_content_area()
        grid = Gtk.Grid(column_spacing=SPACING, row_spacing=SPACING, margin=2 * SPACING)
        content.pack_start(grid, True, True, 0)
        narrow(self._models, Pango.EllipsizeMode.END)
        self._models.append(self._settings.model, self._settings.model or _("Default model"))
        self._models.set_active(0)
        self._models.connect("changed", self._choose_model)
        rows: list[tuple[str, Gtk.Widget]] = [(_("_Model"), self._models)]
        for name, label in (("vividness", _("_Vividness")), ("saturation", _("Saturatio_n")), ("reach", _("Re_gion"))):
            rows.append((label, self._scale(name)))
        for number, (text, widget) in enumerate(rows):
            widget.set_hexpand(True)
            grid.attach(Gtk.Label(label=text, use_underline=True, xalign=0.0, mnemonic_widget=widget), 0, number, 1, 1)
            grid.attach(widget, 1, number, 1, 1)
        checks = (
            (_("Everything _like it"), self._settings.alike, lambda on: self._change(alike=on)),
            (_("Show the c_olours"), True, lambda on: self._session.show_colours(on)),
            (_("Show the _strokes"), True, lambda on: self._session.show_strokes(on)),
        )
        for number, check in enumerate(checks, len(rows)):
            grid.attach(_check(*check), 1, number, 1, 1)
        grid.attach(self._state, 0, len(rows) + len(checks), 2, 1)
        self._window.add_button(_("_Cancel"), Gtk.ResponseType.CANCEL)
        self._window.add_button(_("_Done"), Gtk.ResponseType.OK)
        self._window.connect("response", self._respond)
        self._window.set_keep_above(True)

    def _scale(self, name: str) -> Gtk.Widget:
        low, high = LIMITS[name]
        step, page = STEPS.get(name, DEFAULT_STEPS)
        scale = Gtk.Scale.new_with_range(Gtk.Orientation.HORIZONTAL, low, high, step)
        scale.set_digits(DIGITS.get(name, DEFAULT_DIGITS))
        scale.set_increments(step, page)
        scale.set_value_pos(Gtk.PositionType.RIGHT)
        scale.set_value(getattr(self._settings, name))
        scale.connect("value-changed", lambda *_: self._change(**{name: scale.get_value()}))
        return scale

    def _change(self, **values: Any) -> None:
        self._settings = replace(self._settings, **values)
        self._session.change(self._settings)

    def _choose_model(self, combo: Gtk.ComboBoxText) -> None:
        name = combo.get_active_id()
        if name is not None and name != self._settings.model:
            self._change(model=name)

    def _show_models(self, models: list[dict[str, Any]]) -> None:
        """The installed models; the default is one entry, by whichever name."""
        default = next((model["name"] for model in models if model.get("default")), "")
        chosen = "" if self._settings.model == default else self._settings.model
        self._models.handler_block_by_func(self._choose_model)
        self._models.remove_all()
        for model in models:
            is_default = model["name"] == default
            text = with_licence(model)
            self._models.append(
                "" if is_default else model["name"], _("{model} (default)").format(model=text) if is_default else text
            )
        if not self._models.set_active_id(chosen):
            self._models.append(chosen, chosen)
            self._models.set_active_id(chosen)
        self._models.handler_unblock_by_func(self._choose_model)

    def _respond(self, _dialog: Gtk.Dialog, response: int) -> None:
        """Done, and closing the window, which loses nothing, wait until all colours have come; Cancel does not."""
        if response == Gtk.ResponseType.CANCEL:
            self._cancelled = True
            Gtk.main_quit()
            return
        self._window.set_sensitive(False)
        self._session.look_a_last_time()
        GLib.timeout_add(SETTLE_MS, self._quit_when_settled)

    def _quit_when_settled(self) -> bool:
        self._looks_left -= 1
        settled = self._session.settle()
        if not settled and self._looks_left > 0:
            return GLib.SOURCE_CONTINUE
        if not settled:
            self._sentence = _(
                "The colours of the last strokes have not come yet, so the layer shows those before them; open Live"
                " Colours again, or run Colorize with Hints."
            )
        Gtk.main_quit()
        return GLib.SOURCE_REMOVE

    def _ended(self, sentence: str) -> None:
        self._sentence = sentence
        Gtk.main_quit()


def _check(text: str, active: bool, change: Callable[[bool], object]) -> Gtk.Widget:
    button = Gtk.CheckButton(label=text, active=active, use_underline=True)
    button.connect("toggled", lambda *_: change(button.get_active()))
    return button


def show(found: Choice, settings: Settings, guard: Guard) -> str:
    """Runs a session on a photograph; returns a sentence for the user, or "". Raises as `LiveColours` does."""
    return LiveWindow(found, settings, guard).run()
