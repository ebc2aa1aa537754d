import dataclasses
import itertools
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from colorize_engine import networks, weights
from colorize_training.commands.export import export
from colorize_training.data import PackedPhotographs
from colorize_training.main import main
from colorize_training.recipes import NAMES, recipe_class
from colorize_training.recipes.chroma import ChromaRecipe, ChromaSettings
from colorize_training.running import checkpoint
from colorize_training.running.loop import Run
from colorize_training.running.validation import Validation
from colorize_training.settings import LoopSettings
from colorize_training.tables import Table, read_rows
from safetensors.torch import save_file

SMALL = LoopSettings(samples=16, size=64, warm_up=1, validate_every=8, validate_on=2, ema=0.9)


def make(**settings: object) -> ChromaRecipe:
    """With the smaller encoder, for speed."""
    small = {"batch": 4, "backbone": "random", "encoder": "mobilenet_v2"}
    return ChromaRecipe(ChromaSettings(**small | settings))


def validation(recipe: ChromaRecipe, packed: PackedPhotographs, settings: LoopSettings = SMALL) -> Validation:
    return Validation(recipe, packed, settings)


def weights_of(run: Run) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in run.network.parameters()])


def test_a_resumed_run_makes_the_same_steps(packed: PackedPhotographs, tmp_path: Path) -> None:
    whole = Run(make(), SMALL, packed, tmp_path / "whole")
    steps = [whole.train_step() for _ in range(4)]
    first = Run(make(), SMALL, packed, tmp_path / "broken")
    assert [first.train_step() for _ in range(2)] == steps[:2]
    first.save(first.last)
    second = Run(make(), SMALL, packed, tmp_path / "broken")
    assert second.step == 2
    assert [second.train_step() for _ in range(2)] == steps[2:]
    assert torch.equal(weights_of(second), weights_of(whole))
    assert all(torch.equal(v, whole.average[k]) for k, v in second.average.items())


def test_the_plateau_schedule_survives_a_resume(packed: PackedPhotographs, tmp_path: Path) -> None:
    settings = replace(SMALL, schedule="plateau", warm_up=0, patience=0)
    run = Run(make(), settings, packed, tmp_path)
    full = run.optimizers["network"].param_groups[0]["lr"]
    for loss in (1.0, 2.0):
        run.plateaus[0].step(loss)
    run.save(run.last)
    again = Run(make(), settings, packed, tmp_path)
    assert again.optimizers["network"].param_groups[0]["lr"] == pytest.approx(full / 10)
    assert again.plateaus[0].state_dict() == run.plateaus[0].state_dict()
    with pytest.raises(ValueError, match="no warm-up"):
        Run(make(), replace(settings, warm_up=3), packed, tmp_path / "warm")
    with pytest.raises(ValueError, match="needs photographs for validation"):
        again.train(None)


def test_the_rate_warms_up_stays_and_falls(packed: PackedPhotographs, tmp_path: Path) -> None:
    run = Run(make(lr=1.0), replace(SMALL, samples=40, warm_up=2, fall_share=0.5), packed, tmp_path)
    rates = []
    for run.step in range(10):
        run._set_rates("network")
        rates.append(run.optimizers["network"].param_groups[1]["lr"])
    assert rates == pytest.approx([0.5, 1, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2])


def test_a_run_by_the_clock_ends_in_time_and_its_parts_count_together(packed, tmp_path, monkeypatch) -> None:
    looks = itertools.count(100)
    clock = SimpleNamespace(monotonic=lambda: float(next(looks)))  # every look at it takes a second
    monkeypatch.setattr("colorize_training.running.loop.time", clock)
    settings = replace(
        SMALL, samples=4, minutes=1.0, early_size=32, early_share=0.5, warm_up=0, fall_share=0.5, size=64
    )
    first = Run(make(), replace(settings, minutes=0.4), packed, tmp_path)
    first.train(None)
    assert 4 <= first.step <= 12
    second = Run(make(), settings, packed, tmp_path)
    assert 24 <= second.seconds < 40
    sizes, rates = [], []
    draw, take = second._draw, second._take
    monkeypatch.setattr(second, "_draw", lambda step: sizes.append(second._size(step)) or draw(step))
    monkeypatch.setattr(
        second, "_take", lambda *a: (take(*a), rates.append(second.optimizers["network"].param_groups[1]["lr"]))[0]
    )
    second.train(None)
    assert second.step > first.step + 1
    assert sizes == sorted(sizes)
    assert sizes[-1] == 64
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 0.2 * second.full_rates["network"][1]


