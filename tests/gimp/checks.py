"""Runs inside GIMP's batch interpreter, many checks in one GIMP: each check is a function `check_…` of the workbench.

`run_all` is called by the line that GIMP is started with. What a check returns, its facts, and the pixels that it keeps
are judged outside, where there is numpy.
"""

import ast
import importlib
import json
import math
import os
import re
import struct
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import gi
from gi.repository import Gegl, Gimp, Gio
from progress import wait_until

Facts = dict[str, Any] | None

WIDE, HIGH = 6000, 4000  # 24 megapixels
COLORIZE, WITH_HINTS = "plug-in-colorize", "plug-in-colorize-hints"
NEW_HINTS, NEW_KEEP = "plug-in-colorize-new-hints", "plug-in-colorize-new-keep"
SHOW_RESULT = "plug-in-colorize-show-result"
SERVICE = "plug-in-colorize-service"
SUCCESS, CALLING_ERROR = Gimp.PDBStatusType.SUCCESS, Gimp.PDBStatusType.CALLING_ERROR
EXECUTION_ERROR = Gimp.PDBStatusType.EXECUTION_ERROR
REPLACE = Gimp.ChannelOps.REPLACE
RED, BLUE = "#b43c28", "#2850c8"
STUB_VERSIONS = {
    "GimpUi": "3.0",
    "Gtk": "3.0",
    "Gdk": "3.0",
    "Pango": "1.0",
}  # of what batch code has not opened itself
STROKE = (100, 262, 50, 10)  # x, y, width, height on the left half of the saucer
KEPT = (230, 60, 60, 10)  # on the cup
FAR = {"reach": 1.0, "alike": True}  # settings under which a stroke says something of nearly everything


class Workbench:
    """The folder shared with the test outside, and what a check needs again and again."""

    def __init__(self, folder: str, plug_in: str) -> None:
        self.folder, self.plug_in = Path(folder), Path(plug_in)

    def photo(self, name: str = "chelsea", width: int = 0, height: int = 0) -> tuple[Gimp.Image, Gimp.Layer]:
        """A gray photograph from the folder, made smaller where a width and height are given: (image, layer)."""
        file = Gio.File.new_for_path(str(self.folder / f"{name}.png"))
        image = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, file)
        if width:
            image.scale(width, height)
        return image, image.get_layers()[0]

    def call(
        self, name: str, image: Gimp.Image | None = None, drawables: Sequence[Gimp.Drawable] = (), **arguments: Any
    ) -> tuple[Gimp.PDBStatusType, Any]:
        """Runs a procedure non-interactively: (status, first value or error text)."""
        procedure = Gimp.get_pdb().lookup_procedure(name)
        config = procedure.create_config()
        config.set_property("run-mode", Gimp.RunMode.NONINTERACTIVE)
        if image is not None:
            config.set_property("image", image)
            config.set_core_object_array("drawables", list(drawables))
        for key, value in arguments.items():
            config.set_property(key, value)
        result = procedure.run(config)
        return result.index(0), result.index(1) if result.length() > 1 else None

    def colorize(self, image: Gimp.Image, photo: Gimp.Drawable, **arguments: Any) -> Gimp.Layer:
        """Runs Colorize Photo, which must succeed; the result layer."""
        status, layer = self.call(COLORIZE, image, [photo], **arguments)
        assert status == SUCCESS, f"{status}: {layer}"
        return layer

    def with_hints(self, image: Gimp.Image, selected: Gimp.Layer) -> Gimp.Layer:
        status, layer = self.call(WITH_HINTS, image, [selected])
        assert status == SUCCESS, f"{status}: {layer}"
        return layer

    def new_hints(self, image: Gimp.Image, photo: Gimp.Layer) -> Gimp.Layer:
        status, layer = self.call(NEW_HINTS, image, [photo])
        assert status == SUCCESS, f"{status}: {layer}"
        return layer

    def new_keep(self, image: Gimp.Image, photo: Gimp.Layer) -> Gimp.Layer:
        status, layer = self.call(NEW_KEEP, image, [photo])
        assert status == SUCCESS, f"{status}: {layer}"
        return layer

    def refused(
        self,
        name: str,
        image: Gimp.Image,
        drawables: Sequence[Gimp.Drawable],
        *,
        says: Sequence[str],
        status: Gimp.PDBStatusType = CALLING_ERROR,
        **arguments: Any,
    ) -> str:
        """Runs a procedure that must refuse, with a text that contains each of `says`, and leave the image alone."""
        before = state_of(image)
        got, text = self.call(name, image, drawables, **arguments)
        assert got == status, f"{got}: {text}"
        assert isinstance(text, str), text
        assert all(part in text for part in says), text
        assert state_of(image) == before, f"{before} became {state_of(image)}"
        return text

    def service(self) -> dict[str, Any]:
        """The service's status, asked from here with what the plug-in brought along."""
        for folder in (self.plug_in, self.plug_in / "vendor"):
            if str(folder) not in sys.path:
                sys.path.insert(0, str(folder))
        from colorize_client import connect

        with connect(client="tests", launch=False) as service:
            return service.status()

    def keep(self, name: str, image: Gimp.Image, photo: Gimp.Layer) -> dict[str, Any]:
        """Writes the visible image and the photograph for the test outside; the facts that it needs to read them."""
        visible = Gimp.Layer.new_from_visible(image, image, "visible")
        facts = {"name": name, "width": image.get_width(), "height": image.get_height()}
        for kind, layer in (("visible", visible), ("photo", photo)):
            for what, babl_format in (("rgb", "R'G'B' u16"), ("l", "CIE L float")):
                (self.folder / f"{name}-{kind}-{what}.raw").write_bytes(pixels(layer, babl_format))
        visible.delete()
        return facts

    def request(self, what: str) -> None:
        """Asks the test outside for something, by a file; it removes the file when that is done."""
        (self.folder / "requests" / what).touch()

    def await_done(self, what: str) -> None:
        request = self.folder / "requests" / what
        wait_until(lambda: not request.exists(), f"the end of {what}", pause=0.05)


def pixels(layer: Gimp.Drawable, babl_format: str) -> bytes:
    rectangle = Gegl.Rectangle.new(0, 0, layer.get_width(), layer.get_height())
    return layer.get_buffer().get(rectangle, 1.0, babl_format, Gegl.AbyssPolicy.NONE)


def fill(layer: Gimp.Layer, babl_format: str, content: bytes) -> None:
    width, height = layer.get_width(), layer.get_height()
    layer.get_buffer().set(Gegl.Rectangle.new(0, 0, width, height), babl_format, content)
    layer.get_buffer().flush()
    layer.update(0, 0, width, height)


def raw(layer: Gimp.Drawable) -> bytes:
    """The pixels exactly as the layer holds them."""
    rectangle = Gegl.Rectangle.new(0, 0, layer.get_width(), layer.get_height())
    return layer.get_buffer().get(rectangle, 1.0, None, Gegl.AbyssPolicy.NONE)


def state_of(image: Gimp.Image) -> tuple:
    """What a refused or failed run may not change."""
    layers = [(layer.get_id(), layer.get_name(), layer.get_offsets()) for layer in image.get_layers()]
    return layers, int(image.get_base_type()), image.is_dirty(), [hash(raw(layer)) for layer in image.get_layers()]


def paint(image: Gimp.Image, layer: Gimp.Layer, colour: str, x: int, y: int, width: int, height: int) -> None:
    """A spot of colour in the image's pixels."""
    Gimp.context_push()
    Gimp.context_set_antialias(True)
    Gimp.context_set_foreground(Gegl.Color.new(colour))
    image.select_ellipse(REPLACE, x, y, width, height)
    layer.edit_fill(Gimp.FillType.FOREGROUND)
    Gimp.Selection.none(image)
    Gimp.context_pop()


def bar(image: Gimp.Image, layer: Gimp.Layer, colour: str, x: int, y: int, width: int, height: int) -> None:
    """A rectangle of colour in the image's pixels."""
    Gimp.context_push()
    Gimp.context_set_foreground(Gegl.Color.new(colour))
    image.select_rectangle(REPLACE, x, y, width, height)
    layer.edit_fill(Gimp.FillType.FOREGROUND)
    Gimp.Selection.none(image)
    Gimp.context_pop()


