"""The client of the colour service: standard library, pyzmq and msgpack only, for Python 3.11 and later.

with connect(client="my-program 1.0") as service:
    summary = service.colorize(picture, hints, options, on_band=write_rows)

Each name is imported when it is first used: who needs an error or the options alone, as the engine and the plug-in's
start do, loads neither pyzmq nor msgpack.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from colorize_client.client import Client, connect
    from colorize_client.errors import Cancelled, ColorizeError
    from colorize_client.logs import log_tail
    from colorize_client.options import Options
    from colorize_client.picture import HintTiles, Picture
    from colorize_client.stopping import end_by_force, stop_service
    from colorize_client.wire import CurveKeys

__all__ = [
    "Cancelled",
    "Client",
    "ColorizeError",
    "CurveKeys",
    "HintTiles",
    "Options",
    "Picture",
    "connect",
    "end_by_force",
    "log_tail",
    "stop_service",
]

_MODULES = {
    "client": ("Client", "connect"),
    "errors": ("Cancelled", "ColorizeError"),
    "logs": ("log_tail",),
    "options": ("Options",),
    "picture": ("HintTiles", "Picture"),
    "stopping": ("end_by_force", "stop_service"),
    "wire": ("CurveKeys",),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
