import struct

import pytest
from helpers import encoded
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from nsfwscan.sources.filetype import FORMATS, HEAD_BYTES, Kind, kind_of, promised_format, sniff

WRITABLE = {
    "JPEG": "JPEG",
    "PNG": "PNG",
    "WebP": "WEBP",
    "GIF": "GIF",
    "AVIF": "AVIF",
    "TIFF": "TIFF",
    "BMP": "BMP",
    "JPEG 2000": "JPEG2000",
    "PNM": "PPM",
    "ICO": "ICO",
}


@pytest.mark.parametrize(("name", "plugin"), WRITABLE.items())
def test_images_are_recognised_by_content(name: str, plugin: str) -> None:
    data = encoded(Image.new("RGB", (40, 30), "teal"), plugin)
    row = sniff(data[:HEAD_BYTES], "anything.txt")
    assert row is not None
    assert row.name == name


def icon(kind: int = 1, count: int = 1, offset: int | None = None, reserved: int = 0) -> bytes:
    """Return the header of a Windows icon or cursor, its first entry, and what follows."""
    place = 6 + 16 * count if offset is None else offset
    entry = struct.pack("<4B2H2I", 32, 32, 0, reserved, 1, 32, 99, place)
    return struct.pack("<3H", 0, kind, count) + entry + b"\xff" * 8


