"""Tells whether an environment is whole: all its packages are there, with every file, each in the recorded size.

    verify_environment.py --record LIST    write down which packages the environment has
    verify_environment.py LIST             compare it with what was written down, and look at every file

Run by install.sh with the environment's own Python. Prints one line per damaged package; status 1 if there is one.
"""

import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path


def installed() -> dict[str, Distribution]:
    """The environment's own distributions by name and version; the system's, if visible, are not looked at."""
    folders = [path for path in sys.path if Path(path).is_relative_to(sys.prefix)]
    return {f"{found.name}=={found.version}": found for found in distributions(path=folders)}


def damaged_files(distribution: Distribution) -> list[str]:
    """Names of the distribution's files that are missing or cut short; a missing list of files counts as damage."""
    if distribution.files is None:
        return ["RECORD"]
    damaged = []
    for file in distribution.files:
        try:
            size = Path(str(file.locate())).stat().st_size
        except OSError:
            damaged.append(str(file))
            continue
        if file.size is not None and size != file.size:
            damaged.append(str(file))
    return damaged


def complaints(listed: Path) -> list[str]:
    """One sentence for each package that is not as it was when the list was written."""
    if not listed.is_file():
        return [f"{listed} is missing"]
    found = installed()
    lines = [f"{name} is missing" for name in listed.read_text().split() if name not in found]
    for name, distribution in found.items():
        if damaged := damaged_files(distribution):
            lines.append(f"{name}: {len(damaged)} of its files are missing or damaged, {damaged[0]} among them")
    return lines


def main(arguments: list[str]) -> int:
    match arguments:
        case ["--record", listed]:
            Path(listed).write_text("\n".join(sorted(installed())) + "\n")
            return 0
        case [listed]:
            found = complaints(Path(listed))
            print("\n".join(found), end="\n" if found else "")
            return 1 if found else 0
        case _:
            print(__doc__, file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