def names(image: Gimp.Image) -> list[str]:
    return [layer.get_name() for layer in image.get_layers()]


def check_vendored_modules_are_the_only_ones(bench: Workbench) -> Facts:
    assert not any((Path(folder) / "zmq").exists() for folder in sys.path if "plug-ins" not in folder)


def check_type_stubs_are_true(bench: Workbench) -> Facts:
    """Whatever the plug-in's stubs name is here: classes, bases, functions, parameters, properties, constants."""
    for namespace, version in STUB_VERSIONS.items():
        gi.require_version(namespace, version)
    stubs = sorted((bench.folder / "typings" / "gi" / "repository").glob("[!_]*.pyi"))
    assert stubs, "Workshop.install has to copy gimp_plugin/typings into the folder"
    wrong = []
    for stub in stubs:
        module = importlib.import_module(f"gi.repository.{stub.stem}")
        wrong += untrue(stub.stem, ast.parse(stub.read_text()), module)
    assert not wrong, "\n".join(wrong)


def untrue(path: str, stub: ast.Module | ast.ClassDef, real: object) -> Iterator[str]:
    """What stands in a stub and is not so in the real module or class."""
    for node in stub.body:
        target = node.target if isinstance(node, ast.AnnAssign) else None
        name = getattr(target, "id", None) or getattr(node, "name", None)
        if name is None:  # an import
            continue
        if not hasattr(real, name):
            yield f"{path} has no {name}"
        elif isinstance(node, ast.ClassDef):
            yield from untrue_bases(f"{path}.{name}", node, getattr(real, name))
            yield from untrue(f"{path}.{name}", node, getattr(real, name))
        elif isinstance(node, ast.FunctionDef):
            yield from untrue_parameters(f"{path}.{name}", node, real)


def untrue_bases(path: str, stub: ast.ClassDef, real: type) -> Iterator[str]:
    ancestors = {kind.__name__ for kind in real.__mro__}
    yield from (f"{path} is no {ast.unparse(base)}" for base in stub.bases if last_name(base) not in ancestors)


def last_name(node: ast.expr) -> str:
    return ast.unparse(node).rpartition(".")[2]


def untrue_parameters(path: str, stub: ast.FunctionDef, owner: Any) -> Iterator[str]:
    """Compares with the first line of the documentation, which PyGObject makes of what the library says of itself."""
    properties = [word.arg for word in stub.args.kwonlyargs]
    yield from (f"{path}: no property {name}" for name in properties if not hasattr(owner.props, name))
    documented = re.match(rf"{stub.name}\((.*?)\)", getattr(owner, stub.name).__doc__ or "")
    if documented:
        names = [re.split("[:=]", parameter)[0] for parameter in documented[1].split(", ") if parameter]
        stubbed = [argument.arg for argument in stub.args.args]
        if names != stubbed:
            yield f"{path} takes {names}, not {stubbed}"


def check_automatic(bench: Workbench) -> Facts:
    """Also the first run of all: it starts the service, as daemon.json says."""
    image, photo = bench.photo()
    before = raw(photo)
    layer = bench.colorize(image, photo)
    assert names(image) == [layer.get_name(), photo.get_name()], names(image)
    assert layer.get_name().startswith("Colorized – "), layer.get_name()
    assert layer.get_mode() == Gimp.LayerMode.LCH_COLOR
    assert layer.get_mask() is None
    assert image.get_base_type() == Gimp.ImageBaseType.RGB
    assert pixels(photo, "Y' u8") == before
    return bench.keep("automatic", image, photo) | {"title": layer.get_name(), "models": bench.service()["models"]}


def check_a_model_that_is_no_text_is_the_default(bench: Workbench) -> Facts:
    """As GIMP gives an empty text that it kept from an earlier session."""
    image, photo = bench.photo(width=200, height=133)
    expected = raw(bench.colorize(image, photo))
    assert raw(bench.colorize(image, photo, model=None)) == expected


def check_rgb_photograph(bench: Workbench) -> Facts:
    image, photo = bench.photo("coffee")
    image.convert_rgb()
    before = raw(photo)
    bench.colorize(image, photo)
    assert raw(photo) == before
    return bench.keep("rgb", image, photo)


def check_stroke(bench: Workbench) -> Facts:
    """A bar of blue, which nobody would guess, on the saucer of the cup of coffee; what it did is judged outside."""
    image, photo = bench.photo("coffee")
    hints = bench.new_hints(image, photo)
    bench.with_hints(image, hints)
    facts = {"colour": BLUE, "stroke": STROKE, "before": bench.keep("stroke-before", image, photo)}
    bar(image, hints, BLUE, *STROKE)
    bench.with_hints(image, hints)
    hints.set_visible(False)
    return facts | {"after": bench.keep("stroke-after", image, photo)}


def check_keep_layer(bench: Workbench) -> Facts:
    """A stroke of any colour on the cup, under a red one that means everything; what it did is judged outside."""
    image, photo = bench.photo("coffee")
    hints, kept = bench.new_hints(image, photo), bench.new_keep(image, photo)
    for strokes in (hints, kept):
        strokes.set_visible(False)
    layer = bench.colorize(image, photo, **FAR)
    facts = {"kept": KEPT, "plain": bench.keep("keep-plain", image, photo)}
    bar(image, hints, RED, *STROKE)
    bench.with_hints(image, hints)
    facts["hinted"] = bench.keep("keep-hinted", image, photo)
    bar(image, kept, BLUE, *KEPT)
    assert bench.with_hints(image, kept).get_id() == layer.get_id()
    assert names(image) == [kept.get_name(), hints.get_name(), layer.get_name(), photo.get_name()], names(image)
    return facts | {"spared": bench.keep("keep-spared", image, photo)}


def check_keep_layers_are_found_as_hint_layers_are(bench: Workbench) -> Facts:
    """All visible ones; locked, masked, and deleted ones."""
    image, photo = bench.photo(width=200, height=133)
    first = bench.new_keep(image, photo)
    assert image.get_base_type() == Gimp.ImageBaseType.RGB
    assert image.get_selected_layers() == [first]
    hints = bench.new_hints(image, photo)
    paint(image, hints, RED, 20, 20, 30, 30)
    bench.colorize(image, photo, **FAR)
    hinted = raw(bench.with_hints(image, hints))
    paint(image, first, BLUE, 120, 60, 30, 30)
    spared = raw(bench.with_hints(image, hints))
    assert spared != hinted
    second = bench.new_keep(image, photo)
    assert raw(bench.with_hints(image, second)) == spared
    first.set_visible(False)
    assert raw(bench.with_hints(image, second)) == hinted
    first.set_visible(True)
    first.set_lock_content(True)
    assert raw(bench.with_hints(image, first)) == spared
    image.remove_layer(second)
    assert raw(bench.with_hints(image, hints)) == spared
    first.add_mask(first.create_mask(Gimp.AddMaskType.BLACK))
    assert raw(bench.with_hints(image, photo)) == hinted
    image.remove_layer(first)
    assert raw(bench.with_hints(image, hints)) == hinted


def check_keep_layer_as_an_argument(bench: Workbench) -> Facts:
    """Any transparent layer will do, on another place too; for both kinds of strokes at once it will not."""
    image, photo = bench.photo(width=200, height=133)
    hints = bench.new_hints(image, photo)
    paint(image, hints, RED, 20, 20, 30, 30)
    hinted = raw(bench.colorize(image, photo, hints=hints, **FAR))
    mine = Gimp.Layer.new(image, "mine", 40, 40, Gimp.ImageType.RGBA_IMAGE, 100.0, Gimp.LayerMode.NORMAL)
    image.insert_layer(mine, None, 0)
    mine.set_offsets(115, 55)
    paint(image, mine, RED, 120, 60, 30, 30)
    assert raw(bench.colorize(image, photo, hints=hints, kept=mine, **FAR)) != hinted
    bench.refused(COLORIZE, image, [photo], says=["Colour hints", "both"], hints=hints, kept=hints)
    bench.refused(COLORIZE, image, [photo], says=[photo.get_name()], kept=photo)


