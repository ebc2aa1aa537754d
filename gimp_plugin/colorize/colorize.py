#!/usr/bin/env python3
"""Colour for black-and-white photographs, steered by painted hints: the entries in GIMP's menu Filters > Colorize.

The plug-in reads pixels and shows dialogs; a service on the same computer, found and started by `colorize_client`, does
the rest. `vendor` holds what the client needs of pyzmq and msgpack, because GIMP's Python may have neither.
"""

import sys
import traceback
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import gi

gi.require_version("Gimp", "3.0")
gi.require_version("GimpUi", "3.0")
gi.require_version("Babl", "0.1")
gi.require_version("Gegl", "0.4")
gi.require_version("Gtk", "3.0")
gi.require_version("Gdk", "3.0")
from gi.repository import Gimp, GLib, GObject  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parent / "vendor"))

import job  # noqa: E402
import layers  # noqa: E402
import new_hints  # noqa: E402
from colorize_client import ColorizeError, Options  # noqa: E402
from records import Settings  # noqa: E402
from refusal import Refusal, wrong_call  # noqa: E402
from text import DOMAIN, LOCALE_FOLDER, _  # noqa: E402

MENU = "<Image>/Filters/Colorize"
COLORIZE, WITH_HINTS = "plug-in-colorize", "plug-in-colorize-hints"
NEW_HINTS, NEW_KEEP = "plug-in-colorize-new-hints", "plug-in-colorize-new-keep"
SERVICE = "plug-in-colorize-service"
READWRITE = GObject.ParamFlags.READWRITE
SUCCESS = Gimp.PDBStatusType.SUCCESS

Config = Gimp.ProcedureConfig
Drawables = list[Gimp.Drawable]
Run = Callable[..., Gimp.ValueArray]


class Colorize(Gimp.PlugIn):
    """Registers the procedures."""

    def do_set_i18n(self, name: str) -> tuple[bool, str, str]:
        return True, DOMAIN, LOCALE_FOLDER

    def do_query_procedures(self) -> list[str]:
        return [COLORIZE, WITH_HINTS, NEW_HINTS, NEW_KEEP, SERVICE]

    def do_create_procedure(self, name: str) -> Gimp.Procedure:
        makers = {COLORIZE: _colorize, WITH_HINTS: _with_hints, NEW_HINTS: _new_hints, NEW_KEEP: _new_keep}
        procedure = {**makers, SERVICE: _service}[name](self)
        procedure.set_attribution("The gimp-colorize authors", "GPL-3.0-or-later", "2026")
        procedure.add_menu_path(MENU)
        return procedure


def _procedure(plug_in: Colorize, name: str, run: Run) -> Gimp.ImageProcedure:
    procedure = Gimp.ImageProcedure.new(plug_in, name, Gimp.PDBProcType.PLUGIN, _guarded(run), None)
    procedure.set_image_types("*")  # indexed images too: a reason is better than an entry that is grayed out
    procedure.set_sensitivity_mask(Gimp.ProcedureSensitivityMask.DRAWABLE)
    return procedure


def _colorize(plug_in: Colorize) -> Gimp.ImageProcedure:
    procedure = _procedure(plug_in, COLORIZE, run_colorize)
    procedure.set_menu_label(_("Colorize _Photo (AI)…"))
    procedure.set_documentation(
        _("Colour a black-and-white photograph"),
        _(
            "Lays colours over the selected layer, whose pixels stay as they are. Colours painted on the hint layer"
            " are obeyed and spread over what they lie on; what is painted on the keep layer keeps the colours that it"
            " has without hints. Run again, it updates the layer that it made. A selection limits the run: outside it,"
            " earlier colours stay as they are. Where there are none yet, strokes that touch the selection colour"
            " nothing outside it, and without a hint layer only the selection is coloured."
        ),
        None,
    )
    _add_settings(procedure)
    _returns_layer(procedure)
    return procedure


def _add_settings(procedure: Gimp.ImageProcedure) -> None:
    default = Settings()
    add_layer = procedure.add_layer_argument
    add_layer("hints", _("_Hint layer"), _("Layer with the colours to obey"), True, READWRITE)
    kept = _("Layer with strokes of any colour on what hints leave as it is")
    add_layer("kept", _("_Keep layer"), kept, True, READWRITE)
    procedure.add_string_argument("model", _("_Model"), _("Its name; empty for the default"), default.model, READWRITE)
    vividness = _("0 keeps to safe, muted colours; 100 dares the liveliest ones")
    add_double = procedure.add_double_argument
    add_double("vividness", _("_Vividness"), vividness, 0.0, 100.0, default.vividness, READWRITE)
    saturation = _("Factor on the colours of the model: 0 is gray; hints keep theirs")
    add_double("saturation", _("Sa_turation"), saturation, *Options.limits("saturation"), default.saturation, READWRITE)
    reach = _("How much around a stroke takes its colour: 0 little, 0.5 what seems to belong to it, 1 much")
    add_double("reach", _("Re_gion"), reach, *Options.limits("reach"), default.reach, READWRITE)
    alike = _("A stroke also colours what is like the thing it lies on: the other sleeve, other grass")
    procedure.add_boolean_argument("alike", _("Everythin_g like it"), alike, default.alike, READWRITE)
    procedure.add_choice_argument("output", _("Res_ult"), _("Where the colours go"), _outputs(), "layer", READWRITE)
    procedure.add_boolean_aux_argument("find-hints", _("Use the hint layer"), "", True, READWRITE)
    procedure.add_boolean_aux_argument("find-kept", _("Use the keep layer"), "", True, READWRITE)


