"""The list of models in the dialog; meanwhile the service loads one and looks at the photograph."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import service_report
from colorize_client import ColorizeError
from gi.repository import Gimp, GLib, Gtk, Pango
from progress_bar import STAGES, WAITING
from text import _
from version import CLIENT

if TYPE_CHECKING:
    from colorize_client import Client, Picture

WIDEST = 38  # characters of a name or a sentence in a line


class ModelList:
    """The installed models, with the licences of their weights, and a line on what the service does."""

    def __init__(self, config: Gimp.ProcedureConfig) -> None:
        self._config, self._default = config, ""
        self._picture: Picture | None = None
        self.combo = Gtk.ComboBoxText()
        narrow(self.combo, Pango.EllipsizeMode.END)
        self.combo.append("", _("Default model"))
        self.state = Gtk.Label(xalign=0.0, wrap=True, max_width_chars=WIDEST)
        self.state.get_style_context().add_class("dim-label")
        self._select()
        self.combo.connect("changed", self._choose)
        config.connect("notify::model", self._select)
        self._service = Preparation(self._show_models, self.state.set_text)

    def prepare(self, read: Callable[[], Picture]) -> bool:
        """Has the service look at this photograph, with the model that is chosen."""
        self._picture = read()
        self._service.ask(self._picture, self._config.get_property("model") or "")
        return GLib.SOURCE_REMOVE

    def _select(self, *_arguments: object) -> None:
        name = self._config.get_property("model") or ""
        row = "" if name == self._default else name  # the default is one entry, by whichever name
        if row and not self.combo.set_active_id(row):
            self.combo.append(row, row)
        self.combo.set_active_id(row)

    def _choose(self, combo: Gtk.ComboBoxText) -> None:
        name = combo.get_active_id() or ""
        self._config.set_property("model", name)
        if self._picture is not None:
            self._service.ask(self._picture, name)

    def _show_models(self, models: list[dict[str, Any]]) -> None:
        rows = {row[1]: row for row in self.combo.get_model()}
        for model in models:
            text = with_licence(model)
            if model.get("default"):
                self._default = model["name"]
                rows[""][0] = _("{model} (default)").format(model=text)
            elif model["name"] in rows:
                rows[model["name"]][0] = text
            else:
                self.combo.append(model["name"], text)
        if self._default in rows:
            self._select()
            self.combo.remove(list(rows).index(self._default))


class Preparation:
    """A thread beside the dialog that talks to the service; what it learns it hands to the dialog's own thread."""

    def __init__(self, show_models: Callable[[list[dict[str, Any]]], object], say: Callable[[str], object]) -> None:
        self._show_models, self._say = show_models, say
        self._wishes: queue.SimpleQueue[tuple[Picture, str]] = queue.SimpleQueue()
        say(_("Starting the colour service…"))
        threading.Thread(target=self._talk, daemon=True).start()

    def ask(self, picture: Picture, model: str) -> None:
        """Has the service get ready for this picture; a later wish replaces one that has not begun."""
        self._wishes.put((picture, model))

    def _talk(self) -> None:
        self._with_service(lambda service: later(self._show_models, service.models()))
        while True:
            picture, model = self._wish()
            self._with_service(partial(self._prepare, picture=picture, model=model))

    def _with_service(self, question: Callable[[Client], object]) -> None:
        """Asks over a connection of its own: between questions nothing is held."""
        from colorize_client import connect

        try:
            with connect(client=CLIENT) as service:
                question(service)
        except ColorizeError as error:
            later(self._say, _(error.sentence))

    def _wish(self) -> tuple[Picture, str]:
        wish = self._wishes.get()
        while not self._wishes.empty():
            wish = self._wishes.get()
        return wish

    def _prepare(self, service: Client, *, picture: Picture, model: str) -> None:
        def show(stage: str, _fraction: float) -> None:
            later(self._say, _(STAGES.get(stage, (WAITING,))[0]))

        found = service.prepare(picture, model, on_progress=show)
        text = _("Ready: {model}, on {device}") if found else _("Ready")  # an older service does not get ready ahead
        title, device = service_report.title(found.get("model", {})), service_report.device(found)
        later(self._say, text.format(model=title, device=device))


def narrow(combo: Gtk.ComboBoxText, cut: Pango.EllipsizeMode) -> None:
    """Texts are cut there rather than widening the dialog."""
    for cell in combo.get_cells():
        cell.set_property("ellipsize", cut)
        cell.set_property("width-chars", WIDEST)
        cell.set_property("max-width-chars", WIDEST)


def later(function: Callable[..., object], *arguments: object) -> None:
    """Calls the function in the dialog's own thread."""

    def call() -> bool:
        function(*arguments)
        return GLib.SOURCE_REMOVE

    GLib.idle_add(call)


def with_licence(model: dict[str, Any]) -> str:
    return " – ".join(filter(None, [service_report.title(model), model.get("licence")]))
