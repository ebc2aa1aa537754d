"""The dialog of Colorize Photo: GIMP's own procedure dialog, with lists of layers of strokes and of models."""

import threading
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import layers
import parasites
from colorize_client import ColorizeError
from gi.repository import Gimp, GimpUi, GLib, Gtk
from records import Settings
from text import DOMAIN, _
from version import CLIENT

NO_STROKES = "none"  # the row beside those of layers, which have their numbers
SPACING = 6


def ask(procedure: Gimp.Procedure, config: Gimp.ProcedureConfig, image: Gimp.Image, photo: Gimp.Layer) -> bool:
    """Lets the user choose; `config` then holds the choice. False where the user cancelled."""
    GimpUi.init(DOMAIN)
    dialog = GimpUi.ProcedureDialog.new(procedure, config, _("Colorize Photo"))
    dialog.set_ok_label(_("Coloriz_e"))
    widgets: list[GimpUi.ScaleEntry | GimpUi.LabelStringWidget]
    scales = [each.name for each in fields(Settings) if each.type is float]
    widgets = [dialog.get_scale_entry(name, 1.0) for name in scales]
    widgets.append(dialog.get_widget("output", Gtk.ComboBox.__gtype__))  # GIMP 3.2 would make buttons of it
    flags = [each.name for each in fields(Settings) if each.type is bool]
    dialog.fill([*scales, *flags, "output"])
    own_rows = _own_rows(config, image, photo, [widget.get_label() for widget in widgets])
    content = dialog.get_content_area()
    content.pack_start(own_rows, False, False, 0)
    content.reorder_child(own_rows, 0)
    own_rows.show_all()
    agreed = dialog.run()
    dialog.destroy()
    return agreed


def _own_rows(
    config: Gimp.ProcedureConfig, image: Gimp.Image, photo: Gimp.Layer, labels: list[Gtk.Widget]
) -> Gtk.Widget:
    """The rows above GIMP's own ones; their labels are as wide as `labels`."""
    grid = Gtk.Grid(column_spacing=SPACING, row_spacing=SPACING, margin_top=SPACING)
    column = Gtk.SizeGroup(mode=Gtk.SizeGroupMode.HORIZONTAL)
    for label in labels:
        column.add_widget(label)
    _add_row(grid, column, 0, _("Photograph"), Gtk.Label(label=_about(image, photo), xalign=0.0))
    _add_row(grid, column, 1, _("H_int layer"), _layer_list(config, image, photo, "hints", _("No hints")))
    _add_row(grid, column, 2, _("_Keep layer"), _layer_list(config, image, photo, "kept", _("Nothing is kept")))
    models = ModelList(config)
    _add_row(grid, column, 3, _("_Model"), models.combo)
    grid.attach(models.state, 1, 4, 1, 1)
    return grid


def _about(image: Gimp.Image, photo: Gimp.Layer) -> str:
    size = f"{photo.get_width()} × {photo.get_height()}"
    if image.get_base_type() == Gimp.ImageBaseType.GRAY:
        return _("{layer}, {size}; the grayscale image becomes RGB").format(layer=photo.get_name(), size=size)
    return f"{photo.get_name()}, {size}"


def _add_row(grid: Gtk.Grid, column: Gtk.SizeGroup, row: int, text: str, widget: Gtk.Widget) -> None:
    label = Gtk.Label(label=text, use_underline=True, xalign=0.0, mnemonic_widget=widget)
    column.add_widget(label)
    widget.set_hexpand(True)
    grid.attach(label, 0, row, 1, 1)
    grid.attach(widget, 1, row, 1, 1)


def _layer_list(config: Gimp.ProcedureConfig, image: Gimp.Image, photo: Gimp.Layer, name: str, none: str) -> Gtk.Widget:
    """The image's transparent layers for the argument `name`, and a row for none, which GIMP's own choosers lack."""
    combo = Gtk.ComboBoxText()
    combo.append(NO_STROKES, none)
    for layer in layers.all_layers(image):
        if layer != photo and layer.has_alpha() and not parasites.carries_result(layer):
            combo.append(str(layer.get_id()), layer.get_name())
    strokes = config.get_property(name)
    combo.set_active_id(str(strokes.get_id()) if strokes else NO_STROKES)

    def choose(_combo: Gtk.ComboBoxText) -> None:
        chosen = combo.get_active_id() or NO_STROKES
        config.set_property(name, None if chosen == NO_STROKES else Gimp.Layer.get_by_id(int(chosen)))
        config.set_property(f"find-{name}", chosen != NO_STROKES)

    combo.connect("changed", choose)
    return combo


class ModelList:
    """The installed models, with the licences of their weights. The service is asked for them, and started, while the
    user looks at the dialog."""

    def __init__(self, config: Gimp.ProcedureConfig) -> None:
        self._config = config
        self.combo = Gtk.ComboBoxText()
        self.combo.append("", _("Default model"))
        self.state = Gtk.Label(label=_("Starting the colour service…"), xalign=0.0, wrap=True, max_width_chars=50)
        self.state.get_style_context().add_class("dim-label")
        self._select()
        self.combo.connect("changed", self._choose)
        config.connect("notify::model", self._select)
        threading.Thread(target=_ask_service, args=(self._show,), daemon=True).start()

    def _select(self, *_arguments: object) -> None:
        name = self._config.get_property("model")
        if name and not self.combo.set_active_id(name):
            self.combo.append(name, name)
        self.combo.set_active_id(name)

    def _choose(self, combo: Gtk.ComboBoxText) -> None:
        self._config.set_property("model", combo.get_active_id() or "")

    def _show(self, models: list[dict[str, Any]], state: str) -> bool:
        rows = {row[1]: row for row in self.combo.get_model()}
        for model in models:
            text = _with_licence(model)
            if model.get("default"):
                rows[""][0] = _("Default: {model}").format(model=text)
            if model["name"] in rows:
                rows[model["name"]][0] = text
            else:
                self.combo.append(model["name"], text)
        self.state.set_text(state)
        return GLib.SOURCE_REMOVE


def _with_licence(model: dict[str, Any]) -> str:
    return " – ".join(filter(None, [_title(model), model.get("licence")]))


def _title(model: dict[str, Any]) -> str:
    return model.get("title") or model["name"]


def _ask_service(show: Callable[[list[dict[str, Any]], str], bool]) -> None:
    """Runs beside the dialog, and hands what it learnt to the dialog's own thread."""
    from colorize_client import connect

    try:
        with connect(client=CLIENT) as service:
            models, status = service.models(), service.status()
        default = next((model for model in models if model.get("default")), None)
        title = _title(default) if default else "–"
        state = _("Ready: {model}, on {device}").format(model=title, device=status.get("device"))
    except ColorizeError as error:
        models, state = [], _(error.sentence)
    GLib.idle_add(show, models, state)
