"""`gimp-colorize`: colours photographs in files through the colour service."""

import os
from importlib.metadata import version

# Before numpy comes: its OpenBLAS has threads of its own, which spin for 25 ms after a product of 3 x 3 numbers.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

VERSION = version("gimp-colorize")
CLIENT_NAME = f"gimp-colorize {VERSION}"
