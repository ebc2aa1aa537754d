"""What a run leaves to read and to look at: CSV tables, TensorBoard events, curves as a picture."""

from pathlib import Path
from typing import TYPE_CHECKING

from colorize_training.figures import draw_curves
from colorize_training.tables import Table
from colorize_training.writing import explained

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


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
        """Log a validation and draw `curves.png` again."""
        self.validation.add(samples=samples, **values)
        self._event("validation", samples, values)
        draw_curves(self.training, self.validation, self.out / "curves.png")

    def close(self) -> None:
        if self.events:
            with explained(self.out / "events"):
                self.events.close()

    def _event(self, kind: str, samples: int, values: dict[str, float]) -> None:
        if self.events:
            with explained(self.out / "events"):
                for name, value in values.items():
                    self.events.add_scalar(f"{kind}/{name}", value, samples)


def _tensorboard(out: Path, samples: int) -> "SummaryWriter | None":
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        print("tensorboard is not installed: no events are written, the CSV files and curves.png are", flush=True)
        return None
    return SummaryWriter(str(out / "events"), purge_step=samples + 1)
