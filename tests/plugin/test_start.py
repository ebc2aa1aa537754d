"""What the plug-in imports when GIMP starts it: where pyzmq or msgpack is missing, its menu entries are still there.

GIMP leaves out a plug-in that fails while it is imported, without a word to the user; imported later, inside a
command, what is missing is named in a sentence.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

PLUG_IN = Path(__file__).resolve().parents[2] / "gimp_plugin" / "colorize"
ABSENT = "import sys; sys.modules['zmq'] = sys.modules['msgpack'] = None"


def imported_at_start() -> set[str]:
    """The import statements of the client at the top of the plug-in's modules."""
    return {
        ast.unparse(node)
        for file in PLUG_IN.glob("*.py")
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("colorize_client")
    }


def test_start_needs_neither_pyzmq_nor_msgpack() -> None:
    statements = sorted(imported_at_start())
    assert statements
    done = subprocess.run([sys.executable, "-c", "\n".join([ABSENT, *statements])], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
