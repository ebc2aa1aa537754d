"""Kinds of files by their first bytes: those that are no photographs yet, or that this command cannot read."""

from colorize_cli.tifftags import Bytes

CAMERA_RAW = (
    "this is a camera's raw file, whose pixels are not a photograph yet; develop it (as with darktable or RawTherapee) "
    "and save it as 16-bit TIFF"
)
_CONVERT = "{kind} files cannot be read; save the picture as 8- or 16-bit PNG, TIFF or JPEG"
# Begins with, at this offset.
_RAW_FILES = (
    (b"FUJIFILMCCD-RAW", 0),
    (b"IIRO", 0),  # Olympus
    (b"IIRS", 0),
    (b"MMOR", 0),
    (b"IIU\0", 0),  # Panasonic, Leica
    (b"\0MRM", 0),  # Minolta
    (b"FOVb", 0),  # Sigma
    (b"HEAPCCDR", 6),  # Canon, before CR2
    (b"ftypcrx ", 4),  # Canon CR3
    (b"CR\2\0", 8),  # Canon CR2, otherwise a TIFF
    (b"ARRI", 0),
)
_OTHERS = (
    ("JPEG XL", b"\xff\x0a", 0),
    ("JPEG XL", b"JXL \r\n\x87\n", 4),
    ("JPEG 2000", b"jP  \r\n\x87\n", 4),
    ("JPEG 2000", b"\xff\x4f\xff\x51", 0),
    ("JPEG XR", b"II\xbc", 0),
    ("JPEG-LS", b"\xff\xd8\xff\xf7", 0),
    ("Photoshop (PSD)", b"8BPS", 0),
    ("GIMP (XCF)", b"gimp xcf", 0),
    ("GIF", b"GIF8", 0),
    ("Windows bitmap (BMP)", b"BM", 0),
    ("PDF", b"%PDF-", 0),
    ("OpenEXR", b"\x76\x2f\x31\x01", 0),
    ("Radiance HDR", b"#?RADIANCE", 0),
    ("DICOM", b"DICM", 128),
    ("FITS", b"SIMPLE  =", 0),
    ("DjVu", b"AT&TFORM", 0),
    ("DPX", b"SDPX", 0),
    ("DPX", b"XPDS", 0),
)
_HEAD = 160
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_AVIF_BRANDS = (b"avif", b"avis")


def refusal(data: Bytes) -> str | None:
    """Why a file that begins so cannot be coloured and what to do; None where nothing speaks against it."""
    head = bytes(data[:_HEAD])
    if any(head.startswith(magic, at) for magic, at in _RAW_FILES):
        return CAMERA_RAW
    kind = next((kind for kind, magic, at in _OTHERS if head.startswith(magic, at)), None)
    return kind and _CONVERT.format(kind=kind)


def is_heic(data: Bytes) -> bool:
    """Whether this is HEIF with HEVC, as telephones write it, rather than AVIF."""
    size = min(int.from_bytes(data[:4], "big"), _HEAD)
    if bytes(data[4:8]) != b"ftyp":
        return False
    brands = [bytes(data[8:12]), *(bytes(data[at : at + 4]) for at in range(16, size - 3, 4))]
    return not set(brands) & set(_AVIF_BRANDS) and bool(set(brands) & set(_HEIF_BRANDS))


def is_sequence(data: Bytes) -> bool:
    """Whether a HEIF or AVIF file says that it is a film rather than a picture."""
    return bytes(data[4:12]) in (b"ftypavis", b"ftypmsf1", b"ftyphevc", b"ftyphevx")
