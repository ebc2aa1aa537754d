"""The training loop of every recipe.

Everything random in step k follows from (seed, k) and from the place of each picture in the order of the run, so a
resumed run repeats the steps that an unbroken one would have made, and two processes with half the batch each see the
pictures that one process with the whole batch sees. Checkpoints therefore hold no state of a random generator.
"""

import dataclasses
import json
import platform
import signal
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from colorize_engine.networks.served import ServedNetwork
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau
from tqdm import tqdm

from colorize_training.chances import Chances
from colorize_training.data import PackedPhotographs, ResidentPhotographs
from colorize_training.devices import native_bf16
from colorize_training.recipes.recipe import Recipe, Turn, to_device
from colorize_training.running import checkpoint
from colorize_training.running.logs import Logs
from colorize_training.running.process_group import ProcessGroup
from colorize_training.running.validation import Validation
from colorize_training.settings import LoopSettings
from colorize_training.writing import make_folder, write_text

# Settings that may change when a run is resumed: they do not change what a step computes.
FREE = {"samples", "minutes", "compile", "threads", "drawers", "save_every", "validate_every", "validate_on", "device"}
RATES = "lr"  # what the names of learning rates end with: they may be lower than before


class Stopped(Exception):
    """Ctrl-C or SIGTERM: the checkpoint is saved and the run can be resumed."""


class Objective(nn.Module):
    """A recipe's losses as one module, so that gradients of any of them can be averaged over processes."""

    def __init__(self, recipe: Recipe, network: nn.Module) -> None:
        super().__init__()
        self.recipe, self.network = recipe, network

    def forward(self, batch: Any, objective: str) -> tuple[Tensor, dict[str, Tensor]]:
        return self.recipe.loss(self.network, batch, objective)


