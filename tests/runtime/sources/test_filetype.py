import struct

import pytest
from helpers import PHOTOS, encoded
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


@pytest.mark.parametrize(
    ("head", "name"),
    [
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
    ],
)
def test_headers_are_recognised(head: bytes, name: str) -> None:
    row = sniff(head)
    assert row is not None
    assert row.name == name


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


def test_each_format_is_reachable() -> None:
    """No signature hides a later one, and each photo matches the row of its format."""
    names = {(sniff(p.read_bytes()[:HEAD_BYTES]) or FORMATS[0]).name for p in PHOTOS.glob("*.png")}
    assert names == {"PNG"}


@given(st.binary(max_size=64), st.text(max_size=12))
def test_any_bytes_have_a_format_or_a_kind(head: bytes, name: str) -> None:
    assert (sniff(head, name) is None) or (sniff(head, name) in FORMATS)
    assert kind_of(head, name) in Kind


def test_matching_any_header_is_fast() -> None:
    assert sniff(b"P1" + b" " * 500 + b"x") is None
    assert sniff(b"P1" + b"#\n " * 150 + b"x") is None
    pnm = sniff(b"P4#made by hand\n# twice\n 1 1 ")
    assert pnm is not None
    assert pnm.name == "PNM"
