"""The pages of a TIFF file: which of them is the photograph, and what its channels are.

Sources: TIFF 6.0; its supplements for ZIP and JPEG; TIFF/EP and DNG 1.7 for what cameras write.
"""

import struct
from dataclasses import dataclass

import pyvips

from colorize_cli.kinds import CAMERA_RAW
from colorize_cli.tifftags import (
    EXTRA_SAMPLES,
    IPTC,
    ORIENTATION,
    PHOTOSHOP,
    RESOLUTION_UNIT,
    X_RESOLUTION,
    XMP,
    BrokenTags,
    Bytes,
    Reader,
    Value,
)

_NEW_TYPE, _OLD_TYPE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 0xFE, 0xFF, 0x100, 0x101, 0x102, 0x103, 0x106
_SAMPLES, _SUB_FOLDERS = 0x115, 0x14A
_NUMBERS = frozenset(
    (
        *(_NEW_TYPE, _OLD_TYPE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES, _SUB_FOLDERS),
        *(EXTRA_SAMPLES, ORIENTATION, X_RESOLUTION, RESOLUTION_UNIT),
    )
)
_BLOCKS = frozenset((XMP, IPTC, PHOTOSHOP))
_REDUCED, _MASK = 1, 4  # bits of NewSubfileType
_MASK_PHOTOMETRIC = 4
_OLD_REDUCED = 2
_CENTIMETRE, _INCH = 3, 2
_LAB, _ICC_LAB, _ITU_LAB = 8, 9, 10
_ICC_WHITE = 0xFF00  # L = 100 in 16 bits of ICC's Lab, other kinds have 0xFFFF
_CMYK = 5
_RAW_PHOTOMETRICS = (32803, 34892)  # a mosaic of colour filters, and linear values in a camera's own colours
_RAW_COMPRESSIONS = (32767, 32769, 32770, 34713, 65535)  # Sony, Epson, Samsung, Nikon, Pentax
_CHANNELS = {0: 1, 1: 1, 4: 1, _CMYK: 4}  # others have three
ASSOCIATED, UNASSOCIATED = 1, 2
MAX_PAGES, MAX_SUB_PAGES, MAX_NUMBERS = 1024, 16, 64
MAX_BLOCK_BYTES = 64 << 20

COMPRESSIONS = {
    6: "old-style JPEG",
    9: "JBIG",
    10: "JBIG",
    32766: "NeXT",
    32809: "ThunderScan",
    34661: "JBIG",
    34676: "SGI LogLuv",
    34677: "SGI LogLuv",
    33003: "JPEG 2000",
    33004: "JPEG 2000",
    33005: "JPEG 2000",
    34712: "JPEG 2000",
    34887: "LERC",
    34892: "lossy JPEG of DNG",
    34925: "LZMA2",
    34926: "Zstandard",
    50000: "Zstandard",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL",
}


class Unsuitable(Exception):
    """No page is a photograph; the sentence says what to do."""


@dataclass(frozen=True)
class Page:
    """One picture: `number` in the file's chain, and `sub` among that page's own pictures, -1 for itself."""

    number: int
    sub: int
    offset: int
    numbers: dict[int, tuple[int, ...]]

    def first(self, tag: int, default: int) -> int:
        return (self.numbers.get(tag) or (default,))[0]

    @property
    def area(self) -> int:
        return self.first(_WIDTH, 0) * self.first(_HEIGHT, 0)

    @property
    def photometric(self) -> int:
        return self.first(_PHOTOMETRIC, 1)

    @property
    def compression(self) -> int:
        return self.first(_COMPRESSION, 1)

    @property
    def raw(self) -> bool:
        return self.photometric in _RAW_PHOTOMETRICS or self.compression in _RAW_COMPRESSIONS

    @property
    def reduced(self) -> bool:
        return bool(self.first(_NEW_TYPE, 0) & _REDUCED) or self.first(_OLD_TYPE, 0) == _OLD_REDUCED

    @property
    def mask(self) -> bool:
        return bool(self.first(_NEW_TYPE, 0) & _MASK) or self.photometric == _MASK_PHOTOMETRIC

    @property
    def has_resolution(self) -> bool:
        return X_RESOLUTION in self.numbers and self.first(RESOLUTION_UNIT, _INCH) in (_INCH, _CENTIMETRE)

    @property
    def channels(self) -> int:
        """How many of the samples are colour."""
        return _CHANNELS.get(self.photometric, 3)

    @property
    def extras(self) -> tuple[int, ...]:
        """The kind of each sample that is not colour, 0 where the file does not say."""
        count = max(0, min(self.samples, MAX_NUMBERS) - (1 if self.photometric == 3 else self.channels))
        return (self.numbers.get(EXTRA_SAMPLES, ()) + (0,) * count)[:count]

    @property
    def samples(self) -> int:
        return self.first(_SAMPLES, 1)

    @property
    def cielab(self) -> bool:
        """Whether the pixels are TIFF's own Lab."""
        return self.photometric == _LAB

    @property
    def lab(self) -> bool:
        """Whether the pixels are CIELAB, whose first channel is L."""
        return self.photometric in (_LAB, _ICC_LAB, _ITU_LAB)