def _outputs() -> Gimp.Choice:
    choice = Gimp.Choice.new()
    choice.add("layer", 0, _("Colour layer over the photograph"), _("A layer in LCh Color mode; lightness stays exact"))
    choice.add("normal", 1, _("Full-colour layer"), _("A layer that needs nothing below it"))
    choice.add("image", 2, _("New image"), _("A copy of the image with a colour layer; this one stays as it is"))
    return choice


def _layer_maker(plug_in: Colorize, name: str, run: Run, label: str, blurb: str, text: str) -> Gimp.ImageProcedure:
    """A procedure without settings that returns a layer."""
    procedure = _procedure(plug_in, name, run)
    procedure.set_menu_label(label)
    procedure.set_documentation(blurb, text, None)
    _returns_layer(procedure)
    return procedure


def _with_hints(plug_in: Colorize) -> Gimp.ImageProcedure:
    blurb = _("Update the colours from the hint layer, without a dialog")
    text = _(
        "Finds the hint layer, the keep layer and the colour layer of the photograph by itself and brings the"
        " colours up to date, with the settings of the last time. Made for a keyboard shortcut."
    )
    return _layer_maker(plug_in, WITH_HINTS, run_with_hints, _("Colorize _with Hints"), blurb, text)


def _new_hints(plug_in: Colorize) -> Gimp.ImageProcedure:
    blurb = _("Add a transparent layer to paint colour hints on")
    text = _("A few strokes are enough: each says which colour the thing below it has. Gray strokes keep things gray.")
    return _layer_maker(plug_in, NEW_HINTS, run_new_hints, _("New _Hint Layer"), blurb, text)


def _new_keep(plug_in: Colorize) -> Gimp.ImageProcedure:
    blurb = _("Add a transparent layer to mark what hints leave as it is")
    text = _(
        "A few strokes are enough, in any colour: the things that they lie on keep the colours that they have"
        " without hints."
    )
    return _layer_maker(plug_in, NEW_KEEP, run_new_keep, _("New _Keep Layer"), blurb, text)


def _service(plug_in: Colorize) -> Gimp.ImageProcedure:
    procedure = _procedure(plug_in, SERVICE, run_service)
    procedure.set_sensitivity_mask(Gimp.ProcedureSensitivityMask.ALWAYS)
    procedure.set_menu_label(_("_Service…"))
    procedure.set_documentation(
        _("Look after the colour service"),
        _("State, device, memory, models and log of the service that makes the colours; restarts it on request."),
        None,
    )
    procedure.add_string_return_value("report", "Report", "What the service says about itself", "", READWRITE)
    return procedure


def _returns_layer(procedure: Gimp.ImageProcedure) -> None:
    procedure.add_layer_return_value("layer", "Layer", "The layer that was made or updated", True, READWRITE)


def _guarded(run: Run) -> Run:
    """Turns every failure into an error that GIMP shows: an exception that escapes would be lost on the console."""

    def guarded(procedure: Gimp.Procedure, run_mode: Gimp.RunMode, *arguments: object) -> Gimp.ValueArray:
        try:
            return run(procedure, run_mode, *arguments)
        except Refusal as refusal:
            return _failed(procedure, refusal.status, str(refusal))
        except Exception as error:  # noqa: BLE001 - the edge of the plug-in
            return _failed(procedure, Gimp.PDBStatusType.EXECUTION_ERROR, _sentence(error))

    return guarded


def _sentence(error: Exception) -> str:
    """A failure in words that the user can act on."""
    if isinstance(error, ImportError):
        return _("A part of the plug-in is missing ({name}); run install.sh again.").format(name=error.name)
    if isinstance(error, ColorizeError):
        print(error.report(), file=sys.stderr)
        return _(error.sentence)
    traceback.print_exception(error)
    return _("The plug-in met an internal error ({error}); the image is as it was. Please report it.").format(
        error=f"{type(error).__name__}: {error}"
    )


def _failed(procedure: Gimp.Procedure, status: Gimp.PDBStatusType, sentence: str) -> Gimp.ValueArray:
    return procedure.new_return_values(status, GLib.Error(sentence))


def _done(procedure: Gimp.Procedure, value: object, kind: GObject.GType | type[GObject.Object]) -> Gimp.ValueArray:
    values = procedure.new_return_values(SUCCESS, GLib.Error())
    values.remove(1)
    values.insert(1, GObject.Value(kind, value))
    return values


