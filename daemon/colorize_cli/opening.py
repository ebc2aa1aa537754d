"""Opens picture files: which of a file's pictures, what its channels mean, what else the file says; no pixels yet."""

import logging
import mmap
import os
import stat
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pyvips
from colorize_client.errors import RequestError
from colorize_client.messages import MAX_PIXELS, MAX_SIDE, check_size

from colorize_cli import codepoints, heif, jpegmarkers, kinds, metadata, pngchunks, tiffpages
from colorize_cli.light import Light, of_lightness
from colorize_cli.metadata import Metadata
from colorize_cli.problems import PictureError, sentence_for
from colorize_cli.tiffpages import Page, Unsuitable
from colorize_cli.tifftags import ORIENTATION, BrokenTags, Bytes, exif_of_tiff

_FORMAT_OF_LOADER = {"pngload": "png", "jpegload": "jpeg", "tiffload": "tiff", "webpload": "webp", "heifload": "heif"}
_LOADER_CLASSES = ("Png", "Jpeg", "Tiff", "Webp", "Heif")
_EMPTY = "the file is empty; copy it again from where it came"
_NOT_A_PICTURE = "this is not a picture that can be read; use PNG, TIFF, JPEG, WebP, AVIF or HEIC"
DAMAGED = "the file is damaged or cut short ({detail}); copy it again from where it came"
_UNSUPPORTED = "{kind} cannot be read; save it again as 8- or 16-bit PNG, TIFF or JPEG"
_NO_END = "the file lacks its end, but none of its pixels"
_PAGES = "only the first of the file's {count} pictures was coloured"
_FILM = "the file is animated; only its first picture was coloured"
# What libraries say of a coding that they do not have, and not of damage.
_MISSING = ("not configured", "not implemented", "nsupported", "not been built in", "not supported", "bad compression")
# What libjpeg says of files whose pixels are right for all that.
_HARMLESS = ("extraneous bytes before marker", "unknown JFIF revision", "Unknown Adobe color transform")
_JPEG_COMPLAINT = "VipsJpeg: "
_NO_COMPLAINTS = ("error in tile", "read gave")  # libvips' own, about what it reports otherwise
_RGBA = 4  # channels
MAX_COPIED_BYTES = 1 << 30


class _Complaints(logging.Handler):
    """What libtiff warns of while pixels are decoded, which reaches nobody but libvips' log."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._heard: deque[str] = deque(maxlen=100)

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage().removeprefix("VIPS: ").strip()
        if text and not text.startswith(_NO_COMPLAINTS):
            self._heard.append(text)

    def taken(self) -> list[str]:
        heard = list(self._heard)
        self._heard.clear()
        return heard


@cache
def _complaints() -> _Complaints:
    handler = _Complaints()
    logging.getLogger("pyvips").addHandler(handler)
    return handler


@dataclass
class Opened:
    """A picture whose pixels are undecoded, to be read once from the top to the bottom.

    Attributes:
        image: all its channels, colours first.
        channels: how many of them are colour.
        alpha: the number of the one that is transparency, None without.
        extras: the numbers of those that are neither, as a scanner's infrared.
        light: what colours mean, None where their profile says it, or they are sRGB.
        orientation: EXIF's 1..8.
        has_resolution: whether the file names a resolution in pixels per length.
        notes: sentences on what the result cannot keep, to be added to.
    """

    path: Path
    form: str
    image: pyvips.Image
    channels: int
    alpha: int | None
    extras: tuple[int, ...] = ()
    light: Light | None = None
    orientation: int = 1
    has_resolution: bool = False
    metadata: Metadata = field(default_factory=Metadata)
    notes: list[str] = field(default_factory=list)

    def check_decoded(self) -> None:
        """Heed what the decoder complained of: PictureError where pixels are damaged, else a note."""
        text = pyvips.ffi.string(pyvips.vips_lib.vips_error_buffer()).decode("utf-8", "replace")
        for line in text.splitlines() if self.form == "jpeg" else ():
            if line.startswith(_JPEG_COMPLAINT) and harmless(line) is None:
                pyvips.vips_lib.vips_error_clear()
                raise PictureError(self.path, DAMAGED.format(detail=line.removeprefix(_JPEG_COMPLAINT)))
        heard = _complaints().taken()
        if heard and self.form == "tiff":
            self.notes.append(f"parts of the file are damaged ({heard[0]}); look whether the result is whole")


def open_picture(path: Path, patient: bool = False) -> Opened:
    """The picture in a file; `patient`: also where its decoder warns of something.

    Raises PictureError: not readable, not a picture, empty, larger than the service accepts.
    """
    _allow_photographs_only()
    _complaints().taken()
    pyvips.vips_lib.vips_error_clear()
    with _mapped(path) as (descriptor, data):
        reason = kinds.refusal(data)
        if reason is not None:
            raise PictureError(path, reason)
        try:
            opened = _open(path, descriptor, data, patient)
        except pyvips.Error as error:
            raise PictureError(path, _refusal(data, error)) from error
        except Unsuitable as error:
            raise PictureError(path, str(error)) from error
        except heif.Undecodable as error:
            raise PictureError(path, DAMAGED.format(detail=error)) from error
    return opened


def refusal_of(path: Path, error: pyvips.Error) -> str:
    """Why a file's pixels cannot be decoded."""
    with _mapped(path) as (_, data):
        return _refusal(data, error)


