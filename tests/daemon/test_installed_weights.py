"""What lies among the weights and is none, and weights that share a name: said, and nobody is harmed."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from colorize_client.errors import BadWeights
from colorize_daemon.model_store import MAX_CARDS_CHARS, ModelStore
from colorize_engine import weights
from safetensors.numpy import save_file

GOOD = {
    "format": weights.FORMAT,
    "recipe": "zhang-regression",
    "name": "mine",
    "title": "Mine",
    "licence": "CC0-1.0",
    "side": "32",
    "config": "{}",
    "sha256": "0" * 64,
}
SHIPPED = [record.name for record in weights.available()]


def write(path: Path, **others: str) -> Path:
    save_file({"a": np.ones(3)}, path, GOOD | others)
    return path


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(path))


def _huge(path: Path) -> None:
    with open(path, "wb") as file:
        file.truncate(1 << 40)  # a hole: it takes no room


def _header(length: int) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(length.to_bytes(8, "little") + b"{" * 100)


NONE = {
    "pipe": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "socket": _socket,
    "folder": lambda path: path.mkdir(),
    "dangling": lambda path: path.symlink_to(path.with_name("missing")),
    "loop": lambda path: path.symlink_to(path),
    "empty": lambda path: path.touch(),
    "huge": _huge,
    "huge header": _header(1 << 40),
    "large header": _header(90 << 20),
    "deep config": lambda path: write(path, config="[" * 10_000),
    "long config": lambda path: write(path, config=json.dumps({"a": "x" * 100_000})),
    "config that is none": lambda path: write(path, config="3"),
    "side that is none": lambda path: write(path, side="wide"),
    "side of a wall": lambda path: write(path, side="100000"),
    "no name": lambda path: write(path, name=""),
    "name of a path": lambda path: write(path, name="../evil"),
    "name with control characters": lambda path: write(path, name="a\x1b[2Jb"),
    "title with control characters": lambda path: write(path, title="a\x1b[2Jb"),
    "licence with a line break": lambda path: write(path, licence="a\nb"),
    "recipe with control characters": lambda path: write(path, recipe="a\x1b[2Jb"),
    "endless title": lambda path: write(path, title="x" * 5000),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", NONE)
def test_what_is_no_weights_is_said_once_and_the_others_serve(kind, tmp_path, caplog, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    NONE[kind](tmp_path / "wrong.safetensors")
    write(tmp_path / "mine.safetensors")
    for _ in range(2):
        assert [record.name for record in weights.available(own=tmp_path)] == ["mine", *SHIPPED]
        assert [record.name for record in weights.available([tmp_path])] == ["mine", *SHIPPED]
    assert len([line for line in caplog.messages if "wrong.safetensors" in line]) == 1
    assert all(line.isprintable() for line in caplog.messages)
    if kind != "folder":  # which may be given, and holds nothing
        with pytest.raises(weights.BadWeights) as refused:
            weights.available([tmp_path / "wrong.safetensors"])
        assert str(refused.value).isprintable()


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", ["pipe", "device", "socket", "folder", "dangling", "loop", "huge"])
def test_a_model_card_that_is_none_is_left_out(kind: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    NONE[kind](tmp_path / "mine.md")
    assert weights.read_record(write(tmp_path / "mine.safetensors")).card == ""


def test_what_cannot_be_seen_in_a_model_card_is_escaped(tmp_path: Path) -> None:
    (tmp_path / "mine.md").write_bytes(b"# Mine\r\n\tgood\x1b[2J \xff\n")
    assert weights.read_record(write(tmp_path / "mine.safetensors")).card == "# Mine\n\tgood\\x1b[2J \ufffd\n"


def test_what_cannot_be_seen_in_a_files_name_is_escaped(tmp_path: Path) -> None:
    odd = write(tmp_path / "a\x1b[2J\udcff.safetensors")
    store = ModelStore(lambda: [weights.read_record(odd)], lambda record: None)
    assert store.descriptions()[0]["path"] == f"{tmp_path}/a\\x1b[2J\\udcff.safetensors"
    odd.write_bytes(b"")
    with pytest.raises(weights.BadWeights, match=r"a\\x1b\[2J\\udcff\.safetensors cannot be read") as refused:
        weights.read_record(odd)
    assert str(refused.value).isprintable()


def _store(folder: Path, damaged: set[str]) -> ModelStore:
    def load(record: weights.WeightsRecord) -> str:
        if record.path.name in damaged:
            raise BadWeights(f"{record.path} is damaged")
        return str(record.path)

    return ModelStore(lambda: weights.installed([folder / "first.safetensors"], folder), load)


def test_of_two_weights_with_one_name_the_first_serves_and_both_are_said(tmp_path: Path, caplog) -> None:
    first, second = (write(tmp_path / f"{name}.safetensors") for name in ("first", "second"))
    store = _store(tmp_path, set())
    assert [store.find("mine").path for _ in range(2)] == [first] * 2
    noted = {d["name"]: d.get("note") for d in store.descriptions()}
    assert list(noted) == ["mine", *SHIPPED]
    assert str(second) in noted["mine"]
    assert noted["chroma"] is None
    said = [line for line in caplog.messages if "has the same name, 'mine'" in line and str(second) in line]
    assert said == [f"{second} is not used: {first} has the same name, 'mine'"]


def test_a_damaged_file_never_hides_a_good_one_of_its_name(tmp_path: Path, caplog) -> None:
    first, second = (write(tmp_path / f"{name}.safetensors") for name in ("first", "second"))
    damaged = {"first.safetensors"}
    store = _store(tmp_path, damaged)
    record = store.find("mine")
    with pytest.raises(BadWeights):
        store.get(record)
    assert store.has_other(record)
    assert store.get(store.find("mine")) == str(second)
    assert [d["path"] for d in store.descriptions() if d["name"] == "mine"] == [str(second)]
    os.utime(first, ns=(1, 1))  # it was installed again
    damaged.clear()
    assert store.find("mine").path == first
    store.unload()
    damaged |= {"first.safetensors", "second.safetensors"}
    for _ in range(2):
        with pytest.raises(BadWeights):
            store.get(store.find("mine"))
    assert not store.has_other(store.find("mine"))


def test_model_cards_fit_into_a_reply_together(tmp_path: Path) -> None:
    for number in range(4):
        write(tmp_path / f"{number}.safetensors", name=str(number))
        (tmp_path / f"{number}.md").write_text("x" * 15_000)
    store = ModelStore(lambda: weights.installed(own=tmp_path), lambda record: None)
    cards = {d["name"]: len(d["card"]) for d in store.descriptions()}
    assert [cards[str(number)] for number in range(4)] == [15_000, 15_000, 0, 0]
    assert sum(cards.values()) <= MAX_CARDS_CHARS
