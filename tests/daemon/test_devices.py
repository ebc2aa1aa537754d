"""The device's kind and its name for people: before PyTorch is there, and after."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from colorize_client import connect, discovery
from colorize_daemon import devices
from colorize_daemon.devices import Device
from colorize_engine import colorizer
from service_fixtures import Canvas, noise, picture_of, private_state, start_daemon, wait_for

CORES = devices.processor().rpartition(", ")[2]


def processor_of(folder: Path, facts: str) -> str:
    """The CPU's name where /proc/cpuinfo is this, without its cores."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices, "CPU_FACTS", folder / "cpuinfo")
        (folder / "cpuinfo").write_text(facts)
        name, _, cores = devices.processor().rpartition(", ")
    assert cores == CORES
    return name


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("AMD EPYC 7763 64-Core Processor", "AMD EPYC 7763"),
        ("AMD FX(tm)-8350 Eight-Core Processor", "AMD FX-8350"),
        ("AMD Ryzen 9 5900HX with Radeon Graphics", "AMD Ryzen 9 5900HX with Radeon Graphics"),
        ("Intel(R) Xeon(R) CPU @ 2.20GHz", "Intel Xeon"),
        ("Intel(R) Xeon(R) Platinum 8370C CPU @ 2.80GHz", "Intel Xeon Platinum 8370C"),
        ("Intel(R) Xeon(R) Processor", "Intel Xeon"),
        ("Intel(R) Core(TM)2 Duo CPU     E8400  @ 3.00GHz", "Intel Core2 Duo CPU E8400"),
        ("12th Gen Intel(R) Core(TM) i7-1260P", "12th Gen Intel Core i7-1260P"),
        ("QEMU Virtual CPU version 2.5+", "QEMU Virtual CPU version 2.5+"),
    ],
)
def test_a_processor_is_named_as_people_know_it(tmp_path, said, name):
    facts = f"processor\t: 0\nmodel\t\t: 85\nmodel name\t: {said}\nstepping\t: 7\n\n"
    assert processor_of(tmp_path, 2 * facts) == name


@pytest.mark.parametrize(
    "facts", ["", "processor\t: 0\nBogoMIPS\t: 50.00\n", "model name\t: unknown\n", "model name\t:\n"]
)
def test_a_processor_without_a_name_has_its_kind(tmp_path, monkeypatch, facts):
    monkeypatch.setattr(devices.platform, "processor", lambda: "")
    monkeypatch.setattr(devices.platform, "machine", lambda: "aarch64")
    assert processor_of(tmp_path, facts) == "aarch64"


def test_only_cores_that_the_process_may_use_count():
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert devices.processor().endswith(", 1 core")
    finally:
        os.sched_setaffinity(0, allowed)
    assert CORES.split()[0] == str(len(allowed))


def test_what_is_asked_for_is_known_before_the_engine():
    assert devices.asked_for("auto") == Device("", "")
    assert devices.asked_for("cpu") == Device("cpu", devices.processor())
    assert devices.asked_for("cuda") == Device("cuda", "")


def test_the_engine_chooses(monkeypatch):
    there = {"cuda": False}
    monkeypatch.setattr(colorizer.torch.cuda, "is_available", lambda: there["cuda"])
    monkeypatch.setattr(colorizer.torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(colorizer.torch.cuda, "get_device_name", lambda: "NVIDIA H100")
    assert devices.chosen("auto") == devices.chosen("cpu") == Device("cpu", devices.processor())
    assert devices.chosen("cuda") == Device("cuda", "")
    there["cuda"] = True
    assert devices.chosen("auto") == devices.chosen("cuda") == Device("cuda", "NVIDIA H100")


def test_a_card_whose_driver_fails_has_no_name(monkeypatch):
    def broken() -> str:
        raise RuntimeError("CUDA unknown error")

    monkeypatch.setattr(colorizer.torch.cuda, "get_device_name", broken)
    assert devices.named("cuda") == Device("cuda", "")


@pytest.mark.parametrize(("option", "before"), [("auto", Device()), ("cpu", devices.named("cpu"))])
def test_status_never_says_auto(option, before):
    """The stand-in's own device is the CPU; it is known once a model is loaded."""
    with private_state():
        daemon = start_daemon("--device", option)
        wait_for(discovery.find_service)
        with connect(launch=False) as client:
            assert of(client.status()) == before
            coloured = client.colorize(picture_of(noise(20, 20)), on_band=Canvas(20, 20).on_band)
            ready = client.prepare(picture_of(noise(20, 20)))
            assert of(coloured) == of(ready) == of(client.status()) == devices.named("cpu")
            client.stop()
        daemon.communicate()


def of(body: dict) -> Device:
    return Device(body["device"], body["device_name"])
