"""The service as it is, with a clock at its steps: python timed_daemon.py EVENTS_FILE [ARGUMENTS OF THE SERVICE...]

After each reply that ends a request, one line of JSON is added to EVENTS_FILE: the moment, the spans of the service's
steps and of the messages that came, and the process's memory.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from colorize_client import codec, messages
from colorize_daemon import jobs, model_store, worker
from colorize_daemon import main as service
from timeline import Recorder

HERE = Path("/proc/self")


def memory(process: Path = HERE) -> dict[str, int]:
    """Bytes of a process in RAM: now, and at most since it started or since the peak was reset."""
    names = {"VmRSS": "rss", "VmHWM": "peak"}
    pairs = (line.split(":", 1) for line in (process / "status").read_text().splitlines())
    return {names[key]: 1024 * int(value.split()[0]) for key, value in pairs if key in names}


def instrument(recorder: Recorder, events: Path) -> None:
    """Puts clocks around the steps of the service, and of its engine once that is needed: its import takes seconds."""
    model_store.ModelStore.find = recorder.timed("find the model", model_store.ModelStore.find)
    worker.picture_key = recorder.timed("check the upload", worker.picture_key)
    get = model_store.ModelStore.get

    def get_timed(store: model_store.ModelStore, record: model_store.Record) -> model_store.Colorizer:
        model_store.ModelStore.get = get
        _instrument_engine(recorder)
        return get(store, record)

    model_store.ModelStore.get = get_timed
    _time_messages(recorder)
    _write_events(recorder, events)


def _instrument_engine(recorder: Recorder) -> None:
    from colorize_engine import colorizer

    engine = colorizer.Colorizer
    engine.set_image = recorder.timed("encode", engine.set_image)
    engine.predict = recorder.timed("predict", engine.predict)
    engine.render = _timed_parts(recorder, engine.render)
    engine.render_tiles = _timed_parts(recorder, engine.render_tiles)
    for step in ("rasterize", "split", "compose"):
        setattr(colorizer, step, recorder.timed("hints", getattr(colorizer, step)))


def _timed_parts(recorder: Recorder, render: Callable) -> Callable:
    def parts(*arguments: object, **options: object) -> Iterator[tuple]:
        coming = render(*arguments, **options)
        while True:
            with recorder.span("lift"):
                part = next(coming, None)
            if part is None:
                return
            yield part

    return parts


def _time_messages(recorder: Recorder) -> None:
    """A span "message TYPE" for each request, from its arrival until it is decoded."""
    decode = codec.decode_request

    def decoded(frames: list[memoryview]) -> messages.Request:
        came = time.monotonic()
        request = decode(frames)
        recorder.add(f"message {request.type}", came, time.monotonic())
        return request

    codec.decode_request = decoded


def _write_events(recorder: Recorder, events: Path) -> None:
    put = jobs.OutgoingQueue.put

    def putting(outgoing: jobs.OutgoingQueue, message: jobs.OutgoingMessage) -> None:
        put(outgoing, message)
        if message.final:
            event = {"moment": time.monotonic(), "spans": recorder.take(), "memory": memory()}
            with events.open("a") as file:
                file.write(json.dumps(event) + "\n")

    jobs.OutgoingQueue.put = putting


def main() -> int:
    instrument(Recorder(), Path(sys.argv[1]))
    return service.main(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