def check_second_run_uploads_nothing_and_updates_the_same_layer(bench: Workbench) -> Facts:
    image, photo = bench.photo("rocket")
    hints = bench.new_hints(image, photo)
    paint(image, hints, RED, 100, 100, 40, 40)
    first = bench.with_hints(image, hints)
    pixels_before, before = raw(first), bench.service()["counters"]
    paint(image, hints, BLUE, 300, 200, 40, 40)
    second = bench.with_hints(image, hints)
    after = bench.service()["counters"]
    assert second.get_id() == first.get_id()
    assert raw(second) != pixels_before
    assert (after["uploads"], after["encodes"]) == (before["uploads"], before["encodes"]), f"{before} {after}"
    assert after["predictions"] == before["predictions"] + 1
    assert names(image) == [hints.get_name(), first.get_name(), photo.get_name()], names(image)
    return {"bytes sent by the second run": after["bytes_in"] - before["bytes_in"]}


def check_all_arguments(bench: Workbench) -> Facts:
    image, photo = bench.photo(width=200, height=133)
    model = bench.service()["models"][0]
    arguments = {"model": model, "vividness": 30.0, "output": "normal"}
    gray = bench.colorize(image, photo, saturation=0.0, **arguments)
    assert gray.get_mode() == Gimp.LayerMode.NORMAL
    rgb = pixels(gray, "R'G'B' u8")
    spread = max(max(rgb[i : i + 3]) - min(rgb[i : i + 3]) for i in range(0, len(rgb), 3))
    assert spread <= 1, f"saturation 0 left colours: {spread}"
    hints = bench.new_hints(image, photo)
    paint(image, hints, RED, 20, 20, 30, 30)
    vivid = bench.colorize(image, photo, saturation=2.0, hints=hints, **arguments)
    assert vivid.get_id() == gray.get_id()
    assert pixels(vivid, "R'G'B' u8") != rgb


def check_network_by_name(bench: Workbench) -> Facts:
    """The default one, chosen by its name, gives the same colours; the free one others."""
    image, photo = bench.photo(width=200, height=133)
    default = raw(bench.colorize(image, photo))
    assert raw(bench.colorize(image, photo, model="chroma")) == default
    assert raw(bench.colorize(image, photo, model="chroma-free")) != default
    assert {"chroma", "chroma-free"} <= set(bench.service()["models"])


def check_unknown_model_is_refused(bench: Workbench) -> Facts:
    image, photo = bench.photo(width=200, height=133)
    bench.refused(COLORIZE, image, [photo], says=["model"], status=EXECUTION_ERROR, model="no-such-model")


def check_new_image(bench: Workbench) -> Facts:
    image, photo = bench.photo(width=200, height=133)
    before = state_of(image)
    layer = bench.colorize(image, photo, output="image")
    copy = layer.get_image()
    assert copy != image
    assert state_of(image) == before
    assert copy.get_base_type() == Gimp.ImageBaseType.RGB
    assert len(copy.get_layers()) == 2


def check_every_precision(bench: Workbench) -> Facts:
    """Each gets its result, keeps its precision, and its photograph keeps every byte."""
    facts = {}
    for precision in list_of_precisions():
        image, photo = bench.photo("chelsea-16", width=200, height=133)
        if precision != image.get_precision():
            image.convert_precision(precision)
        image.convert_rgb()
        before = raw(photo)
        bench.colorize(image, photo)
        assert raw(photo) == before, precision
        assert image.get_precision() == precision
        name = Gimp.Precision(precision).value_nick if hasattr(precision, "value_nick") else str(int(precision))
        facts[name] = bench.keep(f"precision-{name}", image, photo)
    return facts


def list_of_precisions() -> list[Gimp.Precision]:
    """One of each width and of each transfer curve; 8 and 16 bits with gamma have checks of their own."""
    kinds = Gimp.Precision
    linear = [kinds.U8_LINEAR, kinds.U16_LINEAR, kinds.HALF_LINEAR, kinds.DOUBLE_LINEAR]
    return [*linear, kinds.U32_NON_LINEAR, kinds.FLOAT_NON_LINEAR]


def check_deep_gray(bench: Workbench) -> Facts:
    image, photo = bench.photo("chelsea-16")
    assert image.get_precision() == Gimp.Precision.U16_NON_LINEAR, image.get_precision()
    before = raw(photo)
    layer = bench.colorize(image, photo)
    assert pixels(photo, "Y' u16") == before
    levels = {pixels(layer, "R'G'B' u16")[i : i + 2] for i in range(0, 3000, 2)}
    assert len(levels) > 256, "the result has no more than 8 bits"
    return bench.keep("deep-gray", image, photo)


def check_profiles(bench: Workbench) -> Facts:
    """The same picture under another profile gets the same colours."""
    image, photo = bench.photo("chelsea-16", width=200, height=133)
    image.convert_rgb()
    plain = bench.colorize(image, photo)
    reference = pixels(plain, "R'G'B' u8")
    image.remove_layer(plain)
    image.convert_color_profile(
        Gimp.ColorProfile.new_rgb_adobe(), Gimp.ColorRenderingIntent.RELATIVE_COLORIMETRIC, True
    )
    before = raw(photo)
    adobe = pixels(bench.colorize(image, photo), "R'G'B' u8")
    assert raw(photo) == before
    worst = max(abs(a - b) for a, b in zip(reference, adobe, strict=True))
    assert worst <= 4, f"colours differ by {worst} of 255 under Adobe RGB"


def check_linear_gray_profile(bench: Workbench) -> Facts:
    image, photo = bench.photo("chelsea-16", width=200, height=133)
    plain_key = pixels(photo, "Y' u8")
    intent = Gimp.ColorRenderingIntent.RELATIVE_COLORIMETRIC
    image.convert_color_profile(Gimp.ColorProfile.new_d65_gray_linear(), intent, True)
    bench.colorize(image, photo)
    worst = max(abs(a - b) for a, b in zip(plain_key, pixels(photo, "Y' u8"), strict=True))
    assert worst <= 1, worst
    return bench.keep("linear-gray-profile", image, photo)


def check_alpha(bench: Workbench) -> Facts:
    """What is transparent stays so, and a layer below is not coloured through it."""
    image, photo = bench.photo(width=200, height=133)
    image.convert_rgb()
    photo.add_alpha()
    image.select_rectangle(REPLACE, 0, 0, 100, 133)
    photo.edit_clear()
    Gimp.Selection.none(image)
    below = Gimp.Layer.new(image, "below", 200, 133, Gimp.ImageType.RGB_IMAGE, 100.0, Gimp.LayerMode.NORMAL)
    image.insert_layer(below, None, 1)
    fill(below, "R'G'B' u8", bytes([90, 90, 90]) * (200 * 133))
    before = raw(photo)
    layer = bench.colorize(image, photo)
    assert raw(photo) == before
    assert layer.get_mask() is not None
    visible = Gimp.Layer.new_from_visible(image, image, "visible")
    rgb = pixels(visible, "R'G'B' u8")
    visible.delete()
    assert rgb[: 3 * 90] == bytes([90, 90, 90]) * 90, "the layer below was coloured through the hole"


def check_layer_off_the_canvas_and_offset_hints(bench: Workbench) -> Facts:
    """The photograph hangs over the canvas, the hint layer lies elsewhere: hints land where they were painted."""
    image, photo = bench.photo()
    photo.set_offsets(-40, -30)
    bench.colorize(image, photo)
    hints = Gimp.Layer.new(image, "Colour hints", 60, 60, Gimp.ImageType.RGBA_IMAGE, 100.0, Gimp.LayerMode.NORMAL)
    image.insert_layer(hints, None, 0)
    hints.set_offsets(200, 150)
    plain = pixels(image.get_layers()[1], "R'G'B' u8")
    paint(image, hints, RED, 210, 160, 20, 20)
    layer = bench.with_hints(image, photo)
    assert layer.get_offsets()[1:] == photo.get_offsets()[1:]
    assert (layer.get_width(), layer.get_height()) == (photo.get_width(), photo.get_height())
    changed = changed_at(plain, pixels(layer, "R'G'B' u8"), layer.get_width())
    x, y = 210 + 10 + 40, 160 + 10 + 30  # the middle of the spot in the photograph's pixels
    assert (x, y) in changed, f"nothing changed at {x},{y}"


