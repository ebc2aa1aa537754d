"""CSV tables: whole ones, and such as grow by rows while something runs."""

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from colorize_training.writing import explained, replacing


class Table:
    """A CSV file that grows by rows; a row may bring new columns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = read_rows(path) if path.exists() else []
        self.columns = list(self.rows[0]) if self.rows else []
        if path.exists() and not path.read_bytes().endswith(b"\n"):  # a full disk, or a kill, cut the last row
            self.rows = self.rows[:-1]
            self._rewrite()

    def add(self, **row: float | int | str) -> None:
        """Append a row; what the file holds is rewritten only where the row brings a new column."""
        self.rows.append({k: _text(v) for k, v in row.items()})
        if set(row) <= set(self.columns):
            with explained(self.path), open(self.path, "a", newline="") as file:
                csv.DictWriter(file, self.columns).writerow(self.rows[-1])
        else:
            self.columns += [k for k in row if k not in self.columns]
            self._rewrite()

    def cut(self, samples: int) -> None:
        """Forget what came after `samples`: a run that was killed goes on from an earlier checkpoint."""
        self.keep(lambda row: float(row["samples"]) <= samples)

    def keep(self, wanted: Callable[[dict[str, str]], bool]) -> None:
        """Forget all other rows."""
        kept = [row for row in self.rows if wanted(row)]
        if len(kept) < len(self.rows):
            self.rows = kept
            self._rewrite()

    def column(self, name: str) -> list[float]:
        return [float(row[name]) for row in self.rows if row.get(name)]

    def _rewrite(self) -> None:
        with replacing(self.path) as part, open(part, "w", newline="") as file:
            writer = csv.DictWriter(file, self.columns)
            writer.writeheader()
            writer.writerows(self.rows)


def write_rows(rows: Sequence[Mapping[str, float | int | str]], path: Path) -> None:
    """Write a whole CSV file; rows may lack columns that others have."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with replacing(path) as part, open(part, "w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows({k: _text(v) for k, v in row.items()} for row in rows)


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file whose first line names the columns."""
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def _text(value: float | int | str) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