def test_a_step_follows_from_its_number_however_it_was_drawn(packed: PackedPhotographs, tmp_path: Path) -> None:
    run = Run(make(), SMALL, packed, tmp_path)
    run.train_step()
    ahead, again = run._next[1], run._draw(1)
    assert torch.equal(ahead.lightness, again.lightness)
    assert torch.equal(ahead.one.planes, again.one.planes)


def test_every_photograph_is_seen_once_an_epoch(packed: PackedPhotographs, tmp_path: Path) -> None:
    run = Run(make(), SMALL, packed, tmp_path)
    first, second = (run._numbers(epoch * len(packed), len(packed)).tolist() for epoch in (0, 1))
    assert sorted(first) == sorted(second) == list(range(len(packed)))
    assert first != second


def test_a_share_of_the_photographs_lies_within_a_larger_one(packed: PackedPhotographs, tmp_path: Path) -> None:
    runs = [Run(make(), replace(SMALL, training_share=share), packed, tmp_path / str(share)) for share in (0.5, 0.75)]
    half, more = (set(run.photographs.names) for run in runs)
    assert (len(half), len(more)) == (6, 9)
    assert half < more < set(packed.names)


def test_a_run_leaves_all_that_is_needed_to_look_and_to_repeat(packed: PackedPhotographs, tmp_path: Path) -> None:
    recipe = make()
    Run(recipe, SMALL, packed, tmp_path).train(validation(recipe, packed))
    assert [row["samples"] for row in read_rows(tmp_path / "validation.csv")] == ["8", "16"]
    assert len(read_rows(tmp_path / "log.csv")) == 4
    assert all((tmp_path / name).stat().st_size > 10_000 for name in ("sheet-00000016.png", "curves.png"))
    assert list((tmp_path / "events").iterdir())
    described = json.loads((tmp_path / "run.json").read_text())
    assert described["settings"]["samples"] == 16
    assert described["data"] == packed.digest
    assert described["precision"] in ("fp32", "bf16")


def test_the_average_is_exported_where_there_is_one(packed: PackedPhotographs, tmp_path: Path, capsys) -> None:
    recipe = make()
    Run(recipe, SMALL, packed, tmp_path).train(validation(recipe, packed))
    assert export(tmp_path / "best.pt", tmp_path / "mine.safetensors", "mine", "Mine", "CC0-1.0") == 0
    record = weights.read_record(tmp_path / "mine.safetensors")
    assert (record.name, record.licence, record.default, record.side) == ("mine", "CC0-1.0", False, 256)
    assert export(tmp_path / "best.pt", tmp_path / "fast.safetensors", "fast", "Fast", "CC0-1.0", side=144) == 0
    assert weights.read_record(tmp_path / "fast.safetensors").side == 144
    with pytest.raises(SystemExit):
        main(["export", str(tmp_path / "best.pt"), str(tmp_path / "no"), "--licence", "CC0-1.0", "--side", "16"])
    assert "'16' is no side of a network's picture: 32 to 1024 pixels" in capsys.readouterr().err
    average = checkpoint.load(tmp_path / "best.pt")["average"]
    assert all(
        torch.allclose(v, average[k], atol=2e-3, rtol=2e-3) for k, v in weights.load(record).state_dict().items()
    )


def test_the_mean_with_what_a_run_went_on_from_is_exported(packed: PackedPhotographs, tmp_path: Path) -> None:
    run, first, mean = (
        Run(make(), SMALL, packed, tmp_path),
        tmp_path / "first.safetensors",
        tmp_path / "mean.safetensors",
    )
    run.save(run.last)
    export(run.last, first, None, None, "CC0-1.0")
    for _ in range(3):
        run.train_step()
    run.average = None
    run.save(run.last)
    export(run.last, mean, None, None, "CC0-1.0", first)
    then, now = (weights.load(weights.read_record(path)).state_dict() for path in (first, mean))
    trained = run.network.state_dict()
    assert all(
        torch.allclose(now[k], (then[k] + v) / 2, atol=2e-3) for k, v in trained.items() if v.is_floating_point()
    )
    assert not torch.equal(now["to8.weight"], then["to8.weight"])
    other = tmp_path / "other.safetensors"
    network = networks.build("chroma", {"depth": 2, "encoder": "mobilenet_v2"})
    weights.save(network, other, recipe="chroma", name="other", title="other", licence="CC0-1.0", side=32)
    with pytest.raises(ValueError, match="holds another network"):
        export(run.last, mean, None, None, "CC0-1.0", other)