def harmless(error: pyvips.Error | str) -> str | None:
    """The decoder's warning where it is one that leaves the pixels right."""
    line = error if isinstance(error, str) else _first_line(error)
    return line.removeprefix(_JPEG_COMPLAINT) if any(words in line for words in _HARMLESS) else None


@cache
def _allow_photographs_only() -> None:
    """Let libvips open only the formats that are meant here: the fewer parsers a hostile file reaches, the better."""
    pyvips.operation_block_set("VipsForeignLoad", True)
    for name in _LOADER_CLASSES:
        pyvips.operation_block_set(f"VipsForeignLoad{name}", False)


@contextmanager
def _mapped(path: Path) -> Iterator[tuple[int, mmap.mmap]]:
    """A file's descriptor and bytes."""
    descriptor = _descriptor(path)
    try:
        if os.fstat(descriptor).st_size == 0:
            raise PictureError(path, _EMPTY)
        with mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as data:
            yield descriptor, data
    finally:
        os.close(descriptor)


def _descriptor(path: Path) -> int:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe without a writer would wait for ever
    except OSError as error:
        raise PictureError(path, sentence_for(error)) from error
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise PictureError(path, "this is not a regular file; name a file or a folder")


def _refusal(data: Bytes, error: pyvips.Error) -> str:
    """The sentence for what libvips refused: a coding that it does not know, or damage."""
    detail = _first_line(error)
    if "not in a known format" in error.detail:
        return _NOT_A_PICTURE
    coding = _unusual_coding(data)
    if coding is not None:
        return _UNSUPPORTED.format(kind=coding)
    if any(words in error.detail for words in _MISSING):
        return _UNSUPPORTED.format(kind=f"this kind of file ({detail})")
    return DAMAGED.format(detail=detail)


def _unusual_coding(data: Bytes) -> str | None:
    """The name of what only some programs read, and the bundled libraries do not."""
    if _is_jpeg(data):
        return jpegmarkers.read_markers(data).coding
    if not _is_tiff(data):
        return None
    try:
        page = tiffpages.read_pages(data).photograph()
    except (BrokenTags, Unsuitable):
        return None
    name = tiffpages.COMPRESSIONS.get(page.compression)
    return name and f"a TIFF with {name} compression"


def _first_line(error: pyvips.Error) -> str:
    lines = [line.strip().removeprefix(_JPEG_COMPLAINT) for line in error.detail.splitlines() if line.strip()]
    return lines[0] if lines else "no reason given"


def _is_jpeg(data: Bytes) -> bool:
    return bytes(data[:2]) == b"\xff\xd8"


