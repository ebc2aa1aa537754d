"""What a file says about its photograph: from every format to every other, true of the result, and nothing invented."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import pyvips
import tifffile
from colorize_cli import photoshop, pngchunks, tifftags
from PIL import Image, IptcImagePlugin, PngImagePlugin
from test_pictures import camera, opened, read

FORMS = ("jpeg", "png", "tiff")
NAMESPACES = (
    'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
)


def packet(inside: str = "", attributes: str = "") -> bytes:
    begin = f"<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF {NAMESPACES}><rdf:Description {attributes}>"
    return f"{begin}<dc:title>Großmutter</dc:title>{inside}</rdf:Description></rdf:RDF></x:xmpmeta>".encode()


def dataset(number: int, text: bytes) -> bytes:
    return struct.pack(">BBBH", 0x1C, 2, number, len(text)) + text


IIM = dataset(120, "Am See, Großmutter".encode("latin-1")) + dataset(25, b"lake") + dataset(25, b"summer")
THUMBNAIL = b"8BIM" + struct.pack(">HHI", 0x040C, 0, 40) + bytes(28) + b"gray picture"
URL = b"8BIM" + struct.pack(">HHI", 0x040B, 0, 6) + b"a:b/c."
IRB = photoshop.joined(IIM, THUMBNAIL + URL)


def exif(orientation: int = 1) -> Image.Exif:
    tags = Image.Exif()
    tags[0x010F], tags[0x0112] = "Voigtlaender", orientation
    tags.get_ifd(0x8769).update({0x9003: "1931:05:06 07:08:09", 0xA002: 128, 0xA003: 96})
    return tags


def segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def source(folder: Path, form: str, orientation: int = 1, xmp: bytes = b"", iptc: bytes = IRB) -> Path:
    """A photograph with EXIF, XMP and IPTC, by the hand of none of our own writers."""
    path, photo, xmp = folder / f"source.{form}", Image.fromarray(camera()[:96]), xmp or packet()
    if form == "jpeg":
        stream = io.BytesIO()
        photo.save(stream, "JPEG", exif=exif(orientation), xmp=xmp)
        content = stream.getvalue()
        path.write_bytes(content[:2] + segment(0xED, b"Photoshop 3.0\0" + iptc) + content[2:])
    elif form == "png":
        texts = PngImagePlugin.PngInfo()
        texts.add_itxt("XML:com.adobe.xmp", xmp.decode())
        digits = "\n".join(iptc.hex()[at : at + 72] for at in range(0, 2 * len(iptc), 72))
        texts.add_text("Raw profile type iptc", f"\niptc\n{len(iptc):8d}\n{digits}\n", zip=True)
        photo.save(path, exif=exif(orientation), pnginfo=texts)
    else:
        own, others = photoshop.split(iptc)
        tags = [(tifftags.XMP, 1, len(xmp), xmp, True), (tifftags.IPTC, 7, len(own), own, True)]
        tags += [(tifftags.PHOTOSHOP, 7, len(others), others, True), (0x010F, 2, 0, "Voigtlaender", True)]
        tags += [(0x0112, 3, 1, orientation, True)]
        tifffile.imwrite(path, camera()[:96], photometric="minisblack", extratags=tags, metadata=None)
    return path


def iptc_of(path: Path) -> dict:
    """By Pillow; in PNG, where it reads none, from the text that programs agree on."""
    with Image.open(path) as image:
        if image.format != "PNG":
            return IptcImagePlugin.getiptcinfo(image) or {}
    iptc, _ = photoshop.split(pngchunks.read_chunks(path.read_bytes()).raw_profiles[b"iptc"])
    assert iptc == IIM
    return {(2, 120): "Am See, Großmutter".encode("latin-1"), (2, 25): [b"lake", b"summer"]}


def xmp_of(path: Path) -> bytes:
    with Image.open(path) as image:
        if image.format == "PNG":  # texts may come after the pixels; a TIFF is turned by Pillow, and its XMP with it
            image.load()
        xmp = image.info.get("xmp", b"")
        return xmp.encode() if isinstance(xmp, str) else xmp


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("wanted", FORMS)
def test_every_kind_goes_from_every_format_to_every_other(
    tmp_path: Path, colour: Callable, form: str, wanted: str
) -> None:
    result = colour(source(tmp_path, form), "-o", tmp_path / "out", "--format", wanted)
    assert opened(result).getexif()[0x010F] == "Voigtlaender"
    assert xmp_of(result) == packet()
    found = iptc_of(result)
    assert found[2, 120] == "Am See, Großmutter".encode("latin-1")
    assert found[2, 25] == [b"lake", b"summer"]
    assert URL in result.read_bytes() or wanted == "png"
    assert b"gray picture" not in result.read_bytes()


@pytest.mark.parametrize("form", ["webp", "avif"])
@pytest.mark.parametrize("wanted", FORMS)
def test_exif_and_xmp_of_other_formats_are_kept(tmp_path: Path, colour: Callable, form: str, wanted: str) -> None:
    xmp = packet(ELEMENT)
    Image.fromarray(camera()[:96]).save(tmp_path / f"a.{form}", exif=exif(6).tobytes(), xmp=xmp)
    with Image.open(tmp_path / f"a.{form}") as image:
        turned = image.size
    result = colour(tmp_path / f"a.{form}", "-o", tmp_path / "out", "--format", wanted)
    assert opened(result).getexif()[0x010F] == "Voigtlaender"
    assert opened(result).getexif().get(0x0112, 1) == 1
    assert xmp_of(result) == packet(ELEMENT.replace("6", "1"))
    assert sorted(read(result).shape[:2]) == sorted(turned)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("swapped", [False, True])
def test_iptc_of_type_long_in_tiff(tmp_path: Path, colour: Callable, order: str, swapped: bool) -> None:
    """Most programs give IPTC in TIFF this type; some then turn the bytes of each word."""
    words = IIM + bytes(-len(IIM) % 4)
    if swapped:
        words = np.frombuffer(words, "<u4").astype(">u4").tobytes()
    value = np.frombuffer(words, f"{order}u4")
    tags = [(tifftags.IPTC, 4, len(value), tuple(map(int, value)), True)]
    path = tmp_path / "long.tif"
    tifffile.imwrite(path, camera(), byteorder=order, photometric="minisblack", extratags=tags, metadata=None)
    assert words in path.read_bytes()
    with tifffile.TiffFile(colour(path)) as file:
        assert bytes(file.pages[0].tags[tifftags.IPTC].value) == IIM
    result = colour(path, "--format", "jpeg")
    assert iptc_of(result)[2, 25] == [b"lake", b"summer"]


def test_iptc_within_photoshops_tag_alone(tmp_path: Path, colour: Callable) -> None:
    tags = [(tifftags.PHOTOSHOP, 7, len(IRB), IRB, True)]
    tifffile.imwrite(tmp_path / "a.tif", camera(), photometric="minisblack", extratags=tags, metadata=None)
    assert iptc_of(colour(tmp_path / "a.tif"))[2, 25] == [b"lake", b"summer"]


def test_iptc_longer_than_a_segment(tmp_path: Path, colour: Callable) -> None:
    long = b"".join(dataset(25, b"x" * 30000) for _ in range(5))
    tags = [(tifftags.IPTC, 7, len(long), long, True)]
    tifffile.imwrite(tmp_path / "a.tif", camera(), photometric="minisblack", extratags=tags, metadata=None)
    again = colour(colour(tmp_path / "a.tif", "--format", "jpeg"), "--format", "tiff")
    with tifffile.TiffFile(again) as file:
        assert bytes(file.pages[0].tags[tifftags.IPTC].value) == long


ELEMENT = "<tiff:Orientation>6</tiff:Orientation>"


@pytest.mark.parametrize(
    ("xmp", "expected"),
    [
        (packet(attributes='tiff:Orientation="6"'), packet(attributes='tiff:Orientation="1"')),
        (packet(attributes="tiff:Orientation = '6'"), packet(attributes="tiff:Orientation = '1'")),
        (packet(ELEMENT), packet(ELEMENT.replace("6", "1"))),
        (
            packet("<t:Orientation>6</t:Orientation>").replace(b"xmlns:tiff=", b"xmlns:t="),
            packet("<t:Orientation>1</t:Orientation>").replace(b"xmlns:tiff=", b"xmlns:t="),
        ),
    ],
)
@pytest.mark.parametrize("form", FORMS)
def test_xmps_orientation_is_that_of_the_pixels(
    tmp_path: Path, colour: Callable, form: str, xmp: bytes, expected: bytes
) -> None:
    path = source(tmp_path, form, orientation=6, xmp=xmp)
    same = colour(path, "-o", tmp_path / "same", "--format", form)
    assert xmp_of(same) == xmp
    other = colour(path, "-o", tmp_path / "other", "--format", "png" if form != "png" else "tiff")
    assert xmp_of(other) == expected
    assert read(other).shape == (128, 96, 3)


def test_exif_tells_the_size_of_the_result(tmp_path: Path, colour: Callable) -> None:
    turned = opened(colour(source(tmp_path, "jpeg", orientation=6), "--format", "png")).getexif()
    assert (turned.get_ifd(0x8769)[0xA002], turned.get_ifd(0x8769)[0xA003]) == (96, 128)
    assert turned[0x0112] == 1


def thumbnailed() -> bytes:
    """EXIF whose second folder is a gray JPEG, between other data of the block."""
    stream = io.BytesIO()
    Image.fromarray(camera()[::4, ::4]).save(stream, "JPEG")
    small = stream.getvalue()
    first = struct.pack("<H", 1) + struct.pack("<HHII", 0x010F, 2, 8, 100) + struct.pack("<I", 26)
    second = struct.pack("<H", 3) + struct.pack("<HHIHH", 0x103, 3, 1, 6, 0)
    second += struct.pack("<HHII", 0x201, 4, 1, 120) + struct.pack("<HHII", 0x202, 4, 1, len(small)) + bytes(4)
    return (b"II*\0" + struct.pack("<I", 8) + first + second).ljust(100, b"\0") + b"Voigtla\0".ljust(20, b"\0") + small


def has_thumbnail(path: Path) -> bool:
    """By libexif in libvips."""
    return bool(pyvips.Image.new_from_file(str(path)).get_typeof("jpeg-thumbnail-data"))


@pytest.mark.parametrize("form", FORMS)
def test_a_gray_thumbnail_does_not_stay(tmp_path: Path, colour: Callable, form: str) -> None:
    xmp = packet("<xmp:Thumbnails><rdf:Alt><rdf:li>gray</rdf:li></rdf:Alt></xmp:Thumbnails>")
    Image.fromarray(camera()).save(tmp_path / "a.jpg", exif=b"Exif\0\0" + thumbnailed(), xmp=xmp)
    assert has_thumbnail(tmp_path / "a.jpg")
    result = colour(tmp_path / "a.jpg", "-o", tmp_path / "out", "--format", form)
    assert opened(result).getexif()[0x010F] == "Voigtla"
    assert not has_thumbnail(result)
    assert result.read_bytes().count(b"\xff\xd8\xff") == (1 if form == "jpeg" else 0)
    assert xmp_of(result) == packet()


def test_makers_notes_stay_where_they_are(tmp_path: Path, colour: Callable) -> None:
    """They count from the beginning of the block."""
    tags = exif()
    tags.get_ifd(0x8769)[0x927C] = bytes(range(200))
    block = tags.tobytes()
    Image.fromarray(camera()).save(tmp_path / "a.jpg", exif=block)
    with Image.open(colour(tmp_path / "a.jpg")) as image:
        after = image.info["exif"].removeprefix(b"Exif\0\0")
    before = block.removeprefix(b"Exif\0\0")
    assert len(after) == len(before)
    assert after.index(bytes(range(200))) == before.index(bytes(range(200)))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("origin", ["jpeg", "png", "tiff", "webp"])
def test_nothing_is_invented(tmp_path: Path, colour: Callable, origin: str, form: str) -> None:
    path = tmp_path / f"bare.{origin}"
    Image.fromarray(camera()).save(path, **({"lossless": True} if origin == "webp" else {}))
    result = opened(colour(path, "-o", tmp_path / "out", "--format", form))
    assert "exif" not in result.info
    assert "xmp" not in result.info
    if form == "tiff":
        assert not {0x11A, 0x11B, 0x128, 0x8769, 0x0112, 0x0131} & set(result.tag_v2)
    else:
        assert "dpi" not in result.info
        assert not dict(result.getexif())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("origin", FORMS)
def test_resolution_goes_from_every_format_to_every_other(
    tmp_path: Path, colour: Callable, origin: str, form: str
) -> None:
    path = tmp_path / f"fine.{origin}"
    Image.fromarray(camera()).save(path, dpi=(600, 300))
    result = opened(colour(path, "-o", tmp_path / "out", "--format", form))
    assert result.info["dpi"] == pytest.approx((600, 300), abs=0.1)


def texts(path: Path) -> list[tuple[bytes, bytes]]:
    return pngchunks.read_chunks(path.read_bytes()).texts


def test_texts_of_png_are_kept_to_the_byte(tmp_path: Path, run: Callable) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "Summer")
    info.add_itxt("Description", "Großmutter am See – 夏", lang="de", tkey="Beschreibung")
    info.add_text("Comment", "long " * 50000, zip=True)
    info.add_itxt("Author", "Żółć " * 1000, zip=True)
    info.add_text("Title", "Summer again")
    Image.fromarray(camera()).save(tmp_path / "a.png", pnginfo=info)
    done = run(tmp_path / "a.png", "--json")
    result = Path(done.objects[0]["output"])
    assert done.objects[0]["notes"] == []
    assert texts(result) == texts(tmp_path / "a.png")
    assert [kind for kind, _ in texts(result)] == [b"tEXt", b"iTXt", b"zTXt", b"iTXt", b"tEXt"]
    with Image.open(result) as image:
        assert image.text["Description"] == "Großmutter am See – 夏"
        assert image.text["Comment"] == "long " * 50000


@pytest.mark.parametrize("form", ["jpeg", "tiff"])
def test_texts_that_cannot_be_kept_are_said(tmp_path: Path, run: Callable, form: str) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "Summer")
    Image.fromarray(camera()).save(tmp_path / "a.png", pnginfo=info)
    notes = run(tmp_path / "a.png", "--format", form, "--json").objects[0]["notes"]
    assert any("texts (Title)" in note and "--format png" in note for note in notes)


def test_a_jpegs_comment_is_kept(tmp_path: Path, run: Callable) -> None:
    Image.fromarray(camera()).save(tmp_path / "a.jpg", comment="Großmutter am See")
    kept = run(tmp_path / "a.jpg", "--json").objects[0]
    assert opened(Path(kept["output"])).info["comment"] == "Großmutter am See".encode()
    in_png = run(tmp_path / "a.jpg", "--format", "png", "--json").objects[0]
    with Image.open(in_png["output"]) as image:
        image.load()
        assert image.text["Comment"] == "Großmutter am See"
    assert any("comment" in note for note in run(tmp_path / "a.jpg", "--format", "tiff", "--json").objects[0]["notes"])


def test_what_is_too_long_for_jpeg_is_said(tmp_path: Path, run: Callable) -> None:
    xmp = packet(f"<dc:description>{'x' * 70000}</dc:description>")
    path = source(tmp_path, "tiff", xmp=xmp)
    done = run(path, "--format", "jpeg", "--json")
    assert any("XMP data is too long for JPEG" in note for note in done.objects[0]["notes"])
    assert xmp_of(Path(run(path, "--format", "png", "--json").objects[0]["output"])) == xmp


@pytest.mark.parametrize("block", [b"junk", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff" + bytes(40)])
def test_broken_exif_is_said_and_left_out(tmp_path: Path, run: Callable, block: bytes) -> None:
    content = io.BytesIO()
    Image.fromarray(camera()).save(content, "JPEG")
    jpeg = content.getvalue()
    (tmp_path / "a.jpg").write_bytes(jpeg[:2] + segment(0xE1, b"Exif\0\0" + block) + jpeg[2:])
    for form in FORMS:
        done = run(tmp_path / "a.jpg", "-o", tmp_path / f"out-{form}", "--format", form, "--json")
        assert done.status == 0, done.err
        assert any("EXIF data could not be kept" in note for note in done.objects[0]["notes"])


def test_a_bomb_in_a_text_costs_little(tmp_path: Path, colour: Callable) -> None:
    bomb = b"Raw profile type iptc\0\0" + zlib.compress(b"\niptc\n 9\n" + bytes(200 << 20), 9)
    stream = io.BytesIO()
    Image.fromarray(camera()).save(stream, "PNG")
    content = stream.getvalue()
    (tmp_path / "a.png").write_bytes(content[:33] + pngchunks.chunk(b"zTXt", bomb) + content[33:])
    result = colour(tmp_path / "a.png")
    assert len(result.read_bytes()) < 1 << 20


def test_folders_in_a_circle_end(tmp_path: Path, run: Callable) -> None:
    tifffile.imwrite(tmp_path / "a.tif", camera(), photometric="minisblack", metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        page = file.pages[0]
        pointer, first = page.offset + 2 + 12 * len(page.tags), page.offset
    content = bytearray((tmp_path / "a.tif").read_bytes())
    content[pointer : pointer + 4] = first.to_bytes(4, "little")
    (tmp_path / "a.tif").write_bytes(content)
    assert run(tmp_path / "a.tif").status == 0
