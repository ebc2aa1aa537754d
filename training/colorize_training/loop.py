"""The training loop of every recipe.

Everything random in step k follows from (seed, k), so a resumed run repeats the steps that an unbroken one would have
made. The learning rate warms up, stays, and falls to zero over the last share of the steps: a run can be given a
later or an earlier end as long as its fall has not begun.
"""

import csv
import dataclasses
import json
import platform
import signal
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from colorize_training import checkpoint
from colorize_training.data import PackedPhotographs
from colorize_training.recipes import Recipe
from colorize_training.validation import Validation


@dataclass(frozen=True)
class LoopSettings:
    """Settings of the loop."""

    samples: int = 200_000  # crops seen in the whole run
    size: int = 160  # pixels of a crop's side, a multiple of 32
    early_size: int = 128  # the same until `early_share` of the samples is seen
    early_share: float = 0.6
    warm_up: int = 200  # steps
    fall_share: float = 0.35  # of the samples, during which the learning rate falls to zero
    ema: float = 0.998
    clip: float = 1.0  # norm of the gradient
    validate_every: int = 16_000  # samples
    save_every: int = 300  # seconds
    threads: int = 0  # 0: torch's own choice


class Stopped(Exception):
    """Ctrl-C or SIGTERM: the checkpoint is saved and the run can be resumed."""


