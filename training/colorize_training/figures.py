"""Figures that matplotlib draws, without a window."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # no window, also where a desktop is there
from matplotlib import pyplot as plt  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

from colorize_training.tables import Table  # noqa: E402
from colorize_training.writing import replacing  # noqa: E402

__all__ = ["draw_curves", "plt", "save_figure"]

SMOOTH = 50  # rows of the training log that one point of the curve averages, at least


def draw_curves(training: Table, validation: Table, path: Path) -> None:
    """Loss in training (smoothed) and in validation, and the validation's PSNR, over the samples seen."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    x, y = training.column("samples"), training.column("loss")
    width = max(1, min(SMOOTH, len(y) // 20))
    left.plot(x[width - 1 :], _moving_mean(y, width), label=f"training, mean of {width} steps")
    left.plot(validation.column("samples"), validation.column("loss"), "o-", label="validation")
    left.set(xlabel="pictures seen", ylabel="loss")
    for name in [c for c in validation.columns if c.startswith("psnr")]:
        right.plot(validation.column("samples"), validation.column(name), "o-", label=name)
    right.set(xlabel="pictures seen", ylabel="PSNR (dB)")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend()
    save_figure(figure, path)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as a picture, and forget it. Raises writing.NotWritten."""
    with replacing(path) as part:
        figure.savefig(part, dpi=100)
    plt.close(figure)


def _moving_mean(values: Sequence[float], width: int) -> list[float]:
    return [sum(values[i : i + width]) / width for i in range(len(values) - width + 1)]