def _is_tiff(data: Bytes) -> bool:
    return bytes(data[:4]) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def _open(path: Path, descriptor: int, data: Bytes, patient: bool) -> Opened:
    if kinds.is_heic(data):
        return _open_heic(path, descriptor, data)
    if _is_jpeg(data):
        return _open_jpeg(path, descriptor, data, patient)
    if _is_tiff(data):
        return _open_tiff(path, descriptor, data)
    if bytes(data[:8]) == pngchunks.SIGNATURE:
        return _open_png(path, descriptor, data)
    return _open_other(path, descriptor, data)


def _load(path: Path, source: int | bytes, fail_on: str = "error", **options: Any) -> pyvips.Image:
    if isinstance(source, int):  # a name would be searched for libvips' [options]
        image = pyvips.Image.new_from_source(
            pyvips.Source.new_from_descriptor(source), "", access="sequential", fail_on=fail_on, **options
        )
    else:
        image = pyvips.Image.new_from_buffer(source, "", access="sequential", fail_on=fail_on, **options)
    _check_size(path, image.width, image.height)
    return image


def _check_size(path: Path, width: int, height: int) -> None:
    try:
        check_size(width, height)
    except RequestError as error:
        reason = (
            f"{width} x {height} pixels are too many; "
            f"scale it to at most {MAX_SIDE} per side and {MAX_PIXELS // 10**6} megapixels"
        )
        raise PictureError(path, reason) from error


def _field(image: pyvips.Image, name: str, default: int) -> int:
    return int(image.get(name)) if image.get_typeof(name) else default


def _plain(path: Path, image: pyvips.Image) -> Opened:
    """A picture whose last channel is transparency where libvips says so."""
    form = _FORMAT_OF_LOADER[image.get("vips-loader").removesuffix("_source").removesuffix("_buffer")]
    channels = image.bands - int(image.hasalpha())
    alpha = channels if image.hasalpha() else None
    return Opened(path, form, image, channels, alpha, orientation=_field(image, "orientation", 1))


def _copied(path: Path, data: Bytes) -> bytes:
    if len(data) > MAX_COPIED_BYTES:
        raise PictureError(path, DAMAGED.format(detail="it has no end"))
    return bytes(data)


def _open_jpeg(path: Path, descriptor: int, data: Bytes, patient: bool) -> Opened:
    markers = jpegmarkers.read_markers(data)
    endless = not markers.ended and markers.complete
    source = _copied(path, data) + jpegmarkers.END if endless else descriptor
    opened = _plain(path, _load(path, source, "error" if patient else "warning"))
    opened.metadata = metadata.of_jpeg(opened.image, markers, opened.notes)
    opened.has_resolution = markers.resolution or metadata.states_resolution(opened.metadata)
    if endless:
        opened.notes.append(_NO_END)
    if markers.pictures > 1:
        opened.notes.append(_PAGES.format(count=markers.pictures))
    return opened


def _open_png(path: Path, descriptor: int, data: Bytes) -> Opened:
    chunks = pngchunks.read_chunks(data)
    opened = _plain(path, _load(path, descriptor))
    opened.metadata = metadata.of_png(opened.image, chunks, opened.notes)
    opened.has_resolution = chunks.resolution
    found = codepoints.of_png(chunks, opened.channels)
    if found is not None:
        opened.light, note = found
        opened.notes.append(note)
    elif codepoints.names_colour(chunks):
        opened.image = opened.image.copy()
        opened.image.remove("icc-profile-data")
    if chunks.frames > 1:
        opened.notes.append(_FILM)
    if not chunks.ended:
        opened.notes.append(_NO_END)
    return opened


def _open_other(path: Path, descriptor: int, data: Bytes) -> Opened:
    """WebP and AVIF."""
    film = kinds.is_sequence(data)
    # libvips goes by the first name of the format alone; what it then takes for AVIF begins with a picture
    source = _copied(path, b"".join((data[:8], b"avif", data[12:]))) if film else descriptor
    opened = _plain(path, _load(path, source))
    opened.metadata = metadata.of_image(opened.image, opened.notes)
    opened.has_resolution = metadata.states_resolution(opened.metadata)
    pages = _field(opened.image, "n-pages", 1)
    if film or (pages > 1 and opened.image.get_typeof("delay")):
        opened.notes.append(_FILM)
    elif pages > 1:
        opened.notes.append(_PAGES.format(count=pages))
    if opened.form == "heif":
        _colours_of_heif(opened, data)
    return opened


