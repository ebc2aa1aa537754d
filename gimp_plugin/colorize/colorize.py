#!/usr/bin/env python3
"""Colour for black-and-white photographs, steered by painted hints: the entries in GIMP's menu Filters > Colorize.

The plug-in reads pixels and shows dialogs; a service on the same computer, found and started by `colorize_client`, does
the rest. `vendor` holds what the client needs of pyzmq and msgpack, because GIMP's Python may have neither.
"""

import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import gi

gi.require_version("Gimp", "3.0")
gi.require_version("GimpUi", "3.0")
gi.require_version("Babl", "0.1")
gi.require_version("Gegl", "0.4")
gi.require_version("Gtk", "3.0")
gi.require_version("Gdk", "3.0")
from gi.repository import Gegl, Gimp, GLib, GObject  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parent / "vendor"))

import choice  # noqa: E402
import job  # noqa: E402
import layers  # noqa: E402
import new_hints  # noqa: E402
import parasites  # noqa: E402
import show_result  # noqa: E402
import subject  # noqa: E402
from choice import Choice  # noqa: E402
from colorize_client import ColorizeError  # noqa: E402
from records import LIMITS, Settings  # noqa: E402
from refusal import Refusal, wrong_call  # noqa: E402
from text import DOMAIN, LOCALE_FOLDER, _, shortened  # noqa: E402

if TYPE_CHECKING:  # imported where it is needed: GIMP asks this file what it offers at every start
    from live_guard import Guard

MENU = "<Image>/Filters/Colorize"
COLORIZE, WITH_HINTS, LIVE = "plug-in-colorize", "plug-in-colorize-hints", "plug-in-colorize-live"
NEW_HINTS, NEW_KEEP = "plug-in-colorize-new-hints", "plug-in-colorize-new-keep"
SHOW_RESULT = "plug-in-colorize-show-result"
SERVICE = "plug-in-colorize-service"
READWRITE = GObject.ParamFlags.READWRITE
ANY_NUMBER = 1e9  # GIMP passes over a number out of range without an error, so the limits are checked here
SUCCESS = Gimp.PDBStatusType.SUCCESS

Config = Gimp.ProcedureConfig
Drawables = list[Gimp.Drawable]
Run = Callable[..., Gimp.ValueArray]


class Colorize(Gimp.PlugIn):
    """Registers the procedures."""

    def do_set_i18n(self, name: str) -> tuple[bool, str, str]:
        return True, DOMAIN, LOCALE_FOLDER

    def do_query_procedures(self) -> list[str]:
        return [COLORIZE, WITH_HINTS, LIVE, NEW_HINTS, NEW_KEEP, SHOW_RESULT, SERVICE]

    def do_create_procedure(self, name: str) -> Gimp.Procedure:
        makers = {COLORIZE: _colorize, WITH_HINTS: _with_hints, LIVE: _live, NEW_HINTS: _new_hints, NEW_KEEP: _new_keep}
        procedure = {**makers, SHOW_RESULT: _show_result, SERVICE: _service}[name](self)
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
            " has without hints. Where retouching lies over the photograph, what is visible is coloured. Run again, it"
            " updates the layer that it made. A selection limits the run: outside it, earlier colours stay as they are."
            " Where there are none yet, strokes that touch the selection colour nothing outside it, and without a hint"
            " layer only the selection is coloured."
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
    saturation = _("Factor on the colours of the model, 0 to 2: 0 is gray; hints keep theirs")
    reach = _("How much around a stroke takes its colour: 0 little, 0.5 what seems to belong to it, 1 much")
    add_double = procedure.add_double_argument
    for name, label, text in (
        ("vividness", _("_Vividness"), vividness),
        ("saturation", _("Saturatio_n"), saturation),
        ("reach", _("Re_gion"), reach),
    ):
        add_double(name, label, text, -ANY_NUMBER, ANY_NUMBER, getattr(default, name), READWRITE)
    alike = _("A stroke also colours what is like the thing it lies on: the other sleeve, other grass")
    procedure.add_boolean_argument("alike", _("Everything _like it"), alike, default.alike, READWRITE)
    procedure.add_choice_argument("output", _("Res_ult"), _("Where the colours go"), _outputs(), "layer", READWRITE)
    what = _("Which pixels are coloured")
    procedure.add_choice_argument("source", _("C_olour"), what, _sources(), default.source, READWRITE)
    procedure.add_boolean_aux_argument("find-hints", _("Use the hint layer"), "", True, READWRITE)
    procedure.add_boolean_aux_argument("find-kept", _("Use the keep layer"), "", True, READWRITE)


