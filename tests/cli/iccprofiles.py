"""Small ICC profiles made by the book (ICC.1:2001-04): matrix with one gamma, and gray with one gamma."""

import struct

ADOBE_GAMMA = 2.19921875
# Adobe RGB (1998): colorants adapted to D50, and the luminance row under its own white D65.
ADOBE_COLORANTS = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
ADOBE_LUMINANCE = (0.29734, 0.62736, 0.07529)
D50 = (0.9642, 1.0, 0.8249)


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def _xyz(values: tuple[float, float, float]) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(map(_fixed, values))


def _gamma(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"


def _text(kind: bytes, text: bytes) -> bytes:
    if kind == b"text":
        body = b"text\0\0\0\0" + text + b"\0"
    else:
        body = b"desc\0\0\0\0" + struct.pack(">I", len(text) + 1) + text + b"\0" + bytes(78)
    return body + bytes(-len(body) % 4)


def _profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    tags = {b"desc": _text(b"desc", b"test"), b"cprt": _text(b"text", b"none"), b"wtpt": _xyz(D50)} | tags
    table, body, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data
    size = struct.pack(">I", start + len(body))
    dates = struct.pack(">6H", 2026, 1, 1, 0, 0, 0)
    header = size + bytes(4) + struct.pack(">I", 0x02100000) + b"mntr" + space + b"XYZ " + dates + b"acsp"
    header += bytes(28) + b"".join(map(_fixed, D50))
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def adobe_rgb() -> bytes:
    """Adobe RGB (1998) in all but name."""
    tags = {name: _xyz(values) for name, values in zip((b"rXYZ", b"gXYZ", b"bXYZ"), ADOBE_COLORANTS, strict=True)}
    return _profile(b"RGB ", tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _gamma(ADOBE_GAMMA)))


def gray(gamma: float) -> bytes:
    """Gray with a pure power curve."""
    return _profile(b"GRAY", {b"kTRC": _gamma(gamma)})
