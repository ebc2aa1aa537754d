"""Runs in GIMP's batch interpreter: colours one photograph again and again, and notes when each step began and ended.

Each repetition does a first run and a hint re-run twice: step by step in this process, with clocks around the
plug-in's own functions; and as the procedures that a user calls, which start the plug-in's process.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from gi.repository import Gegl, Gimp, Gio
from timeline import WAITING, Recorder

STROKES = ("#3c6ec8", "#3c8c3c", "#c8a03c", "#8c5a3c", "#b43c28")
CHANGED = ("#c83c1e", "#2850c8", "#28a050", "#c8b428", "#8c28a0")


class Bench:
    """One photograph in GIMP, its hint layer, and the plug-in's modules with clocks in them.

    Args:
        photo: the photograph's file.
        plug_in: the installed plug-in's folder.
    """

    def __init__(self, photo: Path, plug_in: Path) -> None:
        sys.path[:0] = [str(plug_in), str(plug_in / "vendor")]
        self.recorder, self.summaries, self.runs = Recorder(), [], []
        self.image = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, Gio.File.new_for_path(str(photo)))
        self.image.convert_rgb()  # as scanners save photographs
        self.photo = self.image.get_layers()[0]
        self._changes = 0
        self._instrument()
        self.hints = self._new_hints()

    def _instrument(self) -> None:
        import colorize_client.live
        import colorize_client.picture
        import job
        import pixels

        timed = self.recorder.timed
        self.job = job
        pixels.gray_plane = timed("read the gray plane", pixels.gray_plane)
        pixels.hint_tiles = timed("read the hint tiles", pixels.hint_tiles)
        colorize_client.picture.picture_key = timed("hash", colorize_client.picture.picture_key)
        colorize_client.connect = timed("connect, handshake, close", colorize_client.connect)
        colorize_client.Client.close = timed("connect, handshake, close", colorize_client.Client.close)
        live = colorize_client.live.LiveSession
        live.run = self._timed_request(live.run)
        job.Result.finish = timed("finish with undo step", job.Result.finish)

    def _timed_request(self, run: Callable) -> Callable:
        def request(session: object, hints: object, options: object, kept: object, write: Callable, progress: Callable):
            write = self.recorder.timed("write pixels", write)
            progress = self.recorder.timed("show progress", progress)
            with self.recorder.span(WAITING):
                summary = run(session, hints, options, kept, write, progress)
            self.summaries.append(summary)
            return summary

        return request

    def _new_hints(self) -> Gimp.Layer:
        import new_hints

        hints = new_hints.add(self.image, self.photo)
        for number, colour in enumerate(STROKES):
            self._paint(hints, number, colour)
        return hints

    def _paint(self, hints: Gimp.Layer, number: int, colour: str) -> None:
        """The stroke of this number: an ellipse an eighth as wide as the photograph and a fortieth as high."""
        width, height = self.image.get_width(), self.image.get_height()
        x, y = width * (1 + 3 * number) / 18, height * (1 + number) / 7
        self.image.select_ellipse(Gimp.ChannelOps.REPLACE, x - 2, y - 2, width / 8 + 4, height / 40 + 4)
        hints.edit_clear()  # or the rim of the stroke before would stay, in a mixture of both colours
        self.image.select_ellipse(Gimp.ChannelOps.REPLACE, x, y, width / 8, height / 40)
        Gimp.context_set_foreground(Gegl.Color.new(colour))
        hints.edit_fill(Gimp.FillType.FOREGROUND)
        Gimp.Selection.none(self.image)

    def _make_unknown(self) -> None:
        """One pixel of the photograph becomes another, so that the service has never seen it; results go."""
        import layers

        self._changes += 1
        level = bytes([self._changes % 256] * 3)
        self.photo.get_buffer().set(Gegl.Rectangle.new(0, 0, 1, 1), "R'G'B' u8", level)
        self.photo.get_buffer().flush()
        self.photo.update(0, 0, 1, 1)
        while result := layers.find_result(self.image, self.photo):
            self.image.remove_layer(result)
        self.image.undo_disable()  # drops what could be undone, which would only fill memory
        self.image.undo_enable()

    def repeat(self, warm_up: bool) -> None:
        """Both ways, each a first run and a hint re-run."""
        for way in (self._by_steps, self._by_procedures):
            self._make_unknown()
            self._note("first", way, None, warm_up)
            way(self.hints)  # from now on the service knows all strokes but the one that changes
            self._paint(self.hints, len(STROKES) - 1, CHANGED[self._changes % len(CHANGED)])
            self._note("again", way, self.hints, warm_up)

    def _note(self, kind: str, way: Callable, hints: Gimp.Layer | None, warm_up: bool) -> None:
        self.recorder.take()
        self.summaries.clear()
        begin = time.monotonic()
        way(hints)
        end = time.monotonic()
        summary = self.summaries.pop() if self.summaries else None
        names = {self._by_steps: "steps", self._by_procedures: "procedure"}
        run = {"kind": kind, "way": names[way], "warm_up": warm_up, "begin": begin, "end": end}
        self.runs.append({**run, "spans": self.recorder.take(), "summary": summary})

    def _by_steps(self, hints: Gimp.Layer | None) -> None:
        from records import Settings
        from subject import Subject

        self.job.colorize(Subject(self.photo), [hints] if hints else [], Settings())

    def _by_procedures(self, hints: Gimp.Layer | None) -> None:
        name = "plug-in-colorize-hints" if hints else "plug-in-colorize"
        procedure = Gimp.get_pdb().lookup_procedure(name)
        config = procedure.create_config()
        config.set_property("run-mode", Gimp.RunMode.NONINTERACTIVE)
        config.set_property("image", self.image)
        config.set_core_object_array("drawables", [self.photo])
        result = procedure.run(config)
        if result.index(0) != Gimp.PDBStatusType.SUCCESS:
            raise RuntimeError(f"{name}: {result.index(1)}")


def measure(folder: str) -> None:
    """Does what case.json in the folder says; the runs are in runs.json there."""
    Gegl.init(None)
    case = json.loads((Path(folder) / "case.json").read_text())
    bench = Bench(Path(case["photo"]), Path(case["plug_in"]))
    for number in range(case["warm_ups"] + case["repeats"]):
        bench.repeat(warm_up=number < case["warm_ups"])
    facts = {
        "gimp": Gimp.version(),
        "python": sys.version.split()[0],
        "precision": bench.image.get_precision().value_nick,
    }
    (Path(folder) / "runs.json").write_text(json.dumps({**facts, "runs": bench.runs}, default=str))
    bench.image.delete()