class Run:
    """One training run in the folder `out`; resumes what it finds there."""

    def __init__(self, recipe: Recipe, settings: LoopSettings, photographs: PackedPhotographs, out: Path) -> None:
        self.recipe, self.settings, self.photographs, self.out = recipe, settings, photographs, out
        self.batch = recipe.settings.batch
        self.steps = settings.samples // self.batch
        if settings.threads:
            torch.set_num_threads(settings.threads)
        out.mkdir(parents=True, exist_ok=True)
        recipe.prepare(photographs)
        torch.manual_seed(recipe.settings.seed)
        self.network = recipe.build().train().to(memory_format=torch.channels_last)
        self.average = {k: v.clone() for k, v in self.network.state_dict().items()}
        self.optimizer = torch.optim.AdamW(recipe.parameter_groups(self.network), lr=0, betas=(0.9, 0.98))
        self.full_rates = [group["lr"] for group in recipe.parameter_groups(self.network)]
        self.step, self.best = 0, -1.0
        self._drawer, self._drawn = ThreadPoolExecutor(1), {}
        if self.last.exists():
            self._restore(checkpoint.load(self.last))

    @property
    def last(self) -> Path:
        return self.out / "last.pt"

    def train(self, validation: Validation | None) -> None:
        """Run to the end; raises Stopped, with the state saved, on Ctrl-C or SIGTERM."""
        self._describe()
        saved, interrupted = time.monotonic(), _Interrupt()
        with interrupted, _Log(self.out / "log.csv") as log:
            bar = tqdm(total=self.steps * self.batch, initial=self.step * self.batch, unit="img", smoothing=0.05)
            while self.step < self.steps:
                loss, parts = self.train_step()
                bar.update(self.batch)
                bar.set_postfix(loss=f"{loss:.3f}", **{k: f"{v:.2f}" for k, v in parts.items()})
                log.write(samples=self.step * self.batch, loss=loss, **parts)
                if validation and self._due():
                    self._validate(validation)
                if interrupted.seen or time.monotonic() - saved > self.settings.save_every or self.step == self.steps:
                    checkpoint.save(self._state(), self.last)
                    saved = time.monotonic()
                if interrupted.seen:
                    raise Stopped(f"stopped after {self.step * self.batch} samples; the same command resumes")

    def train_step(self) -> tuple[float, dict[str, float]]:
        """One step of the optimizer; returns the loss and its parts."""
        for group, rate in zip(self.optimizer.param_groups, self.full_rates, strict=True):
            group["lr"] = rate * self._rate()
        loss, parts = self.recipe.loss(self.network, self._batch())
        if not torch.isfinite(loss):
            raise FloatingPointError(f"the loss is {loss.item()} at step {self.step}; lower the learning rate")
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.clip)
        self.optimizer.step()
        self.step += 1
        self._update_average()
        return loss.item(), parts

    def _batch(self) -> Any:
        """This step's batch; the next one is drawn in the background while this one is learned."""
        if self.step not in self._drawn:
            self._drawn[self.step] = self._draw(self.step)
        if self.step + 1 < self.steps:
            self._drawn[self.step + 1] = self._draw(self.step + 1)
        return self._drawn.pop(self.step).result()

    def _draw(self, step: int) -> Future:
        rng = np.random.default_rng([self.recipe.settings.seed, step])
        return self._drawer.submit(self.recipe.draw, self.photographs, self._numbers(step), self._size(step), rng)

    def _numbers(self, step: int) -> np.ndarray:
        """Photographs of a step: every epoch is a permutation of all of them."""
        positions = np.arange(step * self.batch, (step + 1) * self.batch)
        epochs, places = np.divmod(positions, len(self.photographs))
        orders = {e: np.random.default_rng([self.recipe.settings.seed, 1 << 40, e]) for e in np.unique(epochs)}
        orders = {e: rng.permutation(len(self.photographs)) for e, rng in orders.items()}
        return np.array([orders[e][p] for e, p in zip(epochs, places, strict=True)])

    def _size(self, step: int) -> int:
        early = step < self.settings.early_share * self.steps
        return self.settings.early_size if early else self.settings.size

    def _rate(self) -> float:
        warm = (self.step + 1) / self.settings.warm_up
        fall = (self.steps - self.step) / max(1, self.settings.fall_share * self.steps)
        return min(1.0, warm, fall)

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.settings.ema, (1 + self.step) / (10 + self.step))
        for name, value in self.network.state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 - decay)
            else:
                self.average[name].copy_(value)

    def _due(self) -> bool:
        every = max(1, self.settings.validate_every // self.batch)
        return self.step % every == 0 or self.step == self.steps

    def _validate(self, validation: Validation) -> None:
        own = {k: v.clone() for k, v in self.network.state_dict().items()}
        self.network.load_state_dict(self.average)
        self.network.eval()
        scores = validation.run(self.network, self.out / f"sheet-{self.step * self.batch:08d}.png")
        self.network.train()
        self.network.load_state_dict(own)
        with _Log(self.out / "validation.csv") as log:
            log.write(samples=self.step * self.batch, **scores)
        tqdm.write(json.dumps({"samples": self.step * self.batch, **{k: round(v, 3) for k, v in scores.items()}}))
        if scores["score"] > self.best:
            self.best = scores["score"]
            checkpoint.save(self._state(), self.out / "best.pt")

    def _state(self) -> dict[str, Any]:
        return {
            "recipe": self.recipe.name,
            "settings": dataclasses.asdict(self.recipe.settings) | dataclasses.asdict(self.settings),
            "step": self.step,
            "best": self.best,
            "network": self.network.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "data": self.photographs.digest,
        }

    def _restore(self, state: dict[str, Any]) -> None:
        if (state["recipe"], state["data"]) != (self.recipe.name, self.photographs.digest):
            raise ValueError(f"{self.last} was trained with another recipe or other data; choose another --out")
        self.network.load_state_dict(state["network"])
        self.average = {k: v.clone() for k, v in state["average"].items()}
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.best = state["step"], state["best"]
        print(f"resumed {self.last} at {self.step * self.batch} samples", flush=True)

    def _describe(self) -> None:
        """Everything to repeat the run with, beside its checkpoints."""
        described = {
            "recipe": self.recipe.name,
            "settings": dataclasses.asdict(self.recipe.settings) | dataclasses.asdict(self.settings),
            "photographs": len(self.photographs),
            "data": self.photographs.digest,
            "torch": torch.__version__,
            "python": platform.python_version(),
            "threads": torch.get_num_threads(),
        }
        (self.out / "run.json").write_text(json.dumps(described, indent=2) + "\n")


class _Interrupt:
    """Remembers Ctrl-C and SIGTERM instead of raising in the middle of a step."""

    seen = False

    def __enter__(self) -> "_Interrupt":
        self.old = {s: signal.signal(s, self._note) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def _note(self, *_: object) -> None:
        self.seen = True

    def __exit__(self, *_: object) -> None:
        for number, handler in self.old.items():
            signal.signal(number, handler)


class _Log:
    """Appends rows to a CSV file whose first row names the columns."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> "_Log":
        self.file = open(self.path, "a", newline="")
        self.writer = csv.writer(self.file)
        self.empty = self.path.stat().st_size == 0
        return self

    def write(self, **row: float | Tensor) -> None:
        if self.empty:
            self.writer.writerow(row)
            self.empty = False
        self.writer.writerow([f"{v:.6g}" for v in row.values()])
        self.file.flush()

    def __exit__(self, *_: object) -> None:
        self.file.close()
