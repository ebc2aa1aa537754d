"""Every recipe learns eight photographs, goes on where it stopped, and its weights colour a picture in the service."""

import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from colorize_client import Client, Options, connect, launcher
from colorize_engine import networks, weights
from colorize_engine.colour.conversions import srgb_to_lab
from colorize_training.commands.export import export
from colorize_training.data import PackedPhotographs, planes, squash
from colorize_training.recipes import NAMES, recipe_class
from colorize_training.running import checkpoint
from learning import Learned, fit_of, learn, write_vgg
from service_fixtures import Canvas, picture_of, private_state

Trained = Callable[[str], Learned]


@pytest.fixture(scope="module")
def eight(packed: PackedPhotographs) -> PackedPhotographs:
    """Two halves of each photograph."""
    halves = [number for number, name in enumerate(packed.names) if "whole" not in name]
    assert len(halves) == 8
    return packed.subset(halves)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the runs and, in `weights`, what they are exported to lie."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "weights").mkdir()
    return folder


@pytest.fixture(scope="module")
def trained(eight: PackedPhotographs, folder: Path) -> Trained:
    """Trains a recipe, once."""

    @cache
    def train(name: str) -> Learned:
        more = {}  # starting weights without which there is nothing to learn
        if name == "hnet":
            more["rtnet"] = str(exported(train("rtnet"), "rtnet", folder))
        if name == "zhang-classification-vgg":
            more["backbone"] = str(folder / "vgg.safetensors")
            pictures = torch.stack([planes(squash(photograph, fit_of(name).size)) for photograph in eight])
            write_vgg(folder / "vgg.safetensors", srgb_to_lab(pictures)[:, :1])
        return learn(name, eight, folder / name, **more)

    return train


def exported(learned: Learned, name: str, folder: Path) -> Path:
    target = folder / "weights" / f"{name}.safetensors"
    if not target.exists():
        assert export(learned.out / "last.pt", target, f"my-{name}", "Mine", "CC0-1.0") == 0
    return target


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[Client]:
    """The real service, with all that was exported."""
    command = f"{sys.executable} -m colorize_daemon.main --device cpu --weights {folder / 'weights'}"
    with private_state(), pytest.MonkeyPatch.context() as patch:
        patch.setenv(launcher.COMMAND_VARIABLE, command)
        with connect(client="tests") as client:
            yield client


pytestmark = pytest.mark.parametrize("name", NAMES)


def test_its_network_is_one_that_the_service_can_hold(name: str) -> None:
    assert recipe_class(name).name == name
    assert name in networks.recipes()


def test_it_learns_eight_photographs(name: str, trained: Trained) -> None:
    learned = trained(name)
    assert learned.after < learned.before / 10


def test_a_resumed_run_makes_the_same_next_step_bit_for_bit(name: str, trained: Trained) -> None:
    learned = trained(name)
    run = learned.again()
    assert run.step == fit_of(name).steps
    assert run.train_step() == learned.values
    assert weights.digest(run.network.state_dict()) == learned.digest


def test_what_was_trained_is_what_is_exported(name: str, trained: Trained, folder: Path) -> None:
    learned = trained(name)
    record = weights.read_record(exported(learned, name, folder))
    assert (record.name, record.recipe, record.licence, record.default) == (f"my-{name}", name, "CC0-1.0", False)
    assert record.side == (recipe_class(name).side or fit_of(name).size)
    served, prefix = weights.load(record).state_dict(), recipe_class(name).served_prefix
    state = checkpoint.load(learned.out / "last.pt")["network"]
    assert set(served) == {key.removeprefix(prefix) for key in state if key.startswith(prefix)}
    for key, value in served.items():
        assert torch.allclose(value, state[prefix + key].to(value), atol=1e-3, rtol=1e-3)


def test_the_service_colours_a_picture_with_it(
    name: str, trained: Trained, folder: Path, service: Client, photograph
) -> None:
    exported(trained(name), name, folder)
    gray = np.ascontiguousarray(photograph("coffee").gray[::4, ::4])
    canvas = Canvas(*gray.shape)
    service.colorize(picture_of(gray), options=Options(model=f"my-{name}"), on_band=canvas.on_band)
    lab, asked = (srgb_to_lab(planes(rgb)) for rgb in (canvas.pixels, np.stack([gray] * 3, 2)))
    assert (lab[0] - asked[0]).abs().max() < 1.0
    assert lab[1:].norm(dim=0).mean() > 1.0
