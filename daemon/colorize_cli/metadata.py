"""What a file says about its photograph: EXIF, XMP, IPTC, texts, comments; from any format to any other.

libvips takes apart what it carries and puts it together anew, with values that were never there; so the blocks are
carried here as they are.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pyvips

from colorize_cli import jpegmarkers, photoshop, pngchunks, tifftags
from colorize_cli.tifftags import BrokenTags, Value

_EXIF_FIELD, _XMP_FIELD = "exif-data", "xmp-data"
# All repetitions are bounded, so that no packet takes long.
_TIFF_NAMESPACE = rb"""xmlns:([\w.-]{1,40})\s{0,9}=\s{0,9}["']http://ns\.adobe\.com/tiff/1\.0/["']"""
_ORIENTATIONS = (rb"""(\b%s\s{0,9}=\s{0,9}["'])\s{0,9}[1-8]""", rb"(<%s\b[^<>]{0,999}>\s{0,99})[1-8]")
_THUMBNAILS, _THUMBNAILS_END = b"<xmp:Thumbnails>", b"</xmp:Thumbnails>"
_APP1, _APP13, _COMMENT = 0xE1, 0xED, 0xFE
_XMP_NAMESPACE = b"http://ns.adobe.com/xap/1.0/\0"
_PHOTOSHOP = b"Photoshop 3.0\0"
MAX_SEGMENT = 65533  # bytes in a segment of JPEG
_IRB, _IIM = b"8bim", b"iptc"  # names of raw profiles in PNG


@dataclass(frozen=True)
class Metadata:
    """Blocks of metadata, empty where the file has none.

    Attributes:
        exif: as it begins with its byte order; without the thumbnail, which would stay gray.
        xmp: the packet.
        iptc: IIM datasets.
        resources: Photoshop's other resources.
        texts: PNG's texts, (type, body) of each chunk.
        comments: JPEG's.
    """

    exif: bytes = b""
    xmp: bytes = b""
    iptc: bytes = b""
    resources: bytes = b""
    texts: tuple[tuple[bytes, bytes], ...] = ()
    comments: tuple[bytes, ...] = ()


def of_image(image: pyvips.Image, notes: list[str]) -> Metadata:
    """The EXIF and XMP that libvips found, whatever the format but TIFF."""
    exif = image.get(_EXIF_FIELD) if image.get_typeof(_EXIF_FIELD) else b""
    xmp = image.get(_XMP_FIELD) if image.get_typeof(_XMP_FIELD) else b""
    return Metadata(exif=_checked(exif.removeprefix(tifftags.EXIF_PREFIX), notes), xmp=_without_thumbnails(xmp))


def _checked(exif: bytes, notes: list[str]) -> bytes:
    """EXIF without its thumbnail; without anything, and with a note, where it is damaged."""
    if not exif:
        return b""
    try:
        return tifftags.edited_exif(exif, {})
    except BrokenTags as error:
        notes.append(f"the file's EXIF data could not be kept: {error}")
        return b""


def _without_thumbnails(xmp: bytes) -> bytes:
    start = xmp.find(_THUMBNAILS)
    end = xmp.rfind(_THUMBNAILS_END)
    return xmp if start < 0 or end < start else xmp[:start] + xmp[end + len(_THUMBNAILS_END) :]


def of_jpeg(image: pyvips.Image, markers: jpegmarkers.Markers, notes: list[str]) -> Metadata:
    """All that a JPEG file says."""
    iptc, resources = photoshop.split(markers.photoshop)
    return replace(of_image(image, notes), iptc=iptc, resources=resources, comments=tuple(markers.comments))


def of_png(image: pyvips.Image, chunks: pngchunks.Chunks, notes: list[str]) -> Metadata:
    """All that a PNG file says."""
    if chunks.dropped_texts:
        notes.append(f"{chunks.dropped_texts} of the file's texts are too long to be kept")
    found, raw = of_image(image, notes), chunks.raw_profiles
    iptc, resources = photoshop.split(raw.get(_IRB, b"") or raw.get(_IIM, b""))
    iptc = iptc or photoshop.trimmed(raw.get(_IIM, b""))
    exif = raw.get(b"exif", b"") or raw.get(b"APP1", b"")
    if not found.exif and exif.startswith(tifftags.EXIF_PREFIX):
        found = replace(found, exif=_checked(exif.removeprefix(tifftags.EXIF_PREFIX), notes))
    xmp = found.xmp or _without_thumbnails(raw.get(b"xmp", b""))
    return replace(found, xmp=xmp, iptc=iptc, resources=resources, texts=tuple(chunks.texts))


def of_tiff(exif: bytes | None, blocks: dict[int, Value], notes: list[str]) -> Metadata:
    """All that a TIFF file says, from its tags."""
    values = {tag: value.data for tag, value in blocks.items()}
    iptc, resources = photoshop.split(values.get(tifftags.PHOTOSHOP, b""))
    return Metadata(
        exif=_checked(exif or b"", notes),
        xmp=_without_thumbnails(values.get(tifftags.XMP, b"")),
        iptc=photoshop.from_longs(values.get(tifftags.IPTC, b"")) or iptc,
        resources=resources,
    )


def states_resolution(found: Metadata) -> bool:
    """Whether EXIF holds one; TIFF's own is none of this."""
    return bool(found.exif) and tifftags.has_tag(found.exif, tifftags.X_RESOLUTION)


def for_result(found: Metadata, orientation: int, turned: bool, width: int, height: int) -> Metadata:
    """The metadata of a result whose pixels lie so; `turned`: otherwise than in the photograph's file."""
    sizes = {tifftags.PIXELS_ACROSS: width, tifftags.PIXELS_DOWN: height}
    exif = found.exif and tifftags.edited_exif(found.exif, {tifftags.ORIENTATION: orientation} | sizes)
    return replace(found, exif=exif, xmp=_with_orientation(found.xmp, orientation) if turned else found.xmp)


def _with_orientation(xmp: bytes, orientation: int) -> bytes:
    """XMP whose tiff:Orientation, an attribute or an element, says this."""
    for name in {b"tiff", *re.findall(_TIFF_NAMESPACE, xmp)[:1]}:
        place = re.escape(name) + rb":Orientation"
        for pattern in _ORIENTATIONS:
            xmp = re.sub(pattern % place, rb"\g<1>%d" % orientation, xmp)
    return xmp


def losses(found: Metadata, form: str) -> Iterator[str]:
    """Sentences on what a result in this format cannot hold."""
    if form != "png" and found.texts:
        names = ", ".join(pngchunks.keywords(list(found.texts))[:8])
        yield f"the PNG file's texts ({names}) cannot be kept in {form.upper()}; use --format png"
    if form == "tiff" and found.comments:
        yield "the JPEG file's comment cannot be kept in TIFF; use --format jpeg or png"
    if form == "jpeg":
        too_long = [name for name, block in _segments(found) if len(block) > MAX_SEGMENT]
        if too_long:
            yield f"the file's {' and '.join(too_long)} data is too long for JPEG; use --format png or tiff"


def _segments(found: Metadata) -> Iterator[tuple[str, bytes]]:
    """EXIF and XMP as JPEG carries them, each in one segment."""
    if found.exif:
        yield "EXIF", tifftags.EXIF_PREFIX + found.exif
    if found.xmp:
        yield "XMP", _XMP_NAMESPACE + found.xmp


def jpeg_segments(found: Metadata) -> bytes:
    """The segments that stand after the first one of a JPEG file; what is too long for one is left out."""
    segments = [(_APP1, block) for _, block in _segments(found) if len(block) <= MAX_SEGMENT]
    resources = photoshop.joined(found.iptc, found.resources)
    step = MAX_SEGMENT - len(_PHOTOSHOP)  # resources go on in further segments
    segments += [(_APP13, _PHOTOSHOP + resources[at : at + step]) for at in range(0, len(resources), step)]
    segments += [(_COMMENT, comment) for comment in found.comments]
    return b"".join(struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data for marker, data in segments)


def png_chunks(found: Metadata) -> bytes:
    """The chunks that stand before a PNG file's pixels."""
    resources = photoshop.joined(found.iptc, found.resources)
    chunks = [pngchunks.chunk(b"eXIf", found.exif)] if found.exif else []
    chunks += [pngchunks.xmp_chunk(found.xmp)] if found.xmp else []
    chunks += [pngchunks.raw_profile_chunk(_IIM, resources)] if resources else []
    chunks += [pngchunks.comment_chunk(comment) for comment in found.comments]
    return b"".join(chunks + [pngchunks.chunk(kind, body) for kind, body in found.texts])


def tiff_tags(found: Metadata) -> dict[int, bytes]:
    """The tags of a TIFF file beside those of EXIF."""
    values = {tifftags.XMP: found.xmp, tifftags.IPTC: found.iptc, tifftags.PHOTOSHOP: found.resources}
    return {tag: value for tag, value in values.items() if value}