def changed_at(before: bytes, after: bytes, width: int) -> set[tuple[int, int]]:
    places = range(0, len(before), 3)
    return {(i // 3 % width, i // 3 // width) for i in places if before[i : i + 3] != after[i : i + 3]}


def check_photograph_in_a_group(bench: Workbench) -> Facts:
    image, photo = bench.photo(width=200, height=133)
    group = Gimp.GroupLayer.new(image, "group")
    image.insert_layer(group, None, 0)
    image.reorder_item(photo, group, 0)
    layer = bench.colorize(image, photo)
    assert group.get_children() == [layer, photo]
    image.reorder_item(photo, None, 0)
    assert bench.colorize(image, photo).get_id() == layer.get_id()
    assert image.get_layers() == [layer, photo, group], "where the photograph lies now"


def check_group_as_photograph(bench: Workbench) -> Facts:
    image, photo = bench.photo(width=200, height=133)
    group = Gimp.GroupLayer.new(image, "group")
    image.insert_layer(group, None, 0)
    image.reorder_item(photo, group, 0)
    layer = bench.colorize(image, group)
    assert names(image) == [layer.get_name(), "group"], names(image)


def check_mask_being_edited(bench: Workbench) -> Facts:
    image, photo = bench.photo(width=200, height=133)
    image.convert_rgb()
    photo.add_mask(photo.create_mask(Gimp.AddMaskType.WHITE))
    before = raw(photo), raw(photo.get_mask())
    layer = bench.colorize(image, photo.get_mask())
    assert (raw(photo), raw(photo.get_mask())) == before
    assert names(image) == [layer.get_name(), photo.get_name()]


def check_selection_limits_the_result(bench: Workbench) -> Facts:
    """The first time what is outside stays gray, later as it was; a run without a selection covers all."""
    image, photo = bench.photo(width=200, height=133)
    whole = pixels(first_result(bench, image, photo), "R'G'B' u8")
    image.select_rectangle(REPLACE, 50, 30, 40, 40)
    layer = bench.colorize(image, photo)
    assert layer.get_mask() is None
    assert opacity(layer) == {(x, y): 255 for x in range(50, 90) for y in range(30, 70)}
    assert not Gimp.Selection.is_empty(image), "the selection is the user's own"
    image.select_rectangle(REPLACE, 100, 30, 40, 40)
    assert bench.colorize(image, photo, saturation=0.5).get_id() == layer.get_id()
    assert len(opacity(layer)) == 2 * 40 * 40, "what is selected now shows, too"
    Gimp.Selection.none(image)
    assert bench.colorize(image, photo).get_id() == layer.get_id()
    assert len(opacity(layer)) == 200 * 133
    assert pixels(layer, "R'G'B' u8") == whole
    assert len(image.get_layers()) == 2


def opacity(layer: Gimp.Layer) -> dict[tuple[int, int], int]:
    """The places of a layer that are not wholly transparent, and how opaque they are, 1..255."""
    alpha, width = pixels(layer, "R'G'B'A u8")[3::4], layer.get_width()
    return {(at % width, at // width): value for at, value in enumerate(alpha) if value}


def check_mask_of_the_user_is_never_lost(bench: Workbench) -> Facts:
    """Nor moved, by runs with and without a selection."""
    image, photo = bench.photo(width=200, height=133)
    image.select_rectangle(REPLACE, 50, 30, 40, 40)
    layer = bench.colorize(image, photo)
    layer.add_mask(layer.create_mask(Gimp.AddMaskType.SELECTION))
    layer.get_mask().fill(Gimp.FillType.WHITE)
    before = raw(layer.get_mask())
    bench.colorize(image, photo, saturation=0.5)
    Gimp.Selection.none(image)
    bench.colorize(image, photo, saturation=0.7)
    assert raw(layer.get_mask()) == before


def check_what_was_painted_on_the_colours_is_kept(bench: Workbench) -> Facts:
    """On a hidden copy under the new colours; runs that nobody painted between leave no copy."""
    image, photo = bench.photo(width=200, height=133)
    layer = bench.colorize(image, photo)
    bench.colorize(image, photo, saturation=0.5)
    assert len(image.get_layers()) == 2
    bar(image, layer, RED, 20, 20, 60, 40)
    painted = raw(layer)
    image.select_rectangle(REPLACE, 100, 30, 40, 40)
    assert bench.colorize(image, photo).get_id() == layer.get_id()
    above, kept, below = image.get_layers()
    assert (above, below) == (layer, photo)
    assert raw(kept) == painted
    assert not kept.get_visible()
    assert layer.get_name() in kept.get_name()
    Gimp.Selection.none(image)
    bench.colorize(image, photo)
    assert len(image.get_layers()) == 3, "kept once"
    assert raw(kept) == painted


def check_retouching_over_the_photograph_is_coloured(bench: Workbench) -> Facts:
    """What is visible is what is coloured, whichever of the layers is selected, and the colours lie above them all."""
    image, photo = bench.photo(width=200, height=133)
    flat = image.duplicate()
    patch = Gimp.Layer.new(image, "retouch", 200, 133, Gimp.ImageType.GRAYA_IMAGE, 100.0, Gimp.LayerMode.NORMAL)
    image.insert_layer(patch, None, 0)
    bar(image, patch, "#f0f0f0", 40, 30, 60, 40)
    bar(flat, flat.get_layers()[0], "#f0f0f0", 40, 30, 60, 40)
    expected = pixels(bench.colorize(flat, flat.get_layers()[0]), "R'G'B' u8")
    layer = bench.colorize(image, photo)
    assert pixels(layer, "R'G'B' u8") == expected
    assert names(image) == [layer.get_name(), "retouch", photo.get_name()]
    assert bench.colorize(image, patch).get_id() == layer.get_id(), "the patch stands for the photograph"
    assert bench.with_hints(image, bench.new_hints(image, patch)).get_id() == layer.get_id()
    image.remove_layer(image.get_layers()[0])
    image.reorder_item(patch, None, 0)
    bench.colorize(image, photo)
    assert names(image) == [layer.get_name(), "retouch", photo.get_name()], "retouching that came later is below, too"
    patch.set_visible(False)
    plain = pixels(bench.colorize(image, photo), "R'G'B' u8")
    patch.set_visible(True)
    assert plain != expected
    assert pixels(bench.colorize(image, photo, source="layer"), "R'G'B' u8") == plain
    return bench.keep("retouched", image, photo)


def check_retouched_copy_beside_the_canvas_and_in_a_group(bench: Workbench) -> Facts:
    """A whole retouched copy in a group over a photograph that hangs over the canvas."""
    image, photo = bench.photo(width=200, height=133)
    expected = pixels(first_result(bench, image, photo), "R'G'B' u8")
    image.resize(150, 100, -30, -20)
    copy = photo.copy()
    group = Gimp.GroupLayer.new(image, "retouching")
    image.insert_layer(group, None, 0)
    image.insert_layer(copy, group, 0)
    fill(photo, "Y' u8", bytes(200 * 133))
    before = state_of(image)
    layer = bench.colorize(image, photo)
    assert pixels(layer, "R'G'B' u8") == expected
    assert names(image) == [layer.get_name(), "retouching", photo.get_name()]
    assert state_of(image)[0][-1] == before[0][-1]
    assert len(Gimp.get_images()) == 1, "the copy to look at is gone"


def check_filters_on_the_photograph_are_seen(bench: Workbench) -> Facts:
    """Those that GIMP keeps beside a layer's pixels; a hidden one is not."""
    image, photo = bench.photo(width=200, height=133)
    plain = pixels(first_result(bench, image, photo), "R'G'B' u8")
    inverted = photo.copy()
    image.insert_layer(inverted, None, 0)
    assert inverted.invert(False)
    expected = pixels(first_result(bench, image, inverted), "R'G'B' u8")
    image.remove_layer(inverted)
    negative = Gimp.DrawableFilter.new(photo, "gegl:invert-gamma", "negative")
    photo.append_filter(negative)
    before = raw(photo)
    assert pixels(first_result(bench, image, photo), "R'G'B' u8") == expected != plain
    assert raw(photo) == before
    negative.set_visible(False)
    assert pixels(first_result(bench, image, photo), "R'G'B' u8") == plain


def check_result_of_an_image_that_became_gray(bench: Workbench) -> Facts:
    """The gray result gets its colours back."""
    image, photo = bench.photo(width=200, height=133)
    layer = bench.colorize(image, photo)
    coloured = pixels(layer, "R'G'B' u8")
    image.convert_grayscale()
    assert bench.colorize(image, photo).get_id() == layer.get_id()
    assert pixels(layer, "R'G'B' u8") == coloured


def check_what_is_transparent_stays_so_under_other_layers(bench: Workbench) -> Facts:
    """A full-colour layer of all that is visible, too."""
    image, photo = bench.photo(width=200, height=133)
    photo.add_alpha()
    image.select_rectangle(REPLACE, 0, 0, 100, 133)
    photo.edit_clear()
    Gimp.Selection.none(image)
    retouching(image)
    before = visible_alpha(image)
    assert before.count(0) == 100 * 133
    for _time in range(2):
        bench.colorize(image, photo, output="normal")
        assert visible_alpha(image) == before


def retouching(image: Gimp.Image) -> Gimp.Layer:
    """A layer on top that is empty yet."""
    layer = Gimp.Layer.new(image, "retouch", 200, 133, Gimp.ImageType.RGBA_IMAGE, 100.0, Gimp.LayerMode.NORMAL)
    image.insert_layer(layer, None, 0)
    return layer


def visible_alpha(image: Gimp.Image) -> bytes:
    visible = Gimp.Layer.new_from_visible(image, image, "visible")
    alpha = pixels(visible, "R'G'B'A u8")[3::4]
    visible.delete()
    return alpha


def check_looking_at_what_is_visible_leaves_nothing(bench: Workbench) -> Facts:
    """No image and no layer; strokes of a locked visibility are not in it, and the photograph is, in a hidden group."""
    image, photo = bench.photo(width=200, height=133)
    image.convert_rgb()
    group = Gimp.GroupLayer.new(image, "group")
    image.insert_layer(group, None, 0)
    image.reorder_item(photo, group, 0)
    plain = pixels(first_result(bench, image, photo), "R'G'B' u8")
    last = retouching(image).get_id()
    group.set_visible(False)
    mark = bench.new_keep(image, photo)
    bar(image, mark, RED, 20, 20, 30, 30)
    mark.set_lock_visibility(True)
    layer = bench.colorize(image, photo)
    assert pixels(layer, "R'G'B' u8") == plain
    left = [number for number in range(last + 1, layer.get_id()) if Gimp.Item.id_is_valid(number)]
    known = [each.get_id() for each in (mark, *image.get_channels())]
    assert [number for number in left if number not in known] == []
    assert Gimp.get_images() == [image]


def check_locks(bench: Workbench) -> Facts:
    """Those of the result's place, of its visibility, and of the group around the photograph."""
    image, photo = bench.photo(width=200, height=133)
    image.convert_rgb()
    layer = bench.colorize(image, photo)
    layer.set_lock_position(True)
    layer.set_lock_visibility(True)
    bar(image, layer, RED, 20, 20, 60, 40)
    assert bench.colorize(image, photo).get_id() == layer.get_id()
    assert [each.get_visible() for each in image.get_layers()] == [True, False, True], "the changed one is hidden"
    photo.set_offsets(5, 5)
    says = [layer.get_name(), "position", "locked"]
    bench.refused(COLORIZE, image, [photo], says=says, status=EXECUTION_ERROR)
    image, photo = bench.photo(width=200, height=133)
    group = Gimp.GroupLayer.new(image, "group")
    image.insert_layer(group, None, 0)
    image.reorder_item(photo, group, 0)
    image.convert_rgb()
    group.set_lock_content(True)
    layer = bench.colorize(image, photo)
    assert group.get_children() == [layer, photo]
    bench.refused(COLORIZE, image, [photo], says=[layer.get_name(), "locked"], status=EXECUTION_ERROR)


def check_layers_of_mere_colour_stay_above(bench: Workbench) -> Facts:
    """What the user coloured by hand is no retouching, and is not hidden by the new colours."""
    image, photo = bench.photo(width=200, height=133)
    image.convert_rgb()
    mine = Gimp.Layer.new_from_drawable(bench.photo("colour", width=200, height=133)[1], image)
    image.insert_layer(mine, None, 0)
    mine.set_mode(Gimp.LayerMode.LCH_COLOR)
    layer = bench.colorize(image, photo)
    assert image.get_layers() == [mine, layer, photo]


def check_photograph_on_a_plain_page(bench: Workbench) -> Facts:
    """However small, it is no patch on the page."""
    image, photo = bench.photo(width=200, height=133)
    image.resize(500, 400, 20, 20)
    page = Gimp.Layer.new(image, "page", 500, 400, Gimp.ImageType.GRAY_IMAGE, 100.0, Gimp.LayerMode.NORMAL)
    image.insert_layer(page, None, 1)
    page.fill(Gimp.FillType.WHITE)
    layer = bench.colorize(image, photo)
    assert layer.get_offsets() == photo.get_offsets()
    assert (layer.get_width(), layer.get_height()) == (200, 133)


def check_duplicates_and_new_images_have_strokes_of_their_own(bench: Workbench) -> Facts:
    """GIMP deals tattoos out anew in them, so that records name other layers there."""
    image, photo = bench.photo(width=200, height=133)
    hints = bench.new_hints(image, photo)
    bar(image, hints, RED, 50, 50, 40, 20)
    expected = raw(bench.with_hints(image, hints))
    duplicate = image.duplicate()
    assert raw(bench.with_hints(duplicate, duplicate.get_layers()[0])) == expected
    made = bench.colorize(image, photo, hints=hints, output="image", saturation=0.5)
    before, its_hints = raw(made), made.get_image().get_layers()[0]
    assert bench.with_hints(made.get_image(), its_hints).get_id() == made.get_id(), "a result as any other"
    assert raw(made) == before


def check_text_stands_for_the_photograph_below(bench: Workbench) -> Facts:
    image, photo = bench.photo(width=200, height=133)
    image.convert_rgb()
    text = Gimp.TextLayer.new(image, "Title", Gimp.context_get_font(), 20.0, Gimp.Unit.pixel())
    image.insert_layer(text, None, 0)
    layer = bench.colorize(image, text)
    assert (layer.get_width(), layer.get_height()) == (200, 133)
    assert names(image)[0] == layer.get_name()
    red = text.copy()
    image.insert_layer(red, None, 0)
    red.set_color(Gegl.Color.new(RED))
    bench.refused(WITH_HINTS, image, [photo], says=[photo.get_name(), "New Hint Layer"], status=EXECUTION_ERROR)


def check_strokes_on_an_ordinary_layer(bench: Workbench) -> Facts:
    """They mean nothing, which is said; they are no retouching either, and a script can name the layer."""
    image, photo = bench.photo(width=200, height=133)
    image.convert_rgb()
    plain = pixels(first_result(bench, image, photo), "R'G'B' u8")
    mine = Gimp.Layer.new(image, "mine", 200, 133, Gimp.ImageType.RGBA_IMAGE, 100.0, Gimp.LayerMode.NORMAL)
    image.insert_layer(mine, None, 0)
    paint(image, mine, RED, 20, 20, 30, 30)
    for selected in (photo, mine):
        bench.refused(WITH_HINTS, image, [selected], says=["mine", "no hint layer"], status=EXECUTION_ERROR)
    assert pixels(first_result(bench, image, photo), "R'G'B' u8") == plain
    assert pixels(bench.colorize(image, photo, hints=mine), "R'G'B' u8") != plain


def check_retouching_in_a_toned_photographs_own_colours_is_none_of_strokes(bench: Workbench) -> Facts:
    image, photo = bench.photo(width=200, height=133)
    image.convert_rgb()
    gray = pixels(photo, "Y' u8")
    sepia = b"".join(bytes([min(255, level + 30), level, max(0, level - 40)]) for level in gray)
    fill(photo, "R'G'B' u8", sepia)
    picked = sepia[3 * (50 * 200 + 50) :][:3]
    bar(image, retouching(image), f"#{picked.hex()}", 20, 90, 30, 20)
    layer = bench.colorize(image, photo)
    assert names(image) == [layer.get_name(), "retouch", photo.get_name()]
    bench.refused(WITH_HINTS, image, [photo], says=[photo.get_name(), "New Hint Layer"], status=EXECUTION_ERROR)


def check_hint_layer_from_a_photograph_in_colour(bench: Workbench) -> Facts:
    """Its own colours, as dabs on a hint layer, bring most of them back."""
    image, photo = bench.photo("colour")
    status, hints = bench.call(NEW_HINTS, image, [photo], **{"from-photo": True})
    assert status == SUCCESS, hints
    share = len(opacity(hints)) / (hints.get_width() * hints.get_height())
    assert 0.02 < share < 0.25, share
    bench.with_hints(image, hints)
    hints.set_visible(False)
    return bench.keep("own-colours", image, photo)


def check_show_result_only(bench: Workbench) -> Facts:
    """Hides all layers of strokes, and shows those again; a layer that the user hid stays so; nothing else moves."""
    image, photo = bench.photo(width=200, height=133)
    bench.refused(SHOW_RESULT, image, [photo], says=["hint layer"], status=EXECUTION_ERROR)
    first, second, kept = bench.new_hints(image, photo), bench.new_hints(image, photo), bench.new_keep(image, photo)
    first.set_visible(False)
    for expected in ((False, False, False, True), (False, True, True, True), (False, False, False, True)):
        status, text = bench.call(SHOW_RESULT, image, [photo])
        assert status == SUCCESS, text
        assert tuple(layer.get_visible() for layer in (first, second, kept, photo)) == expected
    first.set_visible(True)
    second.set_visible(True)
    paint(image, first, RED, 20, 20, 30, 30)
    before = raw(bench.with_hints(image, first))
    bench.call(SHOW_RESULT, image, [photo])
    assert raw(bench.with_hints(image, photo)) == before, "hidden strokes count as before"
    bench.call(SHOW_RESULT, image, [photo])
    bar(image, second, BLUE, 150, 90, 30, 10)
    second.set_visible(False)
    bench.call(SHOW_RESULT, image, [photo])
    assert raw(bench.with_hints(image, photo)) == before, "strokes that the user hid do not count"
    third = bench.new_hints(image, photo)
    assert raw(bench.with_hints(image, photo)) == before, "nor do those that were put aside stop to"
    bench.call(SHOW_RESULT, image, [photo])
    first.set_lock_visibility(True)
    for expected in (True, False):
        bench.call(SHOW_RESULT, image, [photo])
        shown = [layer.get_visible() for layer in (first, second, third, kept)]
        assert shown == [False, False, expected, False], "a locked one does not keep the others from it"


def check_numbers_out_of_range_are_errors(bench: Workbench) -> Facts:
    image, photo = bench.photo(width=200, height=133)
    for name, value in {"vividness": 101.0, "saturation": -0.5, "reach": 7.0}.items():
        bench.refused(COLORIZE, image, [photo], says=[name, f"{value:g}"], **{name: value})
    for name, value in {"vividness": 100.0, "saturation": 2.0, "reach": 0.0}.items():
        bench.colorize(image, photo, **{name: value})


def selected(image: Gimp.Image, layer: Gimp.Layer) -> bytes:
    """The selection's weights over a layer, a byte each: 0 and 255 only where it is wholly out and in."""
    _, x, y = layer.get_offsets()
    place = Gegl.Rectangle.new(x, y, layer.get_width(), layer.get_height())
    weights = image.get_selection().get_buffer().get(place, 1.0, "Y float", Gegl.AbyssPolicy.NONE)
    return bytes(math.ceil(254.0 * weight) + (weight >= 1.0) for (weight,) in struct.iter_unpack("<f", weights))


def differing(weights: bytes, wanted: int, one: bytes, other: bytes) -> int:
    """How many of the pixels with this weight are not the same bytes in both."""
    size = len(one) // len(weights)
    places = (i for i, weight in enumerate(weights) if weight == wanted)
    return sum(one[size * i : size * (i + 1)] != other[size * i : size * (i + 1)] for i in places)


def furthest(weights: bytes, wanted: int, one: bytes, other: bytes) -> float:
    """By how much the pixels with this weight differ at most; both are RGB float."""
    values, others = (memoryview(content).cast("f") for content in (one, other))
    places = (3 * i + channel for i, weight in enumerate(weights) if weight == wanted for channel in range(3))
    return max(abs(values[i] - others[i]) for i in places)


def soft_spot(image: Gimp.Image) -> None:
    """A selection whose edge is soft; feathering leaves nothing that is wholly selected in deep images."""
    image.select_ellipse(REPLACE, 60, 30, 60, 60)
    Gimp.Selection.feather(image, 12.0)
    image.select_rectangle(Gimp.ChannelOps.ADD, 80, 50, 20, 20)


def check_selection_leaves_earlier_colours_alone(bench: Workbench) -> Facts:
    """In every precision, with and without alpha, and under a profile: the same bytes outside, the new ones inside."""
    kinds = [*list_of_precisions(), Gimp.Precision.U8_NON_LINEAR, Gimp.Precision.U16_NON_LINEAR]
    for number, precision in enumerate(kinds):
        image, photo = bench.photo("chelsea-16", width=200, height=133)
        image.convert_rgb()
        if precision != image.get_precision():
            image.convert_precision(precision)
        if number % 3 == 0:
            adobe, intent = Gimp.ColorProfile.new_rgb_adobe(), Gimp.ColorRenderingIntent.RELATIVE_COLORIMETRIC
            image.convert_color_profile(adobe, intent, False)
        layer = bench.colorize(image, photo)
        if number % 2:
            make_holes(image, layer)
        update_inside_and_compare(bench, image, photo, layer)


def make_holes(image: Gimp.Image, layer: Gimp.Layer) -> None:
    """Some of the layer becomes transparent, and some more half so, as by an eraser."""
    layer.add_alpha()
    image.select_ellipse(REPLACE, 90, 10, 90, 90)
    Gimp.Selection.feather(image, 30.0)
    layer.edit_clear()
    Gimp.Selection.none(image)


def update_inside_and_compare(bench: Workbench, image: Gimp.Image, photo: Gimp.Layer, layer: Gimp.Layer) -> None:
    before = raw(layer)
    soft_spot(image)
    weights = selected(image, layer)
    assert 0 < weights.count(255) < 200 * 133 - weights.count(0), "the selection has to be soft"
    assert bench.colorize(image, photo, saturation=2.0).get_id() == layer.get_id()
    inside, seen, precision = raw(layer), pixels(layer, "RGB float"), image.get_precision()
    assert selected(image, layer) == weights, "the selection is the user's own"
    assert not image.get_channels()
    Gimp.Selection.none(image)
    bench.colorize(image, photo, saturation=2.0)
    everywhere = raw(layer)
    assert differing(weights, 0, before, inside) == 0, precision
    eight_bit = precision in (Gimp.Precision.U8_LINEAR, Gimp.Precision.U8_NON_LINEAR)
    # Of linear light. babl times its ways and takes one or another: 2 steps of 16 bits were seen, once in 48 runs.
    most = 1.5 / 255 if eight_bit else 4 / 65535
    apart = furthest(weights, 255, pixels(layer, "RGB float"), seen)
    assert apart < most, f"{precision}: {apart}"
    half = sorted(weights, key=lambda weight: abs(weight - 128))[0]
    assert differing(weights, half, before, inside) > 0, precision
    assert differing(weights, half, everywhere, inside) > 0, precision
    assert differing(weights, 0, before, everywhere) > 1000, precision


def check_selection_at_the_first_run_with_hints(bench: Workbench) -> Facts:
    """Outside it are the colours without the stroke that touches it; both kinds of layer, and a new image."""
    for output in ("layer", "normal", "image"):
        arguments = {"output": output, **FAR}
        image, photo = bench.photo(width=200, height=133)
        hints = bench.new_hints(image, photo)
        paint(image, hints, BLUE, 150, 90, 30, 20)
        rest = pixels(first_result(bench, image, photo, hints=hints, **arguments), "R'G'B' u8")
        bar(image, hints, RED, 20, 40, 80, 6)
        whole = pixels(first_result(bench, image, photo, hints=hints, **arguments), "R'G'B' u8")
        image.select_rectangle(REPLACE, 90, 20, 60, 100)
        predictions = bench.service()["counters"]["predictions"]
        layer = first_result(bench, image, photo, hints=hints, **arguments)
        assert bench.service()["counters"]["predictions"] == predictions + 2
        weights, got = selected(image, photo), pixels(layer, "R'G'B' u8")
        assert layer.get_mask() is None
        assert differing(weights, 255, got, whole) == 0
        assert differing(weights, 0, got, rest) == 0
        assert differing(weights, 0, whole, rest) > 1000
        image.select_rectangle(REPLACE, 100, 0, 30, 30)
        got = pixels(first_result(bench, image, photo, hints=hints, **arguments), "R'G'B' u8")
        assert got == whole, "this selection touches no stroke"


def first_result(bench: Workbench, image: Gimp.Image, photo: Gimp.Layer, **arguments: Any) -> Gimp.Layer:
    """A duplicate of the layer that a run makes; the layer itself is removed."""
    layer = bench.colorize(image, photo, **arguments)
    copy = Gimp.Layer.new_from_drawable(layer, image)
    if layer.get_image() == image:
        image.remove_layer(layer)
    return copy


def check_selection_over_a_photograph_off_the_canvas(bench: Workbench) -> Facts:
    image, photo = bench.photo(width=200, height=133)
    photo.set_offsets(-40, -30)
    hints = bench.new_hints(image, photo)
    layer = bench.colorize(image, photo, **FAR)
    before = raw(layer)
    paint(image, hints, RED, 60, 40, 30, 30)
    image.select_rectangle(REPLACE, 50, 20, 30, 60)
    after = raw(bench.with_hints(image, hints))
    size = len(before) // (200 * 133)
    changed = {i // size for i in range(0, len(before), size) if before[i : i + size] != after[i : i + size]}
    columns, rows = {i % 200 for i in changed}, {i // 200 for i in changed}
    assert (min(columns), max(columns), min(rows), max(rows)) == (90, 119, 50, 109), (columns, rows)


def check_selection_and_a_photograph_scaled_since(bench: Workbench) -> Facts:
    """Earlier colours of another size are none: all is coloured anew."""
    image, photo = bench.photo(width=200, height=133)
    hints = bench.new_hints(image, photo)
    layer = bench.colorize(image, photo)
    photo.scale(160, 100, False)
    plain = raw(first_result(bench, image, photo, output="image"))
    image.select_rectangle(REPLACE, 20, 20, 30, 30)
    again = bench.with_hints(image, hints)
    assert again.get_id() == layer.get_id()
    assert raw(again) == plain


def check_selection_beside_the_photograph_is_refused(bench: Workbench) -> Facts:
    image, photo = bench.photo(width=200, height=133)
    photo.set_offsets(100, 0)
    hints = bench.new_hints(image, photo)
    paint(image, hints, RED, 120, 20, 30, 30)
    image.select_rectangle(REPLACE, 10, 10, 50, 50)
    for name in (COLORIZE, WITH_HINTS):
        bench.refused(name, image, [photo], says=["selection", photo.get_name()], status=EXECUTION_ERROR)


def check_everything_selected_is_nothing_selected(bench: Workbench) -> Facts:
    image, photo = bench.photo(width=200, height=133)
    Gimp.Selection.all(image)
    layer = bench.colorize(image, photo)
    assert layer.get_mask() is None
    before = raw(layer)
    assert raw(bench.colorize(image, photo, saturation=2.0)) != before


def check_indexed_is_refused(bench: Workbench) -> Facts:
    image, photo = bench.photo(width=200, height=133)
    image.convert_indexed(Gimp.ConvertDitherType.NONE, Gimp.ConvertPaletteType.GENERATE, 16, False, False, "")
    for name in (COLORIZE, WITH_HINTS, NEW_HINTS, NEW_KEEP):
        bench.refused(name, image, [photo], says=[image.get_name(), "indexed", "RGB"])


def check_channel_is_refused(bench: Workbench) -> Facts:
    image, photo = bench.photo(width=200, height=133)
    channel = Gimp.Channel.new(image, "my channel", 200, 133, 50.0, Gegl.Color.new("red"))
    image.insert_channel(channel, None, 0)
    bench.refused(COLORIZE, image, [channel], says=["my channel", "Layers"])


def check_several_layers_are_refused(bench: Workbench) -> Facts:
    image, photo = bench.photo(width=200, height=133)
    other = photo.copy()
    image.insert_layer(other, None, 0)
    bench.refused(COLORIZE, image, [photo, other], says=["2 layers"])


def check_unfit_hint_layers_are_refused(bench: Workbench) -> Facts:
    image, photo = bench.photo(width=200, height=133)
    opaque = photo.copy()
    opaque.set_name("opaque")
    image.insert_layer(opaque, None, 0)
    bench.refused(COLORIZE, image, [photo], says=["opaque", "alpha"], hints=opaque)
    bench.refused(COLORIZE, image, [photo], says=[photo.get_name()], hints=photo)
    _, stranger = bench.photo(width=200, height=133)
    bench.refused(COLORIZE, image, [photo], says=["another image"], hints=stranger)


def check_strokes_all_over_are_refused(bench: Workbench) -> Facts:
    """A photograph with an alpha channel is no layer of strokes, whatever it is called."""
    image, photo = bench.photo(width=200, height=133)
    image.convert_rgb()
    flat = photo.copy()
    flat.add_alpha()
    flat.set_name("Colour hints")
    image.insert_layer(flat, None, 0)
    says = ["Colour hints", "all over"]
    bench.refused(COLORIZE, image, [photo], says=says, status=EXECUTION_ERROR, hints=flat)
    bench.new_hints(image, photo)
    bench.refused(WITH_HINTS, image, [photo], says=says, status=EXECUTION_ERROR)


def check_no_hint_layer(bench: Workbench) -> Facts:
    image, photo = bench.photo(width=200, height=133)
    bench.refused(WITH_HINTS, image, [photo], says=[photo.get_name(), "New Hint Layer"], status=EXECUTION_ERROR)


def check_colour_under_transparency_is_no_hint(bench: Workbench) -> Facts:
    image, photo = bench.photo(width=200, height=133)
    plain = pixels(bench.colorize(image, photo), "R'G'B' u8")
    hints = bench.new_hints(image, photo)
    fill(hints, "R'G'B'A u8", bytes([200, 60, 30, 0]) * (200 * 133))
    assert pixels(bench.with_hints(image, hints), "R'G'B' u8") == plain


def check_masked_hints_are_no_hints(bench: Workbench) -> Facts:
    image, photo = bench.photo(width=200, height=133)
    plain = pixels(bench.colorize(image, photo), "R'G'B' u8")
    hints = bench.new_hints(image, photo)
    paint(image, hints, RED, 50, 50, 40, 40)
    painted = pixels(bench.with_hints(image, hints), "R'G'B' u8")
    hints.add_mask(hints.create_mask(Gimp.AddMaskType.BLACK))
    assert painted != plain
    assert pixels(bench.with_hints(image, hints), "R'G'B' u8") == plain


def check_duplicate_of_the_result_is_left_alone(bench: Workbench) -> Facts:
    image, photo = bench.photo(width=200, height=133)
    layer = bench.colorize(image, photo)
    duplicate = layer.copy()
    image.insert_layer(duplicate, None, 0)
    before = raw(duplicate)
    assert bench.colorize(image, photo, saturation=0.2).get_id() == layer.get_id()
    assert raw(duplicate) == before


def check_saved_and_loaded(bench: Workbench) -> Facts:
    image, photo = bench.photo(width=200, height=133)
    hints = bench.new_hints(image, photo)
    paint(image, hints, RED, 50, 50, 40, 40)
    bench.with_hints(image, hints)
    file = Gio.File.new_for_path(str(bench.folder / "saved.xcf"))
    assert Gimp.file_save(Gimp.RunMode.NONINTERACTIVE, image, file, None)
    loaded = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, file)
    hints, result, _photo = loaded.get_layers()
    paint(loaded, hints, BLUE, 100, 50, 40, 40)
    assert bench.with_hints(loaded, hints).get_id() == result.get_id()
    assert len(loaded.get_layers()) == 3


def check_selected_layer_stays_selected(bench: Workbench) -> Facts:
    image, photo = bench.photo(width=200, height=133)
    hints = bench.new_hints(image, photo)
    assert image.get_selected_layers() == [hints]
    bench.with_hints(image, hints)
    assert image.get_selected_layers() == [hints]


def check_all_visible_hint_layers_count(bench: Workbench) -> Facts:
    """Whichever is selected; where they lie over each other, the upper one; a hidden one does not, unless all are."""
    image, photo = bench.photo(width=200, height=133)
    first = bench.new_hints(image, photo)
    bar(image, first, RED, 50, 50, 40, 20)
    red = raw(bench.with_hints(image, first))
    second = bench.new_hints(image, photo)
    bar(image, second, BLUE, 150, 90, 30, 10)
    both = raw(bench.with_hints(image, second))
    assert both != red
    assert raw(bench.with_hints(image, photo)) == raw(bench.with_hints(image, first)) == both
    second.set_visible(False)
    assert raw(bench.with_hints(image, photo)) == red
    first.set_visible(False)
    assert raw(bench.with_hints(image, photo)) == both, "hidden to look at the result, they still count"
    for layer in (first, second):
        layer.set_visible(True)
    bar(image, second, BLUE, 50, 50, 40, 20)
    upper = raw(bench.with_hints(image, photo))
    image.remove_layer(first)
    assert raw(bench.with_hints(image, photo)) == upper


def check_hint_layers_of_two_photographs_stay_apart(bench: Workbench) -> Facts:
    """Also an ordinary layer that was used for one of them."""
    image, photo = bench.photo(width=200, height=133)
    other = Gimp.Layer.new_from_drawable(bench.photo("coffee", width=200, height=133)[1], image)
    image.insert_layer(other, None, 1)
    alone = pixels(first_result(bench, image, other, source="layer"), "R'G'B' u8")
    mine = bench.new_hints(image, photo)
    bar(image, mine, RED, 50, 50, 40, 20)
    bench.with_hints(image, mine)
    used = Gimp.Layer.new(image, "used", 200, 133, Gimp.ImageType.RGBA_IMAGE, 100.0, Gimp.LayerMode.NORMAL)
    image.insert_layer(used, None, 0)
    bar(image, used, BLUE, 150, 90, 30, 10)
    bench.colorize(image, photo, hints=used)
    theirs = bench.new_hints(image, other)
    bench.colorize(image, other, source="layer")
    assert pixels(bench.with_hints(image, theirs), "R'G'B' u8") == alone


def check_photograph_scaled_since(bench: Workbench) -> Facts:
    image, photo = bench.photo(width=200, height=133)
    layer = bench.colorize(image, photo)
    photo.scale(160, 100, False)
    again = bench.colorize(image, photo)
    assert again.get_id() == layer.get_id()
    assert (again.get_width(), again.get_height()) == (160, 100)


def check_tiny_and_narrow(bench: Workbench) -> Facts:
    for width, height in ((1, 1), (1, 700), (700, 1)):
        image, photo = bench.photo(width=width, height=height)
        layer = bench.colorize(image, photo)
        assert (layer.get_width(), layer.get_height()) == (width, height)


def check_the_readmes_script(bench: Workbench) -> Facts:
    """It colours every open image, and says which it could not."""
    images = [bench.photo(name, width=200, height=133)[0] for name in ("chelsea", "coffee")]
    indexed, _photo = bench.photo("rocket", width=200, height=133)
    indexed.convert_indexed(Gimp.ConvertDitherType.NONE, Gimp.ConvertPaletteType.GENERATE, 16, False, False, "")
    script = (bench.folder / "README.md").read_text().partition("```python\n")[2].partition("```")[0]
    said: list[tuple[object, ...]] = []
    exec(compile(script, "README.md", "exec"), {"Gimp": Gimp, "print": lambda *words: said.append(words)})
    assert [len(image.get_layers()) for image in images] == [2, 2]
    assert len(indexed.get_layers()) == 1
    assert len(said) == 1 and "indexed" in str(said[0]), said


def check_not_a_number(bench: Workbench) -> Facts:
    image, photo = bench.photo(width=200, height=133)
    image.convert_precision(Gimp.Precision.FLOAT_LINEAR)
    image.convert_rgb()
    nan, infinite = b"\x00\x00\xc0\x7f", b"\x00\x00\x80\x7f"
    rectangle = Gegl.Rectangle.new(10, 10, 2, 1)
    photo.get_buffer().set(rectangle, "RGB float", nan * 3 + infinite * 3)
    photo.get_buffer().flush()
    bench.colorize(image, photo)


def check_report(bench: Workbench) -> Facts:
    status, text = bench.call(SERVICE)
    assert status == SUCCESS, text
    for part in ("State: ", "Memory: ", "Model ", "Log ", Gimp.version()):
        assert part in text, f"{part!r} is not in:\n{text}"


def check_service_killed_in_the_middle(bench: Workbench) -> Facts:
    image, photo = bench.photo("large")
    bench.colorize(image, photo, saturation=0.9)
    image.remove_layer(image.get_layers()[0])
    photo.transform_flip_simple(Gimp.OrientationType.VERTICAL, True, 0.0)
    bench.request("kill-when-working")
    text = bench.refused(COLORIZE, image, [photo], says=["service", "again"], status=EXECUTION_ERROR)
    bench.await_done("kill-when-working")
    layer = bench.colorize(image, photo)
    assert len(image.get_layers()) == 2
    return {"sentence": text, "layer after": layer.get_name()}


def check_cancel_leaves_the_image_alone(bench: Workbench) -> Facts:
    """GIMP's Cancel kills the plug-in, and so does this; the service must notice, and stop its work."""
    image, photo = bench.photo("large")
    photo.transform_flip_simple(Gimp.OrientationType.HORIZONTAL, True, 0.0)
    before, cancelled = state_of(image), bench.service()["counters"]["cancelled"]
    bench.request("kill-plug-in-when-working")
    status, _ = bench.call(COLORIZE, image, [photo])
    bench.await_done("kill-plug-in-when-working")
    assert status != SUCCESS
    assert state_of(image) == before
    wait_until(lambda: bench.service()["counters"]["cancelled"] != cancelled, "the end of the work", pause=0.5)
    bench.colorize(image, photo)
    assert len(image.get_layers()) == 2


def check_24_megapixels_of_16_bit(bench: Workbench) -> Facts:
    image, photo = bench.photo("chelsea-16")
    image.scale(WIDE, HIGH)
    idle = bench.service()["memory"]
    bench.request("watch-plug-in")
    start = time.monotonic()
    layer = bench.colorize(image, photo)
    first = time.monotonic() - start
    hints = bench.new_hints(image, photo)
    paint(image, hints, RED, 1000, 1000, 300, 300)
    start = time.monotonic()
    assert bench.with_hints(image, hints).get_id() == layer.get_id()
    again = time.monotonic() - start
    (bench.folder / "requests" / "watch-plug-in").unlink()
    assert (layer.get_width(), layer.get_height()) == (WIDE, HIGH)
    memory = bench.service()["memory"]
    return {"first run, s": first, "hint run, s": again, "daemon idle": idle, "daemon": memory}


def checks() -> dict[str, Callable[[Workbench], Facts]]:
    import live_checks

    found = {**globals(), **vars(live_checks)}
    return {name: value for name, value in found.items() if name.startswith("check_")}


def run_all(folder: str, plug_in: str) -> None:
    """Runs every check; what became of each is in outcomes.json, also when GIMP dies in the middle."""
    Gegl.init(None)
    bench, outcomes = Workbench(folder, plug_in), {}
    for name, check in checks().items():
        outcomes[name] = {"error": "GIMP ended in the middle of it"}
        write_outcomes(bench, outcomes)
        outcomes[name] = outcome_of(check, bench)
        write_outcomes(bench, outcomes)
        for image in Gimp.get_images():
            image.delete()


def outcome_of(check: Callable[[Workbench], Facts], bench: Workbench) -> dict[str, Any]:
    start = time.monotonic()
    try:
        facts = check(bench)
    except Exception:  # noqa: BLE001 - whatever it is, it is this check's outcome
        return {"error": traceback.format_exc()}
    return {"error": None, "facts": facts or {}, "seconds": round(time.monotonic() - start, 2)}


def write_outcomes(bench: Workbench, outcomes: dict[str, Any]) -> None:
    file = bench.folder / "outcomes.json"
    file.with_suffix(".new").write_text(json.dumps(outcomes, default=str))
    os.replace(file.with_suffix(".new"), file)
