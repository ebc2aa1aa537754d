"""The client of the colour service: standard library, pyzmq and msgpack only, for Python 3.11 and later.

with connect(client="my-program 1.0") as service:
    summary = service.colorize(picture, hints, options, on_band=write_rows)
"""

from colorize_client.client import Client, connect
from colorize_client.errors import Cancelled, ColorizeError
from colorize_client.launcher import end_by_force
from colorize_client.picture import HintTiles, Options, Picture
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
]