def _open_heic(path: Path, descriptor: int, data: Bytes) -> Opened:
    with open(os.dup(descriptor), "rb") as file:
        file.seek(0)
        found = heif.Heic(file)
        _check_size(path, found.width, found.height)
        opened = _plain(path, found.decode())
    opened.metadata = metadata.of_image(opened.image, opened.notes)
    opened.has_resolution = metadata.states_resolution(opened.metadata)
    if found.pictures > 1:
        opened.notes.append(_PAGES.format(count=found.pictures))
    if kinds.is_sequence(data):
        opened.notes.append(_FILM)
    _colours_of_heif(opened, data)
    return opened


def _colours_of_heif(opened: Opened, data: Bytes) -> None:
    """Spread 10 and 12 bits over all of 16, and heed the numbers that name colours where no profile does.

    libheif turns pixels upright by itself, whatever EXIF says.
    """
    opened.orientation = 1
    bits = _field(opened.image, "bits-per-sample", 8)
    if opened.image.format == "ushort" and bits < 16:
        fields = opened.image
        opened.image = (fields >> (16 - bits)).linear(65535 / ((1 << bits) - 1), 0.5).cast("ushort")
    codes = heif.colour_codes(data)
    if codes is None or opened.image.get_typeof("icc-profile-data"):
        return
    found = codepoints.of_codes(*codes, opened.channels)
    if found is not None:
        opened.light, note = found
        opened.notes.append(note)


def _open_tiff(path: Path, descriptor: int, data: Bytes) -> Opened:
    try:
        pages = tiffpages.read_pages(data)
    except BrokenTags as error:
        raise PictureError(path, DAMAGED.format(detail=error)) from error
    page = pages.photograph()
    which: dict[str, Any] = {"page": page.number} | ({"subifd": page.sub} if page.sub >= 0 else {})
    source = tiffpages.as_icc_lab(_copied(path, data), page) if page.cielab else descriptor
    image = _load(path, source, **which)
    opened = _channels_of(path, page, image)
    note = pages.note(page)
    opened.notes += [note] if note else []
    opened.orientation = page.first(ORIENTATION, pages.pages[0].first(ORIENTATION, 1))
    opened.has_resolution = page.has_resolution
    opened.metadata = _metadata_of_tiff(data, pages.pages[0], page, opened.notes)
    return opened


def _channels_of(path: Path, page: Page, image: pyvips.Image) -> Opened:
    """What libvips' bands are, by the page's tags; it has divided colours by alpha where they were multiplied by it."""
    notes: list[str] = []
    light = None
    if image.bands == _RGBA > page.samples:  # libtiff's own way of reading what it cannot take apart
        image = image[: page.channels]
    if page.lab:
        image, light = tiffpages.lightness_first(page, image), of_lightness()
        notes.append("CIELAB cannot be kept; the result is in sRGB")
    extras = page.extras[-image.bands + 1 :] if image.bands > 1 else ()
    channels = image.bands - len(extras)
    kinds_of_alpha = (tiffpages.ASSOCIATED, tiffpages.UNASSOCIATED)
    place = next((at for at, kind in enumerate(extras) if kind in kinds_of_alpha), None)
    return Opened(
        path,
        "tiff",
        image,
        channels,
        alpha=None if place is None else channels + place,
        extras=tuple(channels + at for at in range(len(extras)) if at != place),
        light=light,
        notes=notes,
    )


def _metadata_of_tiff(data: Bytes, first: Page, page: Page, notes: list[str]) -> Metadata:
    """What the chosen page says, and where it is silent the first one."""
    try:
        exif = exif_of_tiff(data, tuple(dict.fromkeys((first.offset, page.offset))))
    except BrokenTags as error:
        notes.append(f"the file's EXIF data could not be kept: {error}")
        exif = None
    try:
        blocks = tiffpages.blocks(data, first) | tiffpages.blocks(data, page)
    except BrokenTags as error:
        notes.append(f"the file's XMP and IPTC data could not be kept: {error}")
        blocks = {}
    return metadata.of_tiff(exif, blocks, notes)