class Run:
    """One training run in the folder `out`; resumes what it finds there.

    Raises ValueError where that was trained otherwise, checkpoint.BadCheckpoint where it is damaged.
    """

    def __init__(self, recipe: Recipe, settings: LoopSettings, photographs: PackedPhotographs, out: Path) -> None:
        self.recipe, self.settings, self.out = recipe, settings, out
        self.photographs = _share(photographs, settings.training_share, recipe.settings.seed)
        if settings.threads:
            torch.set_num_threads(settings.threads)
        self.group = ProcessGroup.join(settings.device)
        self.batch = recipe.settings.batch * self.group.world_size
        self.steps = settings.samples // self.batch  # where no time is set
        if not (self.steps or settings.minutes):
            raise ValueError(
                f"--samples {settings.samples} make no step of {self.batch} pictures; raise it, or lower --batch"
            )
        make_folder(out)
        self._start()
        if self.last.exists():
            self._restore(checkpoint.load_run(self.last))

    def _start(self) -> None:
        recipe, settings, device = self.recipe, self.settings, self.group.device
        recipe.prepare(self.photographs)
        torch.manual_seed(recipe.settings.seed)
        network = self.group.sync_batch_norms(recipe.build().train())
        self.network = network.to(device).to(memory_format=torch.channels_last)
        self._check_sizes()
        self.optimizers = recipe.optimizers(self.network)
        self.full_rates = {name: [g["lr"] for g in o.param_groups] for name, o in self.optimizers.items()}
        self.plateaus = self._plateaus()
        objective = self.group.wrap(Objective(recipe, self.network), len(self.optimizers) > 1)
        self.objective = torch.compile(objective, dynamic=False) if settings.compile else objective
        self.average = {k: v.clone() for k, v in self.network.state_dict().items()} if settings.ema else None
        self.bf16 = settings.precision == "bf16" or (settings.precision == "auto" and native_bf16(device))
        self.step, self.best = 0, -float("inf")
        self._looked = -1, 0.0  # a step, and its progress by the clock
        self._before, self._began = 0.0, time.monotonic()  # seconds of the run's earlier parts; when this one began
        self.resident = ResidentPhotographs(self.photographs, device)
        self._drawers = ThreadPoolExecutor(settings.drawers)
        self._drawn: dict[int, Future[Any]] = {}
        self._next: dict[int, Any] = {}

    def _check_sizes(self) -> None:
        stride = self.served.stride
        for name in ("size", "early_size", "validate_size"):
            side = getattr(self.settings, name)
            if side % stride:
                option = name.replace("_", "-")
                raise ValueError(f"--{option} {side}: {self.recipe.name} takes sides that are multiples of {stride}")

    def _plateaus(self) -> list[ReduceLROnPlateau]:
        if self.settings.schedule != "plateau":
            return []
        if self.settings.warm_up:
            raise ValueError("--schedule plateau has no warm-up; leave --warm-up at 0")
        return [ReduceLROnPlateau(o, patience=self.settings.patience) for o in self.optimizers.values()]

    @property
    def last(self) -> Path:
        return self.out / "last.pt"

    @property
    def samples(self) -> int:
        """Pictures seen so far, by all processes."""
        return self.step * self.batch

    @property
    def seconds(self) -> float:
        """How long the run has trained, in all its parts."""
        return self._before + time.monotonic() - self._began

    @property
    def progress(self) -> float:
        """How much of the run is over, 0..1, at the beginning of this step; for all processes alike."""
        if not self.settings.minutes:
            return self.step / self.steps if self.steps else 1.0
        if self._looked[0] != self.step:
            self._looked = self.step, min(1.0, self.group.from_main(self.seconds) / 60 / self.settings.minutes)
        return self._looked[1]

    @property
    def served(self) -> ServedNetwork:
        """The part of the network that the service will hold."""
        part = self.network.get_submodule(self.recipe.served_prefix.rstrip("."))
        if not isinstance(part, ServedNetwork):
            raise TypeError(f"{self.recipe.name} trains no ServedNetwork, but a {type(part).__name__}")
        return part

    def train(self, validation: Validation | None) -> None:
        """Run to the end; raises Stopped, with the state saved, on Ctrl-C or SIGTERM."""
        if self.settings.schedule == "plateau" and validation is None:
            raise ValueError("--schedule plateau needs photographs for validation")
        logs = Logs(self.out, self.samples) if self.group.is_main else None
        if self.group.is_main:
            self._describe()
        try:
            self._train(validation, logs)
        finally:
            if logs:
                logs.close()
            self._drawers.shutdown(cancel_futures=True)
            self.group.leave()

    def _train(self, validation: Validation | None, logs: Logs | None) -> None:
        saved, seen = time.monotonic(), self.samples
        total = self._last * self.batch or None
        self._began, self._looked = time.monotonic(), (-1, 0.0)
        with _Interrupt() as interrupt, tqdm(total=total, initial=seen, unit="img", disable=logs is None) as bar:
            while self.progress < 1:
                values = self.train_step()
                if logs:
                    bar.update(self.batch)
                    bar.set_postfix({k: f"{v:.4g}" for k, v in values.items()})
                    bar.set_description("" if total else f"{self.progress:.1%} of the time")
                    logs.step(self.samples, **values)
                if validation and self._due():
                    self._validate(validation, logs)
                stop = self.group.any(interrupt.seen)
                if stop or time.monotonic() - saved > self.settings.save_every or self.progress == 1:
                    self.save(self.last)
                    saved = time.monotonic()
                if stop:
                    raise Stopped(f"stopped after {self.samples} samples; the same command resumes")

    def train_step(self) -> dict[str, float]:
        """One step: every player whose turn it is learns once. Returns the summed loss and its parts."""
        rng = np.random.default_rng([self.recipe.settings.seed, 2, self.step, self.group.rank])
        torch.manual_seed(int(rng.integers(2**62)))
        batch = self._batch()
        total, values = 0.0, dict[str, float]()
        for turn in self.recipe.turns(self.progress):
            loss, parts = self._take(turn, batch)
            total += loss
            values |= parts
        self.step += 1
        self._update_average()
        values = {"loss": total} | values
        return dict(zip(values, self.group.mean(values.values()), strict=True))

    def _take(self, turn: Turn, batch: Any) -> tuple[float, dict[str, float]]:
        optimizer = self.optimizers[turn.player]
        own = {id(p) for g in optimizer.param_groups for p in g["params"]}
        for other in self.optimizers.values():
            for parameter in (p for g in other.param_groups for p in g["params"]):
                parameter.requires_grad_(id(parameter) in own)
        with torch.autocast(self.group.device.type, torch.bfloat16, enabled=self.bf16):
            loss, parts = self.objective(batch, turn.objective)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if not self.recipe.drawn_ahead and not self._next and self.step + 1 != self._last:
            # before anything waits for the device, which would then have nothing to do
            self._next[self.step + 1] = self._draw(self.step + 1)
        learning = [p for g in optimizer.param_groups for p in g["params"]]
        norm = nn.utils.get_total_norm([p.grad for p in learning if p.grad is not None])
        if not (torch.isfinite(loss) and torch.isfinite(norm)):
            raise FloatingPointError(self._diverged(f"the loss is {loss.item():g}, its gradient {norm.item():g}"))
        if self.settings.clip:
            nn.utils.clip_grads_with_norm_(learning, self.settings.clip, norm)
        self._set_rates(turn.player)
        optimizer.step()
        values = torch.stack([loss.detach(), *parts.values()]).tolist()
        return values[0], dict(zip(parts, values[1:], strict=True))

    def _batch(self) -> Any:
        """This step's batch; the next ones may be drawn while this one is learned."""
        if self.recipe.drawn_ahead:
            ahead = self.step + 1 + self.settings.drawers
            for step in range(self.step, min(ahead, self._last or ahead)):
                if step not in self._drawn:
                    self._drawn[step] = self._drawers.submit(self._draw, step)
            return to_device(self._drawn.pop(self.step).result(), self.group.device)
        return self._next.pop(self.step, None) or self._draw(self.step)

    @property
    def _last(self) -> int:
        """How many steps there are; 0 where the clock says it."""
        return 0 if self.settings.minutes else self.steps

    def _draw(self, step: int) -> Any:
        own = self.recipe.settings.batch
        first = step * self.batch + self.group.rank * own
        seeds = Chances(torch.arange(first, first + own) + (self.recipe.settings.seed << 40)).new_seeds()
        return self.recipe.batch(self.resident, self._numbers(first, own), seeds, self._size(step))

    def _numbers(self, first: int, count: int) -> np.ndarray:
        """Photographs at `count` places of the run's order: every epoch is a permutation of all of them."""
        epochs, places = np.divmod(np.arange(first, first + count), len(self.photographs))
        orders = {epoch: self._order(epoch) for epoch in np.unique(epochs)}
        return np.array([orders[e][p] for e, p in zip(epochs, places, strict=True)])

    def _order(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self.recipe.settings.seed, 0, epoch]).permutation(len(self.photographs))

    def _size(self, step: int) -> int:
        share = self.progress if self.settings.minutes else step / max(1, self.steps)
        early = self.settings.early_size and share < self.settings.early_share
        return self.settings.early_size if early else self.settings.size

    def _set_rates(self, player: str) -> None:
        if self.plateaus:
            return
        warm = (self.step + 1) / max(1, self.settings.warm_up)
        share = self.settings.fall_share
        falls = self.settings.schedule == "fall" and share > 0
        rate = min(1.0, warm, (1 - self.progress) / share if falls else 1.0)
        for group, full in zip(self.optimizers[player].param_groups, self.full_rates[player], strict=True):
            group["lr"] = full * rate

    @torch.no_grad()
    def _update_average(self) -> None:
        if self.average is None:
            return
        decay = min(self.settings.ema, (1 + self.step) / (10 + self.step))
        pairs = [(self.average[name], value) for name, value in self.network.state_dict().items()]
        floats, others = ([p for p in pairs if p[0].is_floating_point() is own] for own in (True, False))
        averages, values = (list(side) for side in zip(*floats, strict=True))
        torch._foreach_lerp_(averages, values, 1 - decay)  # all at once, as torch's own averages of weights do
        for average, value in others:
            average.copy_(value)

    def _due(self) -> bool:
        every = max(1, self.settings.validate_every // self.batch)
        return self.step % every == 0 or self.progress == 1

    def _validate(self, validation: Validation, logs: Logs | None) -> None:
        """The main process validates and keeps the best; all get its loss, for the learning rate."""
        loss = 0.0
        if logs:
            scores = self._scores(validation)
            logs.validated(self.samples, **scores)
            tqdm.write(json.dumps({"samples": self.samples, **{k: round(v, 5) for k, v in scores.items()}}))
            loss = scores["loss"]
            score = -loss if self.recipe.selection_metric == "loss" else scores["psnr_0"] + scores["psnr_10"]
            if score > self.best:
                self.best = score
                self.save(self.out / "best.pt")
        loss = self.group.from_main(loss)
        for plateau in self.plateaus:
            plateau.step(loss)

    def _scores(self, validation: Validation) -> dict[str, float]:
        own = {k: v.clone() for k, v in self.network.state_dict().items()}
        if self.average:
            self.network.load_state_dict(self.average)
        self.network.eval()
        scores = validation.run(self.network, self.served, self.out / f"sheet-{self.samples:08d}.png")
        self.network.train()
        self.network.load_state_dict(own)
        return scores

    def save(self, path: Path) -> None:
        """Write everything that the next step depends on. Raises FloatingPointError where no step can follow."""
        if self.group.is_main:
            state = self._state()
            if not all(_finite(state[name]) for name in ("network", "average", "optimizers")):
                raise FloatingPointError(self._diverged("the weights are no numbers any more"))
            checkpoint.save(state, path)

    def _diverged(self, what: str) -> str:
        """The sentence that ends a run whose numbers are none any more: what is kept, and how to go on."""
        rates = [(k, v) for k, v in dataclasses.asdict(self.recipe.settings).items() if k.endswith(RATES)]
        lower = " ".join(f"--{name.replace('_', '-')} {rate / 3:.2g}" for name, rate in rates)
        kept = f"{self.last} holds the last good state" if self.last.exists() else "nothing was kept"
        return f"{what} at step {self.step}; {kept}: run the same command with a lower rate, such as {lower}"

    def _state(self) -> dict[str, Any]:
        return {
            "recipe": self.recipe.name,
            "settings": dataclasses.asdict(self.recipe.settings) | dataclasses.asdict(self.settings),
            "config": self.served.metadata(),
            "step": self.step,
            "samples": self.samples,
            "seconds": self.seconds,
            "best": self.best,
            "network": self.network.state_dict(),
            "average": self.average,
            "optimizers": {name: o.state_dict() for name, o in self.optimizers.items()},
            "plateaus": [plateau.state_dict() for plateau in self.plateaus],
            "world": self.group.world_size,
            "data": self.photographs.digest,
            "rates": self.full_rates,
            "versions": versions(),
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self._refuse_another(state)
        self.network.load_state_dict(state["network"])
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
            _lower(optimizer, self.full_rates[name], state.get("rates", self.full_rates)[name])
        for plateau, kept in zip(self.plateaus, state["plateaus"], strict=True):
            plateau.load_state_dict(kept)
        if self.average is not None:
            self.average = {k: v.to(self.group.device) for k, v in state["average"].items()}
        self.step, self.best = state["step"], state["best"]
        self._before = state.get("seconds", 0.0)
        if self.group.is_main:
            print(f"resumed {self.last} at {self.samples} samples", flush=True)

    def _refuse_another(self, state: dict[str, Any]) -> None:
        now = self._state()
        for key in ("recipe", "data", "world"):
            if state.get(key) != now[key]:
                raise ValueError(
                    f"{self.last} was trained with another {key} ({state.get(key)}, now {now[key]}); {_ELSE}"
                )
        then = state["settings"]  # of an earlier version that may not have had every setting
        changed = [k for k, v in now["settings"].items() if k not in FREE and then.get(k, v) != v]
        refused = [k for k in changed if not (k.endswith(RATES) and now["settings"][k] < then[k])]
        if refused:
            raise ValueError(f"{self.last} was trained with another --{refused[0].replace('_', '-')}; {_ELSE}")
        for name in changed if self.group.is_main else ():
            print(f"from here on --{name.replace('_', '-')} {now['settings'][name]:g}, was {then[name]:g}", flush=True)

    def _describe(self) -> None:
        """Everything to repeat the run with, beside its checkpoints."""
        described = {
            "command": sys.argv,
            "recipe": self.recipe.name,
            "settings": dataclasses.asdict(self.recipe.settings) | dataclasses.asdict(self.settings),
            "network": self.served.metadata(),
            "parameters": sum(p.numel() for p in self.served.parameters()),
            "photographs": len(self.photographs),
            "data": self.photographs.digest,
            "versions": versions(),
            "device": str(self.group.device),
            "processes": self.group.world_size,
            "threads": torch.get_num_threads(),
            "precision": "bf16" if self.bf16 else "fp32",
        }
        write_text(self.out / "run.json", json.dumps(described, indent=2) + "\n")


def _lower(optimizer: Optimizer, now: list[float], then: list[float]) -> None:
    """A rate that a plateau brought down stays down by as much, where this call's full one is another."""
    for group, full, before in zip(optimizer.param_groups, now, then, strict=True):
        group["lr"] *= full / before if before else 1.0


def _finite(state: Any) -> bool:
    """Whether all tensors in nested lists and maps are finite numbers."""
    if isinstance(state, Tensor):
        return not state.is_floating_point() or bool(torch.isfinite(state).all())
    inside = state.values() if isinstance(state, dict) else state if isinstance(state, list | tuple) else ()
    return all(map(_finite, inside))


def versions() -> dict[str, str]:
    """Of all that a step's numbers depend on."""
    packages = ("gimp-colorize", "torch", "torchvision", "numpy")
    return {"python": platform.python_version()} | {name: _version(name) for name in packages}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"  # this project's own, where it is only on the path


_ELSE = "choose another --out, or the settings of run.json beside it"


def _share(photographs: PackedPhotographs, share: float, seed: int) -> PackedPhotographs:
    """A random part of the photographs; the smaller part of the same seed lies within the larger one."""
    if share == 1:
        return photographs
    count = max(1, round(share * len(photographs)))
    return photographs.subset(np.sort(np.random.default_rng([seed, 3]).permutation(len(photographs))[:count]))


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
