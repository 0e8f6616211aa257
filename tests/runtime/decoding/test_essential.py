import struct
import zlib

import numpy as np
import pytest
from helpers import encoded, load_photo, turned
from numpy.typing import NDArray
from pngs import chunk, with_chunks
from profiles import P3

from nsfwscan import Preprocess, decode
from nsfwscan.decoding.essential import essential_parts

SMALL = Preprocess(size=32)
PHOTO = load_photo("coffee.png").resize((120, 80))
PNG, JPEG = encoded(PHOTO, "PNG"), encoded(PHOTO, "JPEG", quality=90)


def pixels(data: bytes) -> NDArray[np.uint8]:
    return decode(data, SMALL).pixels


def with_chunk(added: bytes, data: bytes = PNG) -> bytes:
    return with_chunks(data, added)


def with_segment(marker: int, body: bytes, data: bytes = JPEG) -> bytes:
    """Insert a segment after the first one."""
    first = 4 + int.from_bytes(data[4:6], "big")
    return (
        data[: first - 2 + 2]
        + bytes([0xFF, marker])
        + struct.pack(">H", len(body) + 2)
        + body
        + data[first:]
    )


METADATA = [
    name.encode()
    for name in (
        "tEXt zTXt iTXt pHYs bKGD sBIT sPLT hIST tIME gAMA cHRM sRGB iCCP cICP eXIf tRNS acTL mDCV "
        "cLLI vpAg dSIG oFFs gIFg"
    ).split()
]


@pytest.mark.parametrize("size", [0, 1, 1 << 16, 5 << 20])
@pytest.mark.parametrize("name", METADATA, ids=bytes.decode)
def test_metadata_of_a_png_never_prevents_a_score(name: bytes, size: int) -> None:
    body = bytes(size)
    packed = b"k\0\0" + zlib.compress(body)
    for one in (body, packed, b"k\0\0\0\0\0" + body):
        if name == b"tRNS" and len(one) == 6:
            continue  # a valid colour
        assert np.array_equal(pixels(with_chunk(chunk(name, one))), pixels(PNG))


@pytest.mark.parametrize("name", METADATA, ids=bytes.decode)
def test_a_bad_checksum_of_metadata_never_prevents_a_score(name: bytes) -> None:
    data = with_chunk(chunk(name, b"key\0value", damaged=True))
    assert np.array_equal(pixels(data), pixels(PNG))


SEGMENTS = [*range(0xE0, 0xF0), 0xFE]
STARTS = [b"", b"JFIF\0", b"JFXX\0\x13", b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"MPF\0",
          b"ICC_PROFILE\0", b"Photoshop 3.0\0", b"Adobe", b"FPXR\0"]  # fmt: skip


@pytest.mark.parametrize("size", [0, 1, 5, 1 << 15, 65533 - 40])
@pytest.mark.parametrize("marker", SEGMENTS, ids=hex)
def test_metadata_of_a_jpeg_never_prevents_a_score(marker: int, size: int) -> None:
    for start in STARTS:
        if marker == 0xEE and start == b"Adobe" and size >= 7:
            continue  # says how the colours are coded
        data = with_segment(marker, start + bytes(size))
        assert np.array_equal(pixels(data), pixels(JPEG)), start


def test_metadata_of_five_megabytes_never_prevents_a_score() -> None:
    data = JPEG
    for _ in range(80):
        data = with_segment(0xE2, b"ICC_PROFILE\0\1\1" + bytes(65000), data)
        data = with_segment(0xE1, b"Exif\0\0" + bytes(65000), data)
    assert len(data) > 10_000_000
    assert np.array_equal(pixels(data), pixels(JPEG))


def test_what_the_image_depends_on_is_kept() -> None:
    """Damage elsewhere does not cost the orientation, the profile or the transparent colour."""
    broken = chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(5 << 20)))
    stored, exif = turned(PHOTO, 6)
    tagged = encoded(stored, "PNG", exif=exif, icc_profile=P3.profile)
    assert np.array_equal(pixels(with_chunk(broken, tagged)), pixels(tagged))
    palette = PHOTO.quantize(8)
    clear = encoded(palette, "PNG", transparency=3)
    assert np.array_equal(pixels(with_chunk(broken, clear)), pixels(clear))
    photo = encoded(stored, "JPEG", exif=exif, icc_profile=P3.profile)
    assert np.array_equal(pixels(with_segment(0xEE, b"Adobe", photo)), pixels(photo))


@pytest.mark.parametrize(
    "data", [PNG, JPEG, JPEG[:300], PNG[:60], b"\xff\xd8\xff", b"\x89PNG"], ids=range(6)
)
def test_a_file_without_metadata_stays_as_it_is(data: bytes) -> None:
    plugin = "JPEG" if data[:1] == b"\xff" else "PNG"
    assert essential_parts(data, plugin) is data
    assert essential_parts(data, "GIF") is data


@pytest.mark.parametrize("junk", [b"", b"junk" * 900, bytes(5 << 20)], ids=range(3))
def test_damaged_metadata_of_a_webp_never_prevents_a_score(junk: bytes) -> None:
    data = encoded(PHOTO, "WEBP", exif=junk, xmp=junk, icc_profile=junk)
    assert np.array_equal(pixels(data), pixels(encoded(PHOTO, "WEBP")))


def test_an_animation_without_frames_is_a_still_image() -> None:
    assert np.array_equal(pixels(with_chunk(chunk(b"acTL", struct.pack(">2I", 3, 0)))), pixels(PNG))
    assert decode(with_chunk(chunk(b"acTL", bytes(8))), SMALL, frames=9).frames == 1