HEADERS = [
    (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIF"),
    (b"\0\0\0\x1cftypmif1\0\0\0\0mif1heicmiaf", "HEIF"),
    (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "AVIF"),
    (b"8BPS\0\1" + bytes(20), "Photoshop"),
    (b"\xff\x0a\xfa\x7f", "JPEG XL"),
    (b"II+\0" + bytes(12), "TIFF"),
    (b"\0\0\0\x1cftypmif2\0\0\0\0mif2miaf", "HEIF"),
    (b"\0\0\0\x18ftypmiaf\0\0\0\0miaf", "HEIF"),
    (b"qoif" + struct.pack(">2I2B", 9, 9, 3, 0), "QOI"),
    (b"FLIF31\0\0\0", "FLIF"),
    (b"icns" + struct.pack(">I4sI", 1000, b"ic07", 992), "Apple icon"),
    (b"\0\0\2\0\1\0\x20\x20\0\0\0\0\0\0" + struct.pack("<2I", 9, 22), "Windows cursor"),
    (b"P7\nWIDTH 2\n", "PAM"),
    (b"PF\n2 2\n-1.0\n", "PFM"),
    (b"P7\n# text\nWIDTH 2\n", "PAM"),
    (b"#?RADIANCE\n# text\nEXPOSURE=1\nFORMAT=32-bit_rle_xyze\n", "Radiance HDR"),
    (b"#?RGBE\n\n-Y 2 +X 2\n", "Radiance HDR"),
    (b"GIF89a\2\0\1\0\0\0\0", "GIF"),
    (b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n", "Radiance HDR"),
    (b"P1 # text\n2 2\n0 1\n1 0", "PNM"),
    (b"P3\n2 1 255\n0 0 0 9 9 9", "PNM"),
    (b"P4 8 1 \xff", "PNM"),
    (b"P6 2 1 255\nabcdef", "PNM"),
    (b"\xff\xd8\xff\xe0\0\x10JFIF", "JPEG"),
    (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "PNG"),
    (b"RIFF\x1a\0\0\0WEBPVP8L", "WebP"),
    (b"\0\0\0\x1cftypavis\0\0\0\0avismsf1miaf", "AVIF"),
    (b"II*\0\x08\0\0\0", "TIFF"),
    (b"MM\0*\0\0\0\x08", "TIFF"),
    (b"MM\0+\0\x08\0\0", "TIFF"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xffO\xffQ\0\x2f", "JPEG 2000"),
    (icon(), "ICO"),
    (icon(reserved=255), "ICO"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"II\xbc\1\x20\0\0\0", "JPEG XR"),
    (b"v/1\1\2\0\0\0channels\0chlist", "OpenEXR"),
    (b"DDS |\0\0\0\7\x10\0\0", "DDS"),
    (b"BPG\xfb\0\0", "BPG"),
    (b"8BPS\0\2" + bytes(20), "Photoshop large document"),
    (b"\1\xda\0\1\0\2", "SGI"),
    (b"\1\xda\1\1\0\3", "SGI"),
    (b"\n\5\1\x08\0\0\0\0", "PCX"),
]


@pytest.mark.parametrize(("head", "name"), HEADERS)
def test_headers_are_recognised(head: bytes, name: str) -> None:
    row = sniff(head)
    assert row is not None
    assert row.name == name


def test_each_format_is_reachable() -> None:
    """No signature hides a later one."""
    assert {name for _, name in HEADERS} | {"BMP", "TGA"} == {row.name for row in FORMATS}


def name_of(head: bytes) -> str | None:
    row = sniff(head)
    return None if row is None else row.name


@given(st.lists(st.sampled_from([b"miaf", b"mif1", b"MA1B", b"abcd"]), max_size=9), st.data())
def test_each_compatible_brand_of_a_file_counts(others: list[bytes], data: st.DataObject) -> None:
    where = data.draw(st.integers(0, len(others)))
    brands = b"".join([*others[:where], b"avif", *others[where:]])
    size = (16 + len(brands)).to_bytes(4, "big")
    assert name_of(size + b"ftypmif1\0\0\0\0" + brands) == "AVIF"


def test_only_brands_are_brands() -> None:
    assert name_of(b"\0\0\0\x14ftypmif1avifmif1") == "HEIF"  # a version
    assert name_of(b"\0\0\0\x14ftypmif1\0\0\0\0mif1avif") == "HEIF"  # after the box
    assert name_of(b"\0\0\0\x17ftypmif1\0\0\0\0mif1avif") == "HEIF"  # partly after it


@pytest.mark.parametrize("size", [12, 16, 40, 52, 56, 64, 108, 124])
def test_a_bmp_has_a_second_header_of_a_known_size(size: int) -> None:
    assert name_of(b"BM" + bytes(12) + struct.pack("<I", size)) == "BMP"
    assert name_of(b"BM" + bytes(12) + struct.pack("<I", size + 1)) is None
    assert name_of(b"BM" + bytes(12) + struct.pack("<I", size + (1 << 24))) is None


@pytest.mark.parametrize(("kind", "name"), [(1, "ICO"), (2, "Windows cursor")])
def test_an_icon_has_its_images_after_their_entries(kind: int, name: str) -> None:
    for count in (1, 2, 255):
        assert name_of(icon(kind, count)) == name
        assert name_of(icon(kind, count, offset=1 << 24)) == name
        assert name_of(icon(kind, count, offset=6 + 16 * count - 1)) is None
    assert name_of(icon(kind, 0)) is None
    assert name_of(icon(kind, 256)) is None
    assert name_of(icon(kind, reserved=1)) is None
    assert name_of(icon(3)) is None


@pytest.mark.parametrize(
    ("size", "first", "name"),
    [
        (16, 8, "Apple icon"),
        (1000, 992, "Apple icon"),
        ((1 << 29) - 1, 8, "Apple icon"),
        (1000, 7, None),
        (1000, 993, None),
        (1 << 29, 8, None),
    ],
)
def test_an_apple_icon_contains_its_first_image(size: int, first: int, name: str | None) -> None:
    assert name_of(b"icns" + struct.pack(">I4sI", size, b"ic07", first) + b"image") == name


@pytest.mark.parametrize("place", range(6, 13))
def test_a_gif_has_a_byte_that_is_no_text_in_its_header(place: int) -> None:
    header = bytearray(b"GIF89a is text, ")
    header[place] = 1
    assert name_of(bytes(header)) == "GIF"


def test_bytes_after_the_header_of_a_gif_do_not_matter() -> None:
    assert name_of(b"GIF89a a text\0") is None


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"qoif" + struct.pack(">2I2B", 9, 9, 4, 1), "QOI"),
        (b"qoif" + struct.pack(">2I2B", 9, 9, 3, 2), None),
        (b"qoif" + struct.pack(">2I2B", 9, 9, 2, 0), None),
        (b"FLIFT2\0\0\0", "FLIF"),
        (b"FLIF33\0\0\0", None),
        (b"FLIF21\0\0\0", None),
    ],
)
def test_the_channels_of_an_image_are_checked(head: bytes, name: str | None) -> None:
    assert name_of(head) == name


