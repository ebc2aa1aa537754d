"""Engine and service on an NVIDIA card: the colours of the CPU, and memory that is full, or given back."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from colorize_client import Client, HintTiles, connect, discovery, errors
from colorize_daemon.main import installed_models
from colorize_daemon.model_store import ModelStore
from colorize_engine import weights
from colorize_engine.colorizer import Colorizer, choose_device, release_memory
from service_fixtures import Canvas, picture_of, private_state, running_server, wait_for
from skimage.color import rgb2lab

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no CUDA device on this computer")

CARD = "cuda"
RED, BLUE = (200, 40, 40), (60, 90, 170)
SHIPPED = {record.name: record for record in weights.available()}
STROKES = HintTiles([(100, 262, 50, 10), (300, 40, 30, 30)], [bytes((*RED, 255)) * 500, bytes((*BLUE, 255)) * 900])

# Convolutions on a card round their inputs to 10 bits (TF32). Simulated on the CPU, ab then differs by 0.026 in the
# mean and by 0.7 at most, in single cells where two hues are equally likely; and no 8-bit value by more than 1.
MEAN_AB, NEARLY_ALL_AB, RGB_LEVELS = 0.06, 0.5, 2

Engines = tuple[Colorizer, Colorizer]


@pytest.fixture(scope="module", params=SHIPPED)
def engines(request: pytest.FixtureRequest) -> Engines:
    """The same weights on the CPU and on the card."""
    record = SHIPPED[request.param]
    return Colorizer.load(record, "cpu"), Colorizer.load(record, CARD)


def colour(colorizer: Colorizer, gray: np.ndarray, hints: HintTiles | None = None) -> tuple[torch.Tensor, np.ndarray]:
    """ab (2, h, w) of the prediction, on the CPU, and rgb8 (H, W, 3)."""
    embedding = colorizer.set_image(gray)
    prediction = colorizer.predict(embedding, hints)
    bands = [band for _, band in colorizer.render(embedding, prediction)]
    return prediction.ab.cpu(), np.concatenate(bands)


def levels_apart(one: np.ndarray, other: np.ndarray) -> int:
    return int(np.abs(one.astype(int) - other.astype(int)).max())


@pytest.mark.parametrize("hints", [None, STROKES], ids=["automatic", "hints"])
@pytest.mark.parametrize("name", ["coffee", "chelsea"])
def test_the_card_gives_the_colours_of_the_cpu(
    engines: Engines, photograph, name: str, hints: HintTiles | None
) -> None:
    (ab, rgb), (card_ab, card_rgb) = (colour(engine, photograph(name).gray, hints) for engine in engines)
    apart = (ab - card_ab).abs().flatten()
    assert apart.mean() < MEAN_AB
    assert apart.quantile(0.999) < NEARLY_ALL_AB
    assert levels_apart(rgb, card_rgb) <= RGB_LEVELS


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (33, 257), (700, 90)])
def test_any_size_on_the_card(engines: Engines, shape: tuple[int, int]) -> None:
    gray = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    ab, rgb = colour(engines[1], gray, HintTiles([(0, 0, 1, 1)], [bytes((*RED, 255))]))
    assert rgb.shape == (*shape, 3)
    assert ab.isfinite().all()


def test_all_of_it_is_on_the_card(engines: Engines, photograph) -> None:
    card = engines[1]
    embedding = card.set_image(photograph("coffee").gray)
    predictions = [card.predict(embedding, hints).ab for hints in (None, STROKES)]
    kept = [*embedding.features, *embedding.unhinted, embedding.lightness, embedding.inside, *predictions]
    of_the_network = [*card.network.parameters(), *card.network.buffers()]
    assert {tensor.device.type for tensor in kept + of_the_network} == {CARD}


def test_the_card_is_taken_where_nothing_else_was_asked_for() -> None:
    assert choose_device("auto").type == CARD
    assert Colorizer.load(SHIPPED["chroma"]).device.type == CARD


def installed_on_the_card() -> ModelStore:
    return installed_models(argparse.Namespace(device=CARD, weights=[]))


def test_models_that_are_dropped_give_the_memory_back(photograph) -> None:
    store = installed_on_the_card()
    record = store.find("")

    def use() -> int:
        """What of the card's memory PyTorch has, while a model and a picture are there."""
        colorizer = store.get(record)
        embedding = colorizer.set_image(photograph("coffee").gray)
        colorizer.predict(embedding, STROKES)
        assert torch.cuda.memory_allocated() > allocated + weights_bytes(colorizer)
        return torch.cuda.memory_reserved()

    allocated = 0
    for _ in range(3):  # CUDA's libraries take memory of their own once, and keep it
        reserved = use()
        store.unload()
        assert torch.cuda.memory_reserved() < reserved
        before, allocated = allocated, torch.cuda.memory_allocated()
    assert allocated == before