def _outputs() -> Gimp.Choice:
    choice = Gimp.Choice.new()
    choice.add("layer", 0, _("Colour layer over the photograph"), _("A layer in LCh Color mode; lightness stays exact"))
    choice.add("normal", 1, _("Full-colour layer"), _("A layer that needs nothing below it"))
    choice.add("image", 2, _("New image"), _("A copy of the image with a colour layer; this one stays as it is"))
    return choice


def _sources() -> Gimp.Choice:
    choice = Gimp.Choice.new()
    choice.add("auto", 0, _("What is likeliest"), _("All that is visible where layers lie over the photograph"))
    choice.add("layer", 1, _("The layer"), _("The pixels of the selected layer alone"))
    choice.add("visible", 2, _("What is visible"), _("The photograph with the layers that lie over it"))
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


def _live(plug_in: Colorize) -> Gimp.ImageProcedure:
    procedure = _procedure(plug_in, LIVE, run_live)
    procedure.set_menu_label(_("_Live Colours…"))
    procedure.set_documentation(
        _("Colours that follow the brush"),
        _(
            "Opens a small window. While it is open, every stroke on the hint layer or the keep layer changes the"
            " colours at once, and so do the settings in it. Done makes one undo step of all; Cancel leaves the image"
            " as it was."
        ),
        None,
    )
    return procedure


def _new_hints(plug_in: Colorize) -> Gimp.ImageProcedure:
    blurb = _("Add a transparent layer to paint colour hints on")
    text = _("A few strokes are enough: each says which colour the thing below it has. Gray strokes keep things gray.")
    procedure = _layer_maker(plug_in, NEW_HINTS, run_new_hints, _("New _Hint Layer"), blurb, text)
    own = _("Put dabs of the photograph's own colours on it")
    procedure.add_boolean_argument("from-photo", _("_From the photograph"), own, False, READWRITE)
    return procedure


def _new_keep(plug_in: Colorize) -> Gimp.ImageProcedure:
    blurb = _("Add a transparent layer to mark what hints leave as it is")
    text = _(
        "A few strokes are enough, in any colour: the things that they lie on keep the colours that they have"
        " without hints."
    )
    return _layer_maker(plug_in, NEW_KEEP, run_new_keep, _("New _Keep Layer"), blurb, text)


def _show_result(plug_in: Colorize) -> Gimp.ImageProcedure:
    procedure = _procedure(plug_in, SHOW_RESULT, run_show_result)
    procedure.set_sensitivity_mask(Gimp.ProcedureSensitivityMask.DRAWABLE | Gimp.ProcedureSensitivityMask.DRAWABLES)
    procedure.set_menu_label(_("Show _Result Only"))
    procedure.set_documentation(
        _("Hide the hint layers, or show them again"),
        _(
            "Strokes lie over the result, and are exported with it. This hides the hint layers and keep layers of the"
            " image, or shows them again; hidden so, they count as before. Made for a keyboard shortcut."
        ),
        None,
    )
    return procedure


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
    _refuse_beside_live(image)
    if run_mode == Gimp.RunMode.NONINTERACTIVE:
        found = _given(image, drawables, config)
    else:
        found = choice.found(image, drawables)
        config.set_property("source", "auto")  # what was chosen for the last photograph says nothing of this one
        for kind in layers.KINDS:
            if not config.get_property(f"find-{kind.field}"):
                found.strokes[kind] = []
    if run_mode == Gimp.RunMode.INTERACTIVE:
        import dialog

        if not dialog.ask(procedure, config, found):
            return _cancelled(procedure)
    return _run(procedure, run_mode, image, found, _settings(config))


def _refuse_beside_live(image: Gimp.Image) -> None:
    """Two at work on one colour layer would take each other's pixels for the user's."""
    import live_guard

    if live_guard.answers(image):
        problem = _(
            "Live Colours is open for “{image}”, whose colours follow by themselves; press Done there, then run this"
            " again."
        )
        raise Refusal(problem.format(image=image.get_name()))