@pytest.mark.parametrize(
    ("head", "name", "kind"),
    [
        (b"", "x.txt", Kind.EMPTY),
        (b"\0\0\0\x18ftypisom\0\0\2\0isomiso2", "x.jpg", Kind.VIDEO),
        (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", "x", Kind.VIDEO),
        (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "x.cr3", Kind.CAMERA_RAW),
        (b"\0\0\0\x18ftypM4A \0\0\2\0isomiso2", "x.m4a", Kind.AUDIO),
        (b"RIFF\0\0\0\0AVI LIST", "x", Kind.VIDEO),
        (b"RIFF\0\0\0\0WAVEfmt ", "x", Kind.AUDIO),
        (b"\x1aE\xdf\xa3", "x", Kind.VIDEO),
        (b"II*\0\x10\0\0\0CR\2\0", "x.cr2", Kind.CAMERA_RAW),
        (b"FUJIFILMCCD-RAW 0201", "x", Kind.CAMERA_RAW),
        (b"%PDF-1.7", "x.png", Kind.DOCUMENT),
        (b"PK\3\4", "x.docx", Kind.DOCUMENT),
        (b"PK\3\4", "x.zip", Kind.ARCHIVE),
        (b"PK\3\4", "x", Kind.ARCHIVE),
        (b"<svg xmlns", "x.svg", Kind.VECTOR),
        (b"Dear all,\n", "letter", Kind.TEXT),
        (b"export const a = 1;\n", "a.ts", Kind.TEXT),
        (b"G@\0\x10\0" + bytes(183) + b"G", "a.ts", Kind.VIDEO),
        (b"\x7fELF\2\1\1\0", "x", Kind.OTHER),
        (b"\0\0\0\x18ftypM4B \0\0\2\0isomiso2", "x", Kind.AUDIO),
        (b"RIFF\0\0\0\0RMIDdata", "x.mp4", Kind.OTHER),
        (b"FLV\1\5\0\0\0\x09", "x", Kind.VIDEO),
        (b"\0\0\1\xba\x44\0", "x", Kind.VIDEO),
        (b"\0\0\1\xb3\x14\0", "x", Kind.VIDEO),
        (b"0&\xb2u\x8ef\xcf\x11\xa6\xd9", "x", Kind.VIDEO),
        (b"ID3\4\0\0", "x", Kind.AUDIO),
        (b"fLaC\0\0\0\x22", "x", Kind.AUDIO),
        (b"#!AMR\n\x3c\0", "x", Kind.AUDIO),
        (b"IIRO\x08\0\0\0", "x", Kind.CAMERA_RAW),
        (b"IIRS\x08\0\0\0", "x", Kind.CAMERA_RAW),
        (b"IIU\0\x18\0\0\0", "x", Kind.CAMERA_RAW),
        (b"FOVb\0\0\2\0", "x", Kind.CAMERA_RAW),
        (b"{\\rtf1\\ansi", "x", Kind.DOCUMENT),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "x", Kind.VECTOR),
        (b"Rar!\x1a\x07\1\0", "x", Kind.ARCHIVE),
        (b"7z\xbc\xaf'\x1c\0\4", "x", Kind.ARCHIVE),
        (b"\x1f\x8b\x08\0", "x", Kind.ARCHIVE),
        (b"\xfd7zXZ\0\0\4", "x", Kind.ARCHIVE),
        (b"BZh91AY&SY", "x", Kind.ARCHIVE),
        (b"not a film\n", "x.mp4", Kind.TEXT),
        (b"not a song\n", "x.mp3", Kind.TEXT),
        (b"<?xml version='1.0'?>\n", "x.svg", Kind.VECTOR),
        (b"\0\1 of a table", "x.xls", Kind.DOCUMENT),
    ],
)
def test_other_files_have_a_kind(head: bytes, name: str, kind: Kind) -> None:
    assert sniff(head, name) is None
    assert kind_of(head, name) is kind