def weights_bytes(colorizer: Colorizer) -> int:
    return sum(parameter.nbytes for parameter in colorizer.network.parameters())


@contextmanager
def full_card() -> Iterator[None]:
    """No more of the card's memory for this process, and nothing left of what it has."""
    release_memory()
    torch.cuda.set_per_process_memory_fraction(0.0)
    taken = []
    try:
        with pytest.raises(torch.OutOfMemoryError):
            while True:
                taken.append(torch.empty((1 << 20) + 1, dtype=torch.uint8, device=CARD))
        yield
    finally:
        taken.clear()
        torch.cuda.set_per_process_memory_fraction(1.0)


@pytest.mark.filterwarnings("ignore:Plan failed")  # cuDNN's, on its way to the error
def test_a_full_card_is_a_sentence_and_the_next_picture_is_coloured(state, photograph) -> None:
    first, second = (photograph(name).gray for name in ("coffee", "chelsea"))
    plain, again = Canvas(*second.shape), Canvas(*second.shape)
    with running_server(state.endpoint, installed_on_the_card()), connect(client="tests", launch=False) as client:
        with full_card(), pytest.raises(errors.OutOfMemory):  # already the weights have no room
            client.colorize(picture_of(first), on_band=Canvas(*first.shape).on_band)
        client.colorize(picture_of(second), on_band=plain.on_band)
        loaded = torch.cuda.memory_allocated()
        with full_card():
            reserved = torch.cuda.memory_reserved()
            with pytest.raises(errors.OutOfMemory) as caught:
                client.colorize(picture_of(first), STROKES, on_band=Canvas(*first.shape).on_band)
            assert "out of memory" in caught.value.detail
            assert client.status()["models"] == []
            returned = reserved - torch.cuda.memory_reserved()  # to the card, and not to PyTorch alone
            assert returned > SHIPPED["chroma"].path.stat().st_size  # half of what the weights take there
        assert torch.cuda.memory_allocated() < loaded
        assert client.colorize(picture_of(second), on_band=again.on_band)["encoded"]
    assert levels_apart(plain.pixels, again.pixels) <= RGB_LEVELS


@pytest.fixture
def card_service() -> Iterator[Client]:
    """The service as a program that may choose its device."""
    with private_state():
        daemon = subprocess.Popen([sys.executable, "-m", "colorize_daemon.main", "--device", "auto"])
        wait_for(lambda: discovery.find_service() or daemon.poll() is not None)
        with connect(client="tests", launch=False) as client:
            yield client
            client.stop()
        assert daemon.wait() == 0


def test_the_service_colours_on_the_card(card_service: Client, photograph) -> None:
    gray = photograph("coffee").gray
    plain, hinted = Canvas(*gray.shape), Canvas(*gray.shape)
    first = card_service.colorize(picture_of(gray), on_band=plain.on_band)
    second = card_service.colorize(picture_of(gray), STROKES, on_band=hinted.on_band)
    assert first["device"] == second["device"] == card_service.status()["device"] == CARD
    assert first["device_name"] == card_service.status()["device_name"] == torch.cuda.get_device_name()
    assert (second["uploaded"], second["encoded"]) == (False, False)
    assert second["hint_cells"] > 0
    _, expected = colour(Colorizer.load(SHIPPED["chroma"], "cpu"), gray)
    assert levels_apart(plain.pixels, expected) <= RGB_LEVELS
    asked = rgb2lab(np.array(RED) / 255)[1:]
    under = rgb2lab(hinted.pixels)[262:272, 100:150, 1:]
    assert np.median(np.linalg.norm(under - asked, axis=-1)) < 8
