"""gimp-colorize-daemon with the stand-in engine, as a program of its own: something to kill."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from colorize_daemon import main as service  # noqa: E402
from standin_engine import make_store  # noqa: E402

if __name__ == "__main__":
    sys.exit(service.main(make_store=make_store))
