"""Messages on the wire: the specification's examples, what is refused, and what the limits are."""

from __future__ import annotations

import hashlib
import json
import random
import re
import struct
from dataclasses import fields
from pathlib import Path

import msgpack
import pytest
from colorize_client import HintTiles, Options, Picture, codec, errors, messages
from colorize_client.messages import Array

SPECIFICATION = (Path(__file__).parents[2] / "daemon" / "PROTOCOL.md").read_text(encoding="utf-8")
EXAMPLES = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", SPECIFICATION, re.DOTALL)]
KEY = "0" * 32


def frames_of(header: dict) -> list[bytes]:
    """The frames of a header whose arrays are all zeros."""
    specs: list[dict] = []

    def visit(value: object) -> None:
        if isinstance(value, dict):
            if "frame" in value:
                specs.append(value)
            for entry in value.values():
                visit(entry)

    visit(header)
    arrays = {spec["frame"]: Array(tuple(spec["shape"]), spec["dtype"], b"") for spec in specs}
    raw = [bytes(arrays[number].nbytes) for number in sorted(arrays)]
    for strokes in (header[name] for name in ("hints", "kept") if name in header):
        tiles, pixels = strokes["tiles"], strokes["array"]["shape"][0] // 4
        assert tiles["shape"] == [1, 4]
        raw[tiles["frame"] - 1] = struct.pack("<4H", 0, 0, pixels, 1)
    return [msgpack.packb(header), *raw]


def colorize(**changes: object) -> list[bytes]:
    header = {"v": 1, "id": "a", "type": "colorize", "image": {"key": KEY, "width": 4, "height": 2}, **changes}
    return [msgpack.packb(header)]


def prepare(**changes: object) -> list[bytes]:
    return colorize(type="prepare", **changes)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: f"{example['type']}-{example['id']}")
def test_every_example_of_the_specification_is_a_message(example):
    is_request = example["type"] in codec._REQUESTS
    decode = codec.decode_request if is_request else codec.decode_reply
    message = decode(frames_of(example))
    assert message.type == example["type"]
    again = msgpack.unpackb(codec.encode(message)[0])
    assert {name: again[name] for name in example} == example


def test_the_specification_has_an_example_of_every_type():
    assert {example["type"] for example in EXAMPLES} == {*codec._REQUESTS, *codec._REPLIES}


def test_the_specification_lists_every_code_with_its_sentence():
    table = dict(re.findall(r"^\| `([a-z-]+)` \| (.+?) \|$", SPECIFICATION.split("## Errors")[1], re.MULTILINE))
    assert table == {code: sentence for code, sentence in errors.SENTENCES.items() if code != "error"}


def test_the_specification_states_the_limits():
    for name in ("MAX_HEADER_BYTES", "MAX_FRAMES", "MAX_ID_CHARS", "MAX_ITEMS", "MAX_SIDE", "MAX_PIXELS", "MAX_TILES"):
        assert f"| `{name}` | {getattr(messages, name)} |" in SPECIFICATION


@pytest.mark.parametrize("option", fields(Options), ids=lambda option: option.name)
def test_the_specification_states_every_options_default_and_limits(option):
    row = next(line for line in SPECIFICATION.splitlines() if line.startswith(f"| `{option.name}` |"))
    if "limits" in option.metadata:
        low, high = option.metadata["limits"]
        assert f"{low:g}..{high:g}" in row
        assert row.endswith(f"default {option.default:g} |")
    elif isinstance(option.default, bool):
        assert row.endswith(f"default {json.dumps(option.default)} |")
    else:
        assert '"" for the default' in row


def test_the_specification_names_every_type_of_an_array():
    described = re.search(r'"dtype": ("\w+"(?: \| "\w+")*)', SPECIFICATION)
    assert re.findall(r"\w+", described[1]) == list(messages.ITEM_BYTES)


def test_the_tree_of_errors_is_drawn_whole():
    drawn = re.findall(r"([A-Z]\w+) +([a-z-]+)$", errors.__doc__, re.MULTILINE)
    assert {code: name for name, code in drawn} == {
        code: kind.__name__ for code, kind in errors.BY_CODE.items() if code != "error"
    }


def test_every_code_has_one_sentence_that_says_what_to_do():
    sentences = list(errors.SENTENCES.values())
    assert len(set(sentences)) == len(sentences)
    assert all(sentence.endswith(".") and sentence.count(". ") == 0 and len(sentence) < 130 for sentence in sentences)


def test_a_code_from_the_future_keeps_its_own_sentence():
    error = errors.from_code("out-of-ink", "no magenta", "The ink is empty; refill it.")
    assert (error.code, str(error), error.detail) == ("out-of-ink", "The ink is empty; refill it.", "no magenta")
    assert isinstance(error, errors.RequestError)