@pytest.mark.parametrize("variant", ["early-hints", "global-palette"])
def test_a_variant_learns_and_is_not_exported(packed: PackedPhotographs, tmp_path: Path, variant: str) -> None:
    run = Run(make(variant=variant), SMALL, packed, tmp_path)
    assert math.isfinite(run.train_step()["loss"])
    run.save(run.last)
    with pytest.raises(ValueError, match="holds a variant of chroma"):
        export(tmp_path / "last.pt", tmp_path / "mine.safetensors", None, None, "CC0-1.0")
    assert not (tmp_path / "mine.safetensors").exists()


@pytest.mark.parametrize("sizes", [{"size": 72}, {"early_size": 40}, {"validate_size": 100}])
def test_sides_that_the_network_cannot_take_are_refused_before_the_first_step(sizes, packed, tmp_path: Path) -> None:
    name, side = next(iter(sizes.items()))
    with pytest.raises(ValueError, match=f"--{name.replace('_', '-')} {side}: chroma takes .* multiples of 32"):
        Run(make(), replace(SMALL, **sizes), packed, tmp_path)
    assert not list(tmp_path.glob("*.pt"))


def test_a_run_goes_on_from_exported_weights_of_its_own_kind_alone(packed, tmp_path: Path, capsys) -> None:
    learned = Run(make(), SMALL, packed, tmp_path / "first")
    learned.train_step()
    for name, recipe in (("mine", "chroma"), ("other", "zhang-regression")):
        network = learned.network if name == "mine" else networks.build(recipe, {})
        file = tmp_path / f"{name}.safetensors"
        weights.save(network, file, recipe=recipe, name=name, title=name, licence="CC0-1.0", side=32)
    start = str(tmp_path / "mine.safetensors")
    again = make(start=start).build()
    assert all(torch.allclose(v, again.state_dict()[k], atol=2e-3) for k, v in learned.network.state_dict().items())
    other = make(start=start, encoder="resnet50_v2").build()
    assert torch.allclose(other.blocks[0].qkv.weight, learned.network.blocks[0].qkv.weight, atol=2e-3)
    with pytest.raises(ValueError, match="torchvision has no weights of resnet50_v2"):
        make(start=start, encoder="resnet50_v2", backbone="").build()
    for sizes, new in (({"depth": 1}, "no parts"), ({"depth": 5}, "blocks"), ({"finest": 16}, "hints2, reach, reach_")):
        capsys.readouterr()
        fitted = make(start=start, **sizes).build()
        assert f"goes on from mine.safetensors; new are: {new}" in capsys.readouterr().out
        assert torch.allclose(fitted.refine4[0].conv.weight, learned.network.refine4[0].conv.weight, atol=2e-3)
    with pytest.raises(ValueError, match="weights of zhang-regression, not of chroma"):
        make(start=str(tmp_path / "other.safetensors")).build()


def test_a_run_goes_on_from_weights_of_an_earlier_layout(tmp_path: Path, capsys) -> None:
    """Which knew no strokes that say "not this", and did not say what a stroke reaches."""
    torch.manual_seed(1)
    state = networks.build("chroma", {"encoder": "mobilenet_v2"}).state_dict()
    later = ("context", "identity", "seen", "reach")
    state = {name: tensor.half() for name, tensor in state.items() if not name.startswith(later)}
    for name in ("hints16", "hints4", "hints2"):
        state[f"{name}.weight"] = state[f"{name}.weight"][:, :4].contiguous()
    record = {"format": weights.FORMAT, "recipe": "chroma", "name": "old", "title": "", "licence": "", "side": "256"}
    record |= {"config": json.dumps({"encoder": "mobilenet_v2"}), "sha256": weights.digest(state)}
    save_file(state, tmp_path / "old.safetensors", record)
    network = make(start=str(tmp_path / "old.safetensors")).build()
    new = "context, identity4, identity8, identity_up4, identity_up8, reach, reach_join, reach_refine, reach_up, seen16"
    assert f"goes on from old.safetensors; new are: {new}, seen4, seen8\n" in capsys.readouterr().out
    assert torch.equal(network.hints4.weight[:, :4], state["hints4.weight"].float())
    assert not network.hints4.weight[:, 4:].any()
    assert torch.equal(network.up8[0].weight, state["up8.0.weight"].float())
    save_file(state, tmp_path / "old.safetensors", record | {"sha256": "0"})
    with pytest.raises(ValueError, match="is damaged"):
        make(start=str(tmp_path / "old.safetensors")).build()