def _given(image: Gimp.Image, drawables: Drawables, config: Config) -> Choice:
    """What a script's arguments say, and nothing else."""
    Gegl.init(None)
    photo = layers.photo_of(image, drawables)
    strokes = {kind: list(filter(None, [config.get_property(kind.field)])) for kind in layers.KINDS}
    subjects = subject.candidates(image, photo, [layer for each in strokes.values() for layer in each])
    source = config.get_property("source")
    what = subject.Subject(photo) if source == "layer" else subject.chosen(subjects, source)
    return Choice(subjects, what, strokes)


def _run(
    procedure: Gimp.Procedure, run_mode: Gimp.RunMode, image: Gimp.Image, found: Choice, settings: Settings
) -> Gimp.ValueArray:
    photo = found.subject.layer
    for layer in [each for painted in found.strokes.values() for each in painted]:
        _check_strokes(layer, image, photo)
    both = [layer for layer in found.strokes[layers.HINTS] if layer in found.strokes[layers.KEEP]]
    if both:
        problem = _("“{layer}” cannot be both the hint layer and the keep layer; choose another layer for one of them.")
        raise wrong_call(problem.format(layer=both[0].get_name()))
    found.apply()
    layer, notes = job.colorize(found.subject, found.strokes[layers.HINTS], settings, found.strokes[layers.KEEP])
    if run_mode != Gimp.RunMode.NONINTERACTIVE:
        _show(layer, image, [*notes, *_hints_for_the_user(image, found)])
    return _done(procedure, layer, Gimp.Layer)


def _hints_for_the_user(image: Gimp.Image, found: Choice) -> list[str]:
    """What is said once: of this image, or once for all."""
    said = []
    if found.in_colour and not found.takes_colours and parasites.is_first_time("in-colour", image):
        text = _("“{layer}” is in colour. Its own colours were not used; Colorize Photo offers to take them as hints.")
        said.append(text.format(layer=found.subject.layer.get_name()))
    strokes = [layer for painted in found.strokes.values() for layer in painted]
    if any(map(layers.is_shown, strokes)) and parasites.is_first_time("show-result"):
        said.append(
            _(
                "The strokes stay visible over the result, and are exported with it: Filters > Colorize > Show Result"
                " Only hides them and shows them again."
            )
        )
    return said


def _cancelled(procedure: Gimp.Procedure) -> Gimp.ValueArray:
    return procedure.new_return_values(Gimp.PDBStatusType.CANCEL, GLib.Error())


def _settings(config: Config) -> Settings:
    settings = Settings.from_config(config.get_property)
    for name, (low, high) in LIMITS.items():
        value = getattr(settings, name)
        if not low <= value <= high:
            problem = _("{name} is {value:g}, but it can only be {low:g} to {high:g}; choose a number between them.")
            raise wrong_call(problem.format(name=name, value=value, low=low, high=high))
    return settings


def _check_strokes(strokes: Gimp.Layer, image: Gimp.Image, photo: Gimp.Layer) -> None:
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
        return
    raise wrong_call(problem.format(layer=strokes.get_name()))


def _show(layer: Gimp.Layer, image: Gimp.Image, notes: Sequence[str]) -> None:
    if layer.get_image() != image:
        Gimp.Display.new(layer.get_image())
    if notes:
        Gimp.message("\n\n".join(notes))


def run_with_hints(
    procedure: Gimp.Procedure,
    run_mode: Gimp.RunMode,
    image: Gimp.Image,
    drawables: Drawables,
    config: Config,
    data: object,
) -> Gimp.ValueArray:
    """Colours again with what is painted now and the settings of the last result."""
    _refuse_beside_live(image)
    found = choice.found(image, drawables)
    photo = found.subject.layer
    if not _agrees_to_ordinary_layers(found, run_mode):
        return _cancelled(procedure)
    if not found.strokes[layers.HINTS] and not found.marks:
        raise Refusal(
            _(
                "“{layer}” has no hint layer yet; make one with Filters > Colorize > New Hint Layer, paint on it,"
                " then run this again."
            ).format(layer=photo.get_name())
        )
    record = layers.last_record(image, photo)
    return _run(procedure, run_mode, image, found, record.settings if record else Settings())