@pytest.mark.parametrize(
    ("frames", "kind", "words"),
    [
        ([], errors.BadMessage, "0 frames"),
        ([b""], errors.BadMessage, "msgpack"),
        ([b"\xc1"], errors.BadMessage, "msgpack"),
        ([b"\x81"], errors.BadMessage, "msgpack"),
        ([msgpack.packb({"v": 1}) + b"x"], errors.BadMessage, "msgpack"),
        ([msgpack.packb([1, 2])], errors.BadMessage, "expected a map"),
        ([msgpack.packb({1: 2})], errors.BadMessage, "msgpack"),
        ([b"\xdf\xff\xff\xff\xff"], errors.BadMessage, "msgpack"),
        ([b"\xdd\xff\xff\xff\xff"], errors.BadMessage, "msgpack"),
        ([b"\x91" * 60000], errors.BadMessage, "msgpack"),
        ([b"\x81\xa1v" + b"\xd4\x05x"], errors.BadMessage, "msgpack"),
        ([bytes(messages.MAX_HEADER_BYTES + 1)], errors.BadMessage, "65537 bytes"),
        ([msgpack.packb({"v": 1, "id": "a", "type": "status"})] * 10, errors.BadMessage, "10 frames"),
        ([msgpack.packb({"v": 1, "id": "x" * 65, "type": "status"})], errors.BadMessage, "header.id"),
        ([msgpack.packb({"v": 1, "id": 5, "type": "status"})], errors.BadMessage, "header.id"),
        ([msgpack.packb({"v": 1, "id": "a", "type": None})], errors.BadMessage, "header.type"),
        ([msgpack.packb({"v": 2, "id": "a", "type": "status"})], errors.VersionMismatch, "version 2"),
        ([msgpack.packb({"id": "a", "type": "status"})], errors.VersionMismatch, "None"),
        ([msgpack.packb({"v": 1, "id": "a", "type": "dance"})], errors.UnknownType, "'dance'"),
        ([msgpack.packb({"v": 1, "id": "a", "type": "result", "body": {}})], errors.UnknownType, "'result'"),
        ([msgpack.packb({"v": 1, "id": "a", "type": "hello", "versions": "1"})], errors.BadMessage, "hello.versions"),
        ([msgpack.packb({"v": 1, "id": "a", "type": "hello", "versions": [True]})], errors.BadMessage, "versions"),
        ([msgpack.packb({"v": 1, "id": "a", "type": "cancel"})], errors.BadMessage, "cancel.target"),
        (colorize(image=None), errors.BadMessage, "colorize.image"),
        (colorize(image={"key": KEY, "width": 0, "height": 2}), errors.BadPicture, "image.width"),
        (colorize(image={"key": KEY, "width": 4.0, "height": 2}), errors.BadPicture, "image.width"),
        (colorize(image={"key": KEY, "width": True, "height": 2}), errors.BadPicture, "image.width"),
        (colorize(image={"key": KEY, "width": 2**63, "height": 2}), errors.BadPicture, "image.width"),
        (colorize(image={"key": KEY, "width": 65535, "height": 65535}), errors.TooLarge, "65535 x 65535"),
        (colorize(image={"key": "../../etc", "width": 4, "height": 2}), errors.BadPicture, "hexadecimal"),
        (colorize(image={"key": KEY.replace("0", "٠"), "width": 4, "height": 2}), errors.BadPicture, "hexadecimal"),
        (colorize(saturation=2.5), errors.BadOptions, "saturation"),
        (colorize(saturation=float("nan")), errors.BadOptions, "saturation"),
        (colorize(saturation="1"), errors.BadOptions, "saturation"),
        (colorize(temperature=0), errors.BadOptions, "temperature"),
        (colorize(temperature=float("inf")), errors.BadOptions, "temperature"),
        (colorize(alike=1), errors.BadOptions, "alike: expected true or false, got 1"),
        (colorize(alike="no"), errors.BadOptions, "alike"),
        (colorize(reach=1.01), errors.BadOptions, "reach"),
        (colorize(reach=True), errors.BadOptions, "reach"),
        (colorize(layout="cmyk"), errors.BadOptions, "layout"),
        (colorize(layout=["rgb8"]), errors.BadOptions, "layout"),
        (colorize(model=7), errors.BadOptions, "model"),
        (colorize(hints=[1]), errors.BadMessage, "hints"),
        (colorize(kept=[1]), errors.BadMessage, "kept"),
        (prepare(image=None), errors.BadMessage, "prepare.image"),
        (prepare(image={"key": KEY, "width": 0, "height": 2}), errors.BadPicture, "prepare.image.width"),
        (prepare(image={"key": KEY, "width": 65535, "height": 65535}), errors.TooLarge, "65535 x 65535"),
        (prepare(image={"key": "x", "width": 4, "height": 2}), errors.BadPicture, "hexadecimal"),
        (prepare(model=7), errors.BadOptions, "prepare.model"),
        (prepare(model="x" * 201), errors.BadOptions, "prepare.model"),
    ],
)
def test_what_is_wrong_is_refused_by_name(frames, kind, words):
    with pytest.raises(kind) as caught:
        codec.decode_request(frames)
    assert words in caught.value.detail


