"""Builds the compiled functions for every processor: python -m colorize_engine.native.build [FOLDER].

With the compiler of the package ziglang, whose version pyproject.toml names, the same bytes come out on every machine.
No library is linked, not even libc's, so what is built runs on every Linux with such a processor. SUMS names the
built files' SHA-256: a file that was damaged is not loaded.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from colorize_engine.native.functions import SUMS, digest, file_name

HERE = Path(__file__).parent
SOURCE = "kernels.c"
PROCESSORS = ("x86_64", "aarch64")
# -ffp-contract=off: the same bits on processors that could multiply and add in one step, and in every vector's lane.
OPTIMIZED = ("-std=c99", "-O3", "-mcpu=baseline", "-fno-math-errno", "-ffp-contract=off")
WITHOUT_LIBRARIES = ("-fPIC", "-ffreestanding", "-fno-builtin", "-fvisibility=hidden")
STRICT = ("-Wall", "-Wextra", "-Werror")
LINKED = ("-shared", "-s", "-z", "defs", "-z", "noexecstack", "--build-id=none")


def build(folder: Path) -> None:
    """Builds all libraries, and SUMS, into a folder. Raises subprocess.CalledProcessError where the compiler fails."""
    for processor in PROCESSORS:
        _build(processor, folder / file_name(processor))
    sums = (f"{digest(folder / file_name(each))}  {file_name(each)}\n" for each in PROCESSORS)
    (folder / SUMS).write_text("".join(sums), encoding="ascii")


def _build(processor: str, library: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        code = Path(scratch) / "kernels.o"
        # In the source's folder and by its name alone, so that no path of this machine gets into the result.
        flags = ("-target", f"{processor}-linux-gnu", *OPTIMIZED, *WITHOUT_LIBRARIES, *STRICT)
        _zig("cc", *flags, "-c", "-o", str(code), SOURCE, scratch=scratch)
        _zig("ld.lld", *LINKED, "-o", str(library.resolve()), str(code), scratch=scratch)
    library.chmod(0o644)


def _zig(*arguments: str, scratch: str) -> None:
    caches = {"ZIG_GLOBAL_CACHE_DIR": scratch, "ZIG_LOCAL_CACHE_DIR": scratch}
    subprocess.run([sys.executable, "-m", "ziglang", *arguments], cwd=HERE, env=os.environ | caches, check=True)


if __name__ == "__main__":
    build(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