def _agrees_to_ordinary_layers(found: Choice, run_mode: Gimp.RunMode) -> bool:
    """Whether the run goes on where strokes lie on an ordinary layer, or a text is all that there is to colour.

    Raises:
        Refusal: the strokes mean nothing, there are no others, and nobody can be asked.
    """
    unmarked, photo = found.unmarked, found.subject.layer
    asked = run_mode != Gimp.RunMode.NONINTERACTIVE
    if unmarked is not None:
        name = shortened(unmarked.get_name())
        if asked:
            import question

            text = _("“{layer}” is an ordinary layer, so what is painted on it means nothing. Is it colour hints?")
            if not parasites.is_first_time(f"ordinary-{unmarked.get_tattoo()}", unmarked.get_image()):
                return True
            found.marks = question.agrees(text.format(layer=name), _("Make It a _Hint Layer"), _("_No"))
        elif not found.strokes[layers.HINTS]:
            problem = _(
                "“{layer}” is an ordinary layer and no hint layer, so what is painted on it means nothing; choose it as"
                " the hint layer in Colorize Photo, or paint on one that New Hint Layer makes."
            )
            raise Refusal(problem.format(layer=name))
    elif asked and photo.is_text_layer():
        import question

        text = _("“{layer}” is a text, and there is no photograph below it. Colour the text?")
        return question.agrees(text.format(layer=photo.get_name()), _("_Colour It"))
    return True


def run_live(
    procedure: Gimp.Procedure,
    run_mode: Gimp.RunMode,
    image: Gimp.Image,
    drawables: Drawables,
    config: Config,
    data: object,
) -> Gimp.ValueArray:
    """Opens the window in which colours follow the brush; where it is open for this image, brings it to the front."""
    if run_mode == Gimp.RunMode.NONINTERACTIVE:
        raise wrong_call(_("Live Colours needs a user who paints; from a script, run Colorize with Hints."))
    import live_guard

    guard = live_guard.claim(image)
    if guard is None:
        return procedure.new_return_values(SUCCESS, GLib.Error())
    try:
        agreed = _show_live(guard, run_mode, image, drawables)
    finally:
        guard.release()
    if not (agreed and image.is_valid()):
        return _cancelled(procedure)  # after a success GIMP would keep the arguments on the image, which is gone
    return procedure.new_return_values(SUCCESS, GLib.Error())


def _show_live(guard: "Guard", run_mode: Gimp.RunMode, image: Gimp.Image, drawables: Drawables) -> bool:
    """The window, until it is closed; False where the user did not agree to what it would work on."""
    found = choice.found(image, drawables)
    if not _agrees_to_ordinary_layers(found, run_mode):
        return False
    found.apply()
    record = layers.last_record(image, found.subject.layer)
    import live_window

    sentence = live_window.show(found, record.settings if record else Settings(), guard)
    if sentence:
        Gimp.message(sentence)
    return True


def run_new_hints(
    procedure: Gimp.Procedure,
    run_mode: Gimp.RunMode,
    image: Gimp.Image,
    drawables: Drawables,
    config: Config,
    data: object,
) -> Gimp.ValueArray:
    """Adds the layer on which hints are painted, to a script also one with the photograph's own colours."""
    photo = choice.found(image, drawables).subject.layer
    from_photo = run_mode == Gimp.RunMode.NONINTERACTIVE and config.get_property("from-photo")
    layer = new_hints.from_photo(image, photo) if from_photo else new_hints.add(image, photo)
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
    layer = new_hints.add(image, choice.found(image, drawables).subject.layer, layers.KEEP)
    return _done(procedure, layer, Gimp.Layer)


def run_show_result(
    procedure: Gimp.Procedure,
    run_mode: Gimp.RunMode,
    image: Gimp.Image,
    drawables: Drawables,
    config: Config,
    data: object,
) -> Gimp.ValueArray:
    """Hides the layers with strokes, or shows them again."""
    show_result.toggle(image)
    return procedure.new_return_values(SUCCESS, GLib.Error())


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