@pytest.mark.parametrize(
    ("spec", "raw"),
    [
        ({"shape": [2, 4], "dtype": "u8", "frame": 1}, bytes(7)),
        ({"shape": [2, 4], "dtype": "u8", "frame": 1}, bytes(9)),
        ({"shape": [2, 4], "dtype": "u16", "frame": 1}, bytes(8)),
        ({"shape": [4, 2], "dtype": "u8", "frame": 1}, bytes(8)),
        ({"shape": [2, 4, 1], "dtype": "u8", "frame": 1}, bytes(8)),
        ({"shape": [8], "dtype": "u8", "frame": 1}, bytes(8)),
        ({"shape": [-2, -4], "dtype": "u8", "frame": 1}, bytes(8)),
        ({"shape": [2, 4], "dtype": "f32", "frame": 1}, bytes(32)),
        ({"shape": [2, 4], "dtype": "O", "frame": 1}, bytes(8)),
        ({"shape": [2, 4], "dtype": "u8", "frame": 0}, bytes(8)),
        ({"shape": [2, 4], "dtype": "u8", "frame": 2}, bytes(8)),
        ({"shape": [2, 4], "dtype": "u8", "frame": -1}, bytes(8)),
        ({"shape": [2, 4], "dtype": "u8"}, bytes(8)),
        ({"shape": None, "dtype": "u8", "frame": 1}, bytes(8)),
    ],
)
@pytest.mark.parametrize("request_of", [colorize, prepare])
def test_an_array_that_is_not_as_described_is_refused(spec, raw, request_of):
    image = {"key": KEY, "width": 4, "height": 2, "array": spec}
    with pytest.raises(errors.BadPicture):
        codec.decode_request([*request_of(image=image), raw])


@pytest.mark.parametrize(
    ("tiles", "nbytes"),
    [
        ([(0, 0, 5, 1)], 20),  # over the right edge
        ([(0, 2, 1, 1)], 4),  # below
        ([(65535, 0, 1, 1)], 4),
        ([(0, 0, 0, 1)], 0),
        ([(0, 0, 2, 1)], 4),  # fewer pixels than its size
        ([(0, 0, 4, 2), (0, 0, 1, 1)], 36),  # more pixels than the picture has
    ],
)
@pytest.mark.parametrize("name", ["hints", "kept"])
def test_hints_that_do_not_fit_are_refused(tiles, nbytes, name):
    packed = messages.pack_tiles(tiles)
    hints = {
        "tiles": {"shape": [len(tiles), 4], "dtype": "u16", "frame": 1},
        "array": {"shape": [nbytes], "dtype": "u8", "frame": 2},
    }
    with pytest.raises(errors.BadHints, match="hint") as caught:
        codec.decode_request([*colorize(**{name: hints}), packed.data, bytes(nbytes)])
    assert caught.value.detail.startswith(f"colorize.{name}")


@pytest.mark.parametrize("name", ["hints", "kept"])
def test_too_many_tiles_are_refused_before_they_are_read(name):
    count = messages.MAX_TILES + 1
    hints = {"tiles": {"shape": [count, 4], "dtype": "u16", "frame": 1}}
    with pytest.raises(errors.BadHints, match="hint"):
        codec.decode_request([*colorize(**{name: hints}), bytes(8 * count)])


def test_a_request_of_the_first_version_means_what_it_meant():
    request = codec.decode_request(colorize(model="", saturation=1.0, temperature=0.37, layout="rgb8"))
    assert (request.options, request.hints, request.kept) == (Options(), None, None)


def test_a_field_that_is_nil_is_as_good_as_absent():
    nothing = {each.name: None for each in fields(Options)} | {"layout": None, "hints": None, "update": None}
    assert codec.decode_request(colorize(**nothing)) == codec.decode_request(colorize())
    assert codec.decode_request(prepare(model=None, hold=None)) == codec.decode_request(prepare())


