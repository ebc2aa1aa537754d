"""`gimp-colorize`: colours photographs in files through the colour service."""

from importlib.metadata import version

VERSION = version("gimp-colorize")
CLIENT_NAME = f"gimp-colorize {VERSION}"