def run_colorize(
    procedure: Gimp.Procedure,
    run_mode: Gimp.RunMode,
    image: Gimp.Image,
    drawables: Drawables,
    config: Config,
    data: object,
) -> Gimp.ValueArray:
    """Colours the selected layer with the settings of the dialog, of the caller, or of the last time."""
    photo = layers.photo_of(image, drawables)
    if run_mode != Gimp.RunMode.NONINTERACTIVE:
        for kind in layers.KINDS:
            wanted = config.get_property(f"find-{kind.field}")
            found = job.strokes_for(image, photo, drawables[0], kind) if wanted else None
            config.set_property(kind.field, found)
    if run_mode == Gimp.RunMode.INTERACTIVE:
        import dialog

        if not dialog.ask(procedure, config, image, photo):
            return procedure.new_return_values(Gimp.PDBStatusType.CANCEL, GLib.Error())
    hints, kept = (_checked_strokes(config.get_property(kind.field), image, photo) for kind in layers.KINDS)
    if hints is not None and hints == kept:
        problem = _("“{layer}” cannot be both the hint layer and the keep layer; choose another layer for one of them.")
        raise wrong_call(problem.format(layer=hints.get_name()))
    layer, notes = job.colorize(photo, hints, _settings(config), kept)
    if run_mode != Gimp.RunMode.NONINTERACTIVE:
        _show(layer, image, notes)
    return _done(procedure, layer, Gimp.Layer)


def _settings(config: Config) -> Settings:
    return Settings(**{field.name: config.get_property(field.name) for field in fields(Settings)})


def _checked_strokes(strokes: Gimp.Layer | None, image: Gimp.Image, photo: Gimp.Layer) -> Gimp.Layer | None:
    if strokes is None:
        return None
    if strokes.get_image() != image:
        problem = _("The layer of strokes “{layer}” belongs to another image; choose a layer of this image.")
    elif strokes == photo:
        problem = _("“{layer}” cannot be both the photograph and a layer of strokes; choose another layer of strokes.")
    elif not strokes.has_alpha():
        problem = _(
            "The layer of strokes “{layer}” has no transparency, so all of it would be a stroke; add an alpha channel"
            " to it or make one with New Hint Layer or New Keep Layer."
        )
    else:
        return strokes
    raise wrong_call(problem.format(layer=strokes.get_name()))


def _show(layer: Gimp.Layer, image: Gimp.Image, notes: list[str]) -> None:
    if layer.get_image() != image:
        Gimp.Display.new(layer.get_image())
    if notes:
        Gimp.message("\n".join(notes))


def run_with_hints(
    procedure: Gimp.Procedure,
    run_mode: Gimp.RunMode,
    image: Gimp.Image,
    drawables: Drawables,
    config: Config,
    data: object,
) -> Gimp.ValueArray:
    """Colours again with what is painted now and the settings of the last result."""
    photo = layers.photo_of(image, drawables)
    hints, kept = (job.strokes_for(image, photo, drawables[0], kind) for kind in layers.KINDS)
    if hints is None:
        raise Refusal(
            _(
                "“{layer}” has no hint layer yet; make one with Filters > Colorize > New Hint Layer, paint on it,"
                " then run this again."
            ).format(layer=photo.get_name())
        )
    record = layers.last_record(image, photo)
    layer, notes = job.colorize(photo, hints, record.settings if record else Settings(), kept)
    if run_mode != Gimp.RunMode.NONINTERACTIVE:
        _show(layer, image, notes)
    return _done(procedure, layer, Gimp.Layer)


def run_new_hints(
    procedure: Gimp.Procedure,
    run_mode: Gimp.RunMode,
    image: Gimp.Image,
    drawables: Drawables,
    config: Config,
    data: object,
) -> Gimp.ValueArray:
    """Adds the layer on which hints are painted."""
    layer = new_hints.add(image, layers.photo_of(image, drawables))
    return _done(procedure, layer, Gimp.Layer)


def run_new_keep(
    procedure: Gimp.Procedure,
    run_mode: Gimp.RunMode,
    image: Gimp.Image,
    drawables: Drawables,
    config: Config,
    data: object,
) -> Gimp.ValueArray:
    """Adds the layer on which the user marks what hints leave as it is."""
    layer = new_hints.add(image, layers.photo_of(image, drawables), layers.KEEP)
    return _done(procedure, layer, Gimp.Layer)


def run_service(
    procedure: Gimp.Procedure,
    run_mode: Gimp.RunMode,
    image: Gimp.Image | None,
    drawables: Drawables,
    config: Config,
    data: object,
) -> Gimp.ValueArray:
    """Shows the service's report, or returns it to a script."""
    import service_report

    if run_mode == Gimp.RunMode.NONINTERACTIVE:
        return _done(procedure, service_report.collect(Gimp.version()), GObject.TYPE_STRING)
    import service_dialog

    service_dialog.show()
    return _done(procedure, "", GObject.TYPE_STRING)


if __name__ == "__main__":
    Gimp.main(Colorize.__gtype__, sys.argv)