@dataclass(frozen=True)
class Pages:
    """All pages of a file, in its order."""

    pages: tuple[Page, ...]

    def photograph(self) -> Page:
        """The first full-size picture; Unsuitable where that is a camera's raw one or there is none."""
        pictures = [page for page in self.pages if not page.mask]
        if not pictures:
            raise Unsuitable("the file holds masks only and no picture; save the photograph as TIFF again")
        full = [page for page in pictures if not page.reduced] or [max(pictures, key=lambda page: page.area)]
        chosen = next((page for page in full if not page.raw), full[0])
        larger = [page for page in full if page.number == chosen.number and page.area > chosen.area]
        chosen = max(larger, key=lambda page: page.area, default=chosen)
        if any(page.raw and page.area >= chosen.area for page in pictures):
            raise Unsuitable(CAMERA_RAW)
        return chosen

    def note(self, chosen: Page) -> str | None:
        """What is to be said of the choice: previews that were passed over, and other pictures."""
        if chosen.reduced:
            return "the file says of its only picture that it is a reduced one; a larger one may be in another file"
        others = [page for page in self.pages if not (page.reduced or page.mask) and page.sub < 0]
        if len(others) > 1:
            place = others.index(chosen) + 1 if chosen in others else 1
            if place == 1:
                return f"only the first of the file's {len(others)} pages was coloured"
            return f"only page {place} of the file's {len(others)} was coloured"
        if chosen is not self.pages[0]:
            return "the file begins with a reduced preview; its full-size picture was coloured"
        return None


def read_pages(data: Bytes) -> Pages:
    """The pages of a TIFF file and of each page's sub-folders; raises BrokenTags."""
    reader = Reader(data)
    pages: list[Page] = []
    offset, seen = reader.first, set[int]()
    while offset and offset not in seen and len(pages) < MAX_PAGES:
        number = len(seen)
        seen.add(offset)
        page = Page(number, -1, offset, _numbers(reader, offset))
        pages.append(page)
        below = enumerate(page.numbers.get(_SUB_FOLDERS, ())[:MAX_SUB_PAGES])
        pages += [Page(number, sub, at, _numbers(reader, at)) for sub, at in below]
        offset = reader.following(offset)
    if not pages:
        raise BrokenTags("no page")
    return Pages(tuple(pages))


def _numbers(reader: Reader, offset: int) -> dict[int, tuple[int, ...]]:
    wanted = {tag for tag, _, items, _ in reader.entries(offset) if tag in _NUMBERS and items <= MAX_NUMBERS}
    return {tag: reader.numbers(value) for tag, value in reader.values(offset, frozenset(wanted))}


def blocks(data: Bytes, page: Page) -> dict[int, Value]:
    """XMP, IPTC and Photoshop's resources of a page; raises BrokenTags."""
    reader = Reader(data)
    return {tag: value for tag, value in reader.values(page.offset, _BLOCKS) if len(value.data) <= MAX_BLOCK_BYTES}


def as_icc_lab(data: Bytes, page: Page) -> bytes:
    """A copy of the file in which a page of CIELAB is called ICC's Lab.

    libvips hands out the values of that as they are, of the other it reads 16 bits only, as signed numbers.
    """
    reader, copy = Reader(data), bytearray(data)
    for tag, _, _, at in reader.entries(page.offset):
        if tag == _PHOTOMETRIC:
            struct.pack_into(reader.order + "H", copy, at, _ICC_LAB)
    return bytes(copy)


def lightness_first(page: Page, image: pyvips.Image) -> pyvips.Image:
    """L of a Lab page's picture over the whole range of 8 or 16 bits, and the channels that are not colour."""
    light = image[0]
    if image.format == "ushort" and page.photometric == _ICC_LAB:
        light = (light > _ICC_WHITE).ifthenelse(_ICC_WHITE, light).linear(65535 / _ICC_WHITE, 0.5).cast("ushort")
    return light.bandjoin(image[page.channels :]) if image.bands > page.channels else light
