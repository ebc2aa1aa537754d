"""What a run leaves to read and to look at: CSV tables, TensorBoard events, curves as a picture."""

import csv
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # no window, also where a desktop is there
from matplotlib import pyplot as plt  # noqa: E402

SMOOTH = 50  # rows of the training log that one point of the curve averages, at least


class Table:
    """A CSV file that grows by rows; a row may bring new columns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = read_rows(path) if path.exists() else []
        self.columns = list(self.rows[0]) if self.rows else []

    def add(self, **row: float | int | str) -> None:
        """Append a row; what the file holds is rewritten only where the row brings a new column."""
        self.rows.append({k: f"{v:.6g}" if isinstance(v, float) else str(v) for k, v in row.items()})
        if set(row) <= set(self.columns):
            with open(self.path, "a", newline="") as file:
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
        part = self.path.with_suffix(".part")
        with open(part, "w", newline="") as file:
            writer = csv.DictWriter(file, self.columns)
            writer.writeheader()
            writer.writerows(self.rows)
        os.replace(part, self.path)


def write_rows(rows: Sequence[Mapping[str, float | int | str]], path: Path) -> None:
    """Write a whole CSV file; rows may lack columns that others have."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file whose first line names the columns."""
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


class Logs:
    """The logs of the run in the folder `out`, cut to `samples` where an earlier run went further."""

    def __init__(self, out: Path, samples: int) -> None:
        self.out = out
        self.training, self.validation = Table(out / "log.csv"), Table(out / "validation.csv")
        self.training.cut(samples)
        self.validation.cut(samples)
        self.events = _tensorboard(out, samples)

    def step(self, samples: int, **values: float) -> None:
        self.training.add(samples=samples, **values)
        self._event("training", samples, values)

    def validated(self, samples: int, **values: float) -> None:
        """Log a validation and draw `curves.png` anew."""
        self.validation.add(samples=samples, **values)
        self._event("validation", samples, values)
        draw_curves(self.training, self.validation, self.out / "curves.png")

    def close(self) -> None:
        if self.events:
            self.events.close()

    def _event(self, kind: str, samples: int, values: dict[str, float]) -> None:
        if self.events:
            for name, value in values.items():
                self.events.add_scalar(f"{kind}/{name}", value, samples)


def _tensorboard(out: Path, samples: int):
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        print("tensorboard is not installed: no events are written, the CSV files and curves.png are", flush=True)
        return None
    return SummaryWriter(str(out / "events"), purge_step=samples + 1)


def draw_curves(training: Table, validation: Table, path: Path) -> None:
    """Loss in training (smoothed) and in validation, and the validation's PSNR, over the samples seen."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    x, y = training.column("samples"), training.column("loss")
    width = max(1, min(SMOOTH, len(y) // 20))
    smooth = [sum(y[i : i + width]) / width for i in range(len(y) - width + 1)]
    left.plot(x[width - 1 :], smooth, label=f"training, mean of {width} steps")
    left.plot(validation.column("samples"), validation.column("loss"), "o-", label="validation")
    left.set(xlabel="pictures seen", ylabel="loss")
    for name in [c for c in validation.columns if c.startswith("psnr")]:
        right.plot(validation.column("samples"), validation.column(name), "o-", label=name)
    right.set(xlabel="pictures seen", ylabel="PSNR (dB)")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=100)
    plt.close(figure)