def test_bf16_learns_too(packed: PackedPhotographs, tmp_path: Path) -> None:
    runs = [Run(make(), replace(SMALL, precision=p), packed, tmp_path / p) for p in ("fp32", "bf16")]
    exact, rounded = (run.train_step()["loss"] for run in runs)
    assert exact != rounded
    assert exact == pytest.approx(rounded, rel=0.05)


@pytest.mark.parametrize("other", [{"data": "other"}, {"world": 2}, {"recipe": "densenet"}])
def test_another_run_is_not_resumed(packed, tmp_path: Path, other: dict) -> None:
    run = Run(make(), SMALL, packed, tmp_path)
    checkpoint.save(run._state() | other, run.last)
    with pytest.raises(ValueError, match=f"another {next(iter(other))}"):
        Run(make(), SMALL, packed, tmp_path)


def test_settings_that_change_the_steps_are_refused_and_a_later_end_is_not(packed, tmp_path: Path) -> None:
    run = Run(make(), SMALL, packed, tmp_path)
    run.save(run.last)
    with pytest.raises(ValueError, match="another --clip"):
        Run(make(), replace(SMALL, clip=0.5), packed, tmp_path)
    with pytest.raises(ValueError, match="another --lr"):
        Run(make(lr=0.5), SMALL, packed, tmp_path)
    assert Run(make(), replace(SMALL, samples=64, threads=1), packed, tmp_path).steps == 16


def test_what_is_trained_on_is_not_validated_with(picture_folder: Path, tmp_path: Path, capsys) -> None:
    command = ["chroma", "--data", str(picture_folder), "--validation", str(picture_folder / "coffee-top.png")]
    assert main([*command, "--out", str(tmp_path)]) == 1
    assert "both trained on and held out" in capsys.readouterr().err


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    checkpoint.save({"step": 3, "tensor": torch.ones(1000)}, path)
    assert checkpoint.load(path)["step"] == 3
    for damaged in (path.read_bytes()[:800], b"", b"nonsense" * 100):
        path.write_bytes(damaged)
        with pytest.raises(checkpoint.BadCheckpoint, match=r"last\.pt is not a whole checkpoint"):
            checkpoint.load(path)


