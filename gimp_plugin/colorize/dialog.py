"""The dialog of Colorize Photo: GIMP's own procedure dialog, with what the user can choose of this image above it."""

from collections.abc import Callable, Sequence
from dataclasses import fields

import layers
import parasites
from choice import Choice
from gi.repository import Gdk, Gimp, GimpUi, GLib, Gtk, Pango
from job import picture_of
from layers import StrokeKind
from model_list import WIDEST, ModelList, narrow
from records import LIMITS, Settings
from subject import Subject
from text import DOMAIN, _, shortened

NO_STROKES, ALL_STROKES = "none", "all"  # the rows beside those of layers, which have their numbers
SPACING = 6
DIGITS = {"vividness": 0}
STEPS = {"vividness": (1.0, 10.0)}  # of the arrows and of a click beside the handle
DEFAULT_DIGITS, DEFAULT_STEPS = 2, (0.05, 0.25)


def ask(procedure: Gimp.Procedure, config: Gimp.ProcedureConfig, found: Choice) -> bool:
    """Lets the user choose; `config` and `found` then hold the choice. False where the user cancelled."""
    GimpUi.init(DOMAIN)
    dialog = GimpUi.ProcedureDialog.new(procedure, config, _("Colorize Photo"))
    dialog.set_ok_label(_("Coloriz_e"))
    scales = [each.name for each in fields(Settings) if each.type is float]
    widgets: list[GimpUi.ScaleEntry | GimpUi.LabelStringWidget] = [_scale(dialog, name) for name in scales]
    widgets.append(dialog.get_widget("output", Gtk.ComboBox.__gtype__))  # GIMP 3.2 would make buttons of it
    flags = [each.name for each in fields(Settings) if each.type is bool]
    dialog.fill([*scales, *flags, "output"])
    models = ModelList(config)
    own_rows = _own_rows(config, found, models, [widget.get_label() for widget in widgets])
    content = dialog.get_content_area()
    content.pack_start(own_rows, False, False, 0)
    content.reorder_child(own_rows, 0)
    copy_button = _copy_button(config)
    content.pack_start(copy_button, False, False, 0)
    for widget in (own_rows, copy_button):
        widget.show_all()
    GLib.idle_add(models.prepare, lambda: picture_of(found.subject))  # once the dialog is seen
    agreed = dialog.run()
    dialog.destroy()
    return agreed


def _scale(dialog: GimpUi.ProcedureDialog, name: str) -> GimpUi.ScaleEntry:
    entry = dialog.get_scale_entry(name, 1.0)
    entry.set_bounds(*LIMITS[name], False)
    entry.set_digits(DIGITS.get(name, DEFAULT_DIGITS))
    entry.set_increments(*STEPS.get(name, DEFAULT_STEPS))
    return entry


def _own_rows(
    config: Gimp.ProcedureConfig, found: Choice, models: ModelList, labels: Sequence[Gtk.Widget]
) -> Gtk.Widget:
    """The rows above GIMP's own ones; their labels are as wide as `labels`."""
    grid = Gtk.Grid(column_spacing=SPACING, row_spacing=SPACING, margin_top=SPACING)
    column = Gtk.SizeGroup(mode=Gtk.SizeGroupMode.HORIZONTAL)
    for label in labels:
        column.add_widget(label)
    rows: list[tuple[str, Gtk.Widget]] = [(_("Photogra_ph"), _subjects(config, found, models))]
    rows += [("", widget) for widget in _offers(found)]
    rows.append(
        (_("H_int layer"), _layer_list(config, found, layers.HINTS, _("No hints"), _("All {count} hint layers")))
    )
    nothing, all_kept = _("Nothing is kept"), _("All {count} keep layers")
    rows.append((_("_Keep layer"), _layer_list(config, found, layers.KEEP, nothing, all_kept)))
    rows += [(_("_Model"), models.combo), ("", models.state)]
    for number, (text, widget) in enumerate(rows):
        _add_row(grid, column, number, text, widget)
    return grid


def _add_row(grid: Gtk.Grid, column: Gtk.SizeGroup, row: int, text: str, widget: Gtk.Widget) -> None:
    widget.set_hexpand(True)
    grid.attach(widget, 1, row, 1, 1)
    if text:
        label = Gtk.Label(label=text, use_underline=True, xalign=0.0, mnemonic_widget=widget)
        column.add_widget(label)
        grid.attach(label, 0, row, 1, 1)


def _subjects(config: Gimp.ProcedureConfig, found: Choice, models: ModelList) -> Gtk.Widget:
    """What is coloured: a list where there is a choice, else its name."""
    if len(found.subjects) == 1:
        return _line(_about(found.subject))
    rows = [(str(number), _about(each)) for number, each in enumerate(found.subjects)]

    def choose(row: str) -> None:
        found.subject = found.subjects[int(row)]
        config.set_property("source", "visible" if found.subject.merged else "layer")
        models.prepare(lambda: picture_of(found.subject))

    return combo_of(rows, str(found.subjects.index(found.subject)), choose)