@pytest.mark.parametrize("array", [None, Array((2, 4), "u8", bytes(8))])
def test_prepare_comes_out_as_it_went_in(array):
    sent = messages.Prepare("a", messages.Image(KEY, 4, 2, array), "chroma")
    assert codec.decode_request(codec.encode(sent)) == sent
    assert codec.decode_request(prepare()) == messages.Prepare("a", messages.Image(KEY, 4, 2))


def test_hints_and_what_is_kept_travel_side_by_side():
    picture = Picture(4, 2, "u8", bytes(8))
    hints, kept = ([(0, 0, 1, 2)], [bytes(range(8))]), ([(2, 1, 2, 1)], [bytes(range(8, 16))])
    wire = (HintTiles(*strokes).to_wire(4, 2) for strokes in (hints, kept))
    sent = messages.Colorize("a", messages.Image(picture.key, 4, 2, picture.array), next(wire), kept=next(wire))
    received = codec.decode_request(codec.encode(sent))
    for strokes, arrived in ((hints, received.hints), (kept, received.kept)):
        again = HintTiles.from_wire(arrived)
        assert (again.tiles, [bytes(pixels) for pixels in again.data]) == strokes


def test_random_damage_is_always_a_protocol_or_request_error():
    """Bytes flipped, cut and doubled in a good message: a ColorizeError or a message, and nothing else."""
    dice = random.Random(7)
    picture = Picture(4, 2, "u8", bytes(8))
    hints = HintTiles([(0, 0, 2, 2)], [bytes(16)]).to_wire(4, 2)
    good = codec.encode(messages.Colorize("a", messages.Image(picture.key, 4, 2, picture.array), hints))
    refused = 0
    for _ in range(5000):
        header = bytearray(good[0])
        for _ in range(dice.randint(1, 4)):
            header[dice.randrange(len(header))] = dice.randrange(256)
        frames = [bytes(header[: dice.randint(1, len(header))]), *good[1 : dice.randint(1, 4)]]
        try:
            codec.decode_request(frames)
        except errors.ColorizeError:
            refused += 1
    assert refused > 4000


def test_the_pure_python_msgpack_refuses_the_same(monkeypatch):
    from msgpack import fallback

    def unpack(data: bytes, **limits: object) -> object:
        unpacker = fallback.Unpacker(None, max_buffer_size=len(data), **limits)
        unpacker.feed(data)
        try:
            return unpacker._unpack()
        except msgpack.OutOfData as error:
            raise ValueError("incomplete input") from error

    monkeypatch.setattr(codec.msgpack, "unpackb", unpack)
    for data in (b"", b"\xdf\xff\xff\xff\xff", b"\x91" * 60000, b"\x81\xa1v\xd4\x05x", b"\x81\x01\x02"):
        with pytest.raises(errors.BadMessage):
            codec.unpack_header(data)


def test_a_picture_has_the_key_of_the_specification():
    picture = Picture(3, 1, "u16", bytes(range(6)))
    assert picture.key == hashlib.blake2b(b"3x1:u16:" + bytes(range(6)), digest_size=16).hexdigest()


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ((0, 1, "u8", b""), errors.BadPicture),
        ((65536, 1, "u8", bytes(65536)), errors.BadPicture),
        ((2, 2, "u8", bytes(3)), errors.BadPicture),
        ((2, 2, "u16", bytes(4)), errors.BadPicture),
        ((2, 2, "f32", bytes(16)), errors.BadPicture),
        ((65535, 65535, "u8", b""), errors.TooLarge),
    ],
)
def test_a_picture_that_cannot_be_is_refused_before_it_travels(given, kind):
    with pytest.raises(kind):
        Picture(*given)


@pytest.mark.parametrize(
    ("tiles", "data"),
    [([(0, 0, 9, 1)], [bytes(36)]), ([(-1, 0, 1, 1)], [bytes(4)]), ([(0, 0, 1, 1)], []), ([(0, 0, 2, 2)], [bytes(4)])],
)
def test_hints_that_cannot_be_are_refused_before_they_travel(tiles, data):
    with pytest.raises(errors.BadHints):
        HintTiles(tiles, data).to_wire(8, 8)


def test_hints_come_out_as_they_went_in():
    tiles, data = [(1, 2, 2, 1), (0, 0, 1, 3)], [bytes(range(8)), bytes(range(12))]
    again = HintTiles.from_wire(HintTiles(tiles, data).to_wire(8, 8))
    assert again.tiles == tiles
    assert [bytes(pixels) for pixels in again.data] == data


def test_vividness_is_a_temperature():
    assert Options.from_vividness(0).temperature == 1.0
    assert Options.from_vividness(100).temperature == pytest.approx(0.1)
    assert Options.from_vividness(70).temperature == pytest.approx(0.37)