def test_a_failed_write_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "last.pt"
    checkpoint.save({"step": 1}, path)

    def full(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save({"step": 2}, path)
    assert checkpoint.load(path)["step"] == 1


def test_a_checkpoint_cannot_run_code(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return os.system, (f"touch {tmp_path}/owned",)

    torch.save({"step": Evil()}, tmp_path / "last.pt")
    with pytest.raises(checkpoint.BadCheckpoint):
        checkpoint.load(tmp_path / "last.pt")
    assert not (tmp_path / "owned").exists()


def test_an_interrupt_saves_and_says_how_to_go_on(picture_folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; from colorize_training.main import main; sys.exit(main())", "chroma"]
    command += ["--data", str(picture_folder), "--out", str(tmp_path), "--backbone", "random"]
    command += ["--encoder", "mobilenet_v2", "--batch", "2", "--size", "32", "--early-size", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    log = tmp_path / "log.csv"
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline and not (log.exists() and log.stat().st_size > 100):
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command resumes" in errors
    assert checkpoint.load(tmp_path / "last.pt")["step"] >= 1


def test_unknown_settings_are_errors(picture_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["chroma", "--data", str(picture_folder), "--out", str(tmp_path), "--learning-rte", "1"])
    assert "--learning-rte" in capsys.readouterr().err


def test_the_recipes_are_listed_without_torch() -> None:
    code = "import sys; from colorize_training.main import main; main(['list']); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.split()) == (0, NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_is_explained(name: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([name, "--help"])
    assert name == "chroma" or re.search(r", \*[A-Z][^*]+\*", capsys.readouterr().out)  # authors, *Title*
    for settings in (recipe_class(name).Settings, LoopSettings):
        assert all(len(field.metadata["help"]) > 8 for field in dataclasses.fields(settings))


def test_a_table_takes_new_columns_and_forgets_what_came_later(tmp_path: Path) -> None:
    table = Table(tmp_path / "log.csv")
    table.add(samples=8, loss=1.5)
    table.add(samples=16, loss=1.25, gan=0.5)
    again = Table(tmp_path / "log.csv")
    assert again.rows == [{"samples": "8", "loss": "1.5", "gan": ""}, {"samples": "16", "loss": "1.25", "gan": "0.5"}]
    again.cut(8)
    assert [row["samples"] for row in read_rows(tmp_path / "log.csv")] == ["8"]


def test_after_a_loss_that_is_no_number_the_last_good_state_goes_on_with_a_lower_rate(
    packed: PackedPhotographs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    settings = replace(SMALL, samples=32, save_every=0)
    run = Run(make(lr=3e-3), settings, packed, tmp_path)
    loss = run.recipe.loss
    for factor in (float("nan"), float("inf")):
        monkeypatch.setattr(
            run.recipe, "loss", lambda *a, by=factor: (loss(*a)[0] * (1 if run.step < 2 else by), loss(*a)[1])
        )
        with pytest.raises(FloatingPointError) as said:
            run.train(None)
        assert f"at step 2; {tmp_path / 'last.pt'} holds the last good state: run the same" in str(said.value)
        assert str(said.value).endswith("with a lower rate, such as --encoder-lr 6.7e-05 --lr 0.001")
        assert checkpoint.load_run(run.last)["step"] == 2
    again = Run(make(lr=1e-3, encoder_lr=6.7e-5), settings, packed, tmp_path)
    assert "from here on --lr 0.001, was 0.003" in capsys.readouterr().out
    assert again.step == 2
    again.train(None)
    assert (again.step, again.full_rates["network"]) == (8, [6.7e-5, 1e-3, 1e-3])
    with pytest.raises(ValueError, match="another --lr"):
        Run(make(lr=2e-3, encoder_lr=6.7e-5), settings, packed, tmp_path)


@pytest.mark.parametrize("clip", [0.0, 1.0])
def test_a_gradient_that_is_no_number_changes_nothing(packed, tmp_path: Path, monkeypatch, clip: float) -> None:
    run = Run(make(), replace(SMALL, clip=clip), packed, tmp_path)
    before, loss = weights_of(run), run.recipe.loss
    monkeypatch.setattr(run.recipe, "loss", lambda *a: ((one := loss(*a))[0] + 0 * (one[0] - one[0]).sqrt(), one[1]))
    with pytest.raises(FloatingPointError, match=r"the loss is [\d.]+, its gradient nan at step 0; nothing was kept"):
        run.train_step()
    assert torch.equal(weights_of(run), before)


@pytest.mark.parametrize("part", ["network", "average", "optimizers"])
def test_a_state_that_is_no_number_is_never_saved_over_a_good_one(part: str, packed, tmp_path: Path) -> None:
    run = Run(make(), SMALL, packed, tmp_path)
    run.train_step()
    run.save(run.last)
    state = run._state()[part]
    tensors = state if part != "optimizers" else state["network"]["state"][0]
    next(t for t in tensors.values() if t.is_floating_point() and t.dim()).view(-1)[0] = float("inf")
    with pytest.raises(
        FloatingPointError, match="the weights are no numbers any more at step 1; .* holds the last good"
    ):
        run.save(run.last)
    assert Run(make(), SMALL, packed, tmp_path).step == 1


def test_a_lower_rate_lowers_what_a_plateau_has_come_to(packed: PackedPhotographs, tmp_path: Path) -> None:
    settings = replace(SMALL, schedule="plateau", warm_up=0, patience=0)
    run = Run(make(lr=1e-3), settings, packed, tmp_path)
    for loss in (1.0, 2.0):
        run.plateaus[0].step(loss)
    run.save(run.last)
    again = Run(make(lr=5e-4), settings, packed, tmp_path)
    rates = [group["lr"] for group in again.optimizers["network"].param_groups]
    assert rates == pytest.approx([2e-5, 5e-5, 5e-5])
