"""The plug-in's version, and the name by which the service's log knows it."""

import os

VERSION = "0.1.0"
CLIENT = f"gimp-plug-in {VERSION} (process {os.getpid()})"