def _about(subject: Subject) -> str:
    photo = subject.layer
    name, size = photo.get_name(), f"{photo.get_width()} × {photo.get_height()}"
    if subject.merged:
        return _("{layer} and what lies over it, {size}").format(layer=name, size=size)
    return f"{name}, {size}"


def _offers(found: Choice) -> list[Gtk.Widget]:
    """What the user is told of this image, and can agree to."""
    widgets: list[Gtk.Widget] = []
    if found.subject.layer.get_image().get_base_type() == Gimp.ImageBaseType.GRAY:
        widgets.append(_remark(_("The grayscale image becomes RGB.")))
    if found.unmarked is not None:
        found.marks = True
        text = _("Use what is painted on the ordinary layer “{layer}” as hints")
        widgets.append(_check(text.format(layer=shortened(found.unmarked.get_name())), found, "marks"))
    if found.in_colour:
        widgets.append(_remark(_("The photograph is in colour; the new colours come from its lightness alone.")))
        widgets.append(_check(_("Take its own colours as hints"), found, "takes_colours"))
    if found.subject.layer.is_text_layer():
        widgets.append(_remark(_("This is a text, not a photograph.")))
    return widgets


def _check(text: str, found: Choice, name: str) -> Gtk.Widget:
    button = Gtk.CheckButton(label=text, active=getattr(found, name))
    button.connect("toggled", lambda *_: setattr(found, name, button.get_active()))
    return button


def _line(text: str) -> Gtk.Widget:
    """A line that is cut rather than widening the dialog; the whole of it is its tooltip."""
    label = Gtk.Label(label=text, xalign=0.0, ellipsize=Pango.EllipsizeMode.MIDDLE, max_width_chars=WIDEST)
    label.set_tooltip_text(text)
    return label


def _remark(text: str) -> Gtk.Widget:
    """A sentence in as many lines as it needs, paler than what can be chosen."""
    label = Gtk.Label(label=text, xalign=0.0, wrap=True, max_width_chars=WIDEST)
    label.get_style_context().add_class("dim-label")
    return label


def combo_of(rows: Sequence[tuple[str, str]], active: str, choose: Callable[[str], None]) -> Gtk.ComboBoxText:
    """A list of (id, text), whose texts are cut rather than widening the dialog."""
    combo = Gtk.ComboBoxText()
    narrow(combo, Pango.EllipsizeMode.MIDDLE)
    for row, text in rows:
        combo.append(row, text)
    combo.set_active_id(active)
    combo.connect("changed", lambda *_: choose(combo.get_active_id() or active))
    return combo


def _layer_list(
    config: Gimp.ProcedureConfig, found: Choice, kind: StrokeKind, none: str, several: str
) -> Gtk.ComboBoxText:
    """The image's transparent layers for one kind of strokes, and a row for none, which GIMP's own choosers lack."""
    photo, counted = found.subject.layer, found.strokes[kind]
    everything = [
        layer
        for layer in layers.all_layers(photo.get_image())
        if layer != photo and layer.has_alpha() and not parasites.carries_result(layer)
    ]
    meant = {NO_STROKES: [], **{str(layer.get_id()): [layer] for layer in everything}}
    rows = [(NO_STROKES, none), *((str(layer.get_id()), layer.get_name()) for layer in everything)]
    active = str(counted[0].get_id()) if counted else NO_STROKES
    if len(counted) > 1:
        rows.insert(1, (ALL_STROKES, several.format(count=len(counted))))
        meant[ALL_STROKES], active = list(counted), ALL_STROKES

    def choose(row: str) -> None:
        found.strokes[kind] = list(meant[row])
        config.set_property(f"find-{kind.field}", row != NO_STROKES)

    return combo_of(rows, active, choose)


def _copy_button(config: Gimp.ProcedureConfig) -> Gtk.Widget:
    """Puts the settings on the clipboard as a command, for a folder of photographs."""
    from colorize_client.command import command_line

    button = Gtk.Button(label=_("Cop_y as Command"), use_underline=True, halign=Gtk.Align.START)
    button.set_tooltip_text(_("A command for the terminal that colours other photographs with these settings"))

    def copy(*_arguments: object) -> None:
        settings = Settings.from_config(config.get_property)
        clipboard = Gtk.Clipboard.get(Gdk.SELECTION_CLIPBOARD)
        clipboard.set_text(command_line(settings.options), -1)
        clipboard.store()  # the text must outlive the plug-in

    button.connect("clicked", copy)
    return button