def test_a_tiff_with_a_camera_raw_extension_is_camera_raw() -> None:
    data = encoded(Image.new("RGB", (4, 4)), "TIFF", tiffinfo={271: "a maker of cameras"})
    assert sniff(data, "x.tif") is not None
    assert sniff(data, "x.NEF") is None
    assert kind_of(data, "x.NEF") is Kind.CAMERA_RAW
    data = encoded(Image.new("RGB", (4, 4)), "TIFF")
    for name in ("x.NEF", "x.dng", "x.cap"):
        assert sniff(data, name) is not None


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("tag", [271, 330, 33421, 33422, 50706])
def test_a_camera_raw_file_has_a_tag_of_such_files_in_its_first_directory(
    order: str, tag: int
) -> None:
    mark = b"II*\0" if order == "<" else b"MM\0*"
    width, extra = (struct.pack(f"{order}2H2I", number, 3, 1, 4) for number in (256, tag))

    def tiff(count: int, *entries: bytes, gap: int = 0) -> bytes:
        head = mark + struct.pack(f"{order}I", 8 + gap) + bytes(gap)
        return head + struct.pack(f"{order}H", count) + b"".join(entries)

    many = [width] * 12
    for raw in (tiff(1, extra), tiff(13, *many, extra), tiff(2, extra, width, gap=40)):
        assert sniff(raw, "x.nef") is None
        assert sniff(raw, "x.tif") is not None
    for image in (tiff(1, width), tiff(12, *many, extra), tiff(0, extra)):
        assert name_of(image) == "TIFF"
        assert sniff(image, "x.nef") is not None


@pytest.mark.parametrize(
    "text",
    [
        b"BMW is a maker of cars",
        b"P1 is a runway",
        b"GIF is a format",
        b"P1 2 3 and more",
        b"P2 2 2 of",
        b"P3 1 2 3 go",
        b"icns are icons of a system",
        b"FLIF is a format",
        b"qoif is a signature",
        b"\xff\nis a character and a line",
        b"GIF89a is a format",
        b"GIF89a\nGIF87a\nPNG\n",
        "GIF89a \u2013 a format".encode(),
        b"P7\nhello",
        b"PF\nfoo",
        b"#?RADIANCE\nis a format",
    ],
)
def test_text_that_begins_like_an_image_is_not_an_image(text: bytes) -> None:
    assert sniff(text) is None


def test_each_extension_belongs_to_one_format() -> None:
    extensions = [extension for row in FORMATS for extension in row.extensions]
    assert len(set(extensions)) == len(extensions)
    promised = promised_format("A.JPG")
    assert promised is not None
    assert promised.name == "JPEG"
    assert promised_format("a.jpg.txt") is None
    assert promised_format(".jpg") is None


def test_counts_have_a_plural() -> None:
    assert Kind.VIDEO.counted(1) == "1 video"
    assert Kind.CAMERA_RAW.counted(1200) == "1,200 camera raw files"


def test_no_signature_hides_that_of_another_format() -> None:
    tested = {*WRITABLE, *(name for _, name in HEADERS)}
    assert {row.name for row in FORMATS} - tested == {"TGA"}  # its header has no signature


@given(st.binary(max_size=64), st.text(max_size=12))
def test_any_bytes_have_a_format_or_a_kind(head: bytes, name: str) -> None:
    assert head or sniff(head, name) is None
    assert (kind_of(head, name) is Kind.EMPTY) == (not head)


def test_matching_any_header_is_fast() -> None:
    assert sniff(b"P1" + b" " * 500 + b"x") is None
    assert sniff(b"P1" + b"#\n " * 150 + b"x") is None
    pnm = sniff(b"P4#made by hand\n# twice\n 1 1 ")
    assert pnm is not None
    assert pnm.name == "PNM"
