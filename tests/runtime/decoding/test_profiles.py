import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
import tifffile
from colours import FORMATS, PHOTO, SMALL, difference, gamma, pixels, stored
from helpers import encoded
from numpy.typing import NDArray
from PIL import Image
from pngs import chunk, png, with_chunks
from profiles import (
    ADOBE,
    P3,
    PROPHOTO,
    to_linear,
    to_srgb,
)

from nsfwscan import decode
from nsfwscan.decoding.profiles import profile_of


def test_the_primaries_of_a_png_are_applied() -> None:
    numbers = (0.3127, 0.3290, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)
    primaries = b"cHRM", struct.pack(">8I", *(round(100_000 * number) for number in numbers))
    assert difference(png(P3.encode(PHOTO), gamma(2.2), primaries), PHOTO) < 2
    assert difference(png(P3.encode(PHOTO), gamma(2.2)), PHOTO) > 3


BT2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
"""Linear sRGB to BT.2020 (ITU-R BT.2087)."""


def perceptual(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Encode light, of which 1 is SDR white, by SMPTE ST 2084."""
    power = (203 / 10_000 * light) ** 0.1593017578125
    signal: NDArray[np.float64] = (
        (0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)
    ) ** 78.84375
    return signal


def hybrid(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Encode light, of which 1 is SDR white, by HLG for a display of 1,000 nits."""
    scene = (0.203 * light) ** (1 / 1.2)
    bright = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), bright)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(("number", "encode"), [(16, perceptual), (18, hybrid)])
def test_hdr_shows_the_colours_below_sdr_white(
    bits: int, number: int, encode: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> None:
    light = 0.75 * to_linear(PHOTO)
    data = png(encode((light @ BT2020.T).clip(0)), (b"cICP", bytes([9, number, 0, 1])), bits=bits)
    assert difference(data, to_srgb(light)) < 3
    bright = png(encode((4 * light @ BT2020.T).clip(0)), (b"cICP", bytes([9, number, 0, 1])))
    assert pixels(bright).mean() > pixels(data).mean() + 20  # brighter, and not all white
    assert np.ptp(pixels(bright)) > 200


@pytest.mark.parametrize("format_", ["AVIF", "HEIC"])
def test_the_numbers_of_a_container_are_applied(format_: str) -> None:
    data = FORMATS[format_](P3.image(PHOTO), b"")
    place = data.index(b"colrnclx") + 8
    data = data[:place] + struct.pack(">HH", 12, 4) + data[place + 4 :]  # Display P3, gamma 2.2
    assert difference(data, P3.shown(np.asarray(stored(data)) / 255)) < 1.5


def bmp(image: Image.Image, profile: bytes) -> bytes:
    """Write a BMP of version 5 that embeds a profile."""
    rows = np.asarray(image)[::-1, :, ::-1]
    body = b"".join(row.tobytes() + bytes(-3 * image.width % 4) for row in rows)
    head = struct.pack(
        "<IiiHHIIiiII", 124, image.width, image.height, 1, 24, 0, len(body), 0, 0, 0, 0
    )
    head += (
        bytes(16) + b"DEBM" + bytes(48) + struct.pack("<4I", 4, 124 + len(body), len(profile), 0)
    )
    start = struct.pack("<2sIII", b"BM", 138 + len(body) + len(profile), 0, 138)
    return start + head + body + profile


D65 = (0.3127, 0.3290)
P3_POINTS = ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06))


def test_the_endpoints_and_gammas_of_a_bmp_are_applied() -> None:
    """A calibrated header of version 4 (Windows GDI, BITMAPV4HEADER)."""
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in P3_POINTS])
    white = np.array([D65[0] / D65[1], 1, (1 - sum(D65)) / D65[1]])
    endpoints = columns * np.linalg.solve(columns.T, white)[:, np.newaxis]
    exponents = (1.8, 1.6, 1.4)
    samples = P3.encode(PHOTO) ** (P3.exponent / np.array(exponents))
    rows = np.rint(255 * samples).astype(np.uint8)[::-1, :, ::-1]  # 300 pixels: no padding
    numbers = [round(number * (1 << 30)) for number in endpoints.ravel()]
    numbers += [round(exponent * (1 << 16)) for exponent in exponents]

    def written(space: bytes, size: int) -> bytes:
        head = struct.pack("<IiiHHIIiiII", size, 300, 300, 1, 24, 0, rows.size, 0, 0, 0, 0)
        head += bytes(16) + space + struct.pack("<12I", *numbers)
        start = struct.pack("<2sIII", b"BM", 14 + size + rows.size, 0, 14 + size)
        return start + head.ljust(size, b"\0") + rows.tobytes()

    for size in (108, 124):
        assert difference(written(bytes(4), size), PHOTO) < 3
        assert difference(written(b"BGRs", size), PHOTO) > 10  # sRGB
    numbers[:9] = [0] * 9
    assert difference(written(bytes(4), 108), PHOTO) > 10


def test_the_first_chunk_of_a_kind_counts() -> None:
    samples = to_linear(PHOTO)
    assert difference(png(samples ** (1 / 150), gamma(150)), PHOTO) < 2  # no limit on exponents
    assert difference(png(samples, gamma(1.0), gamma(44)), PHOTO) < 2
    good, bad = (chunk(*gamma(exponent), damaged=exponent > 1) for exponent in (1.0, 44))
    assert difference(with_chunks(png(samples), bad, good), PHOTO) < 2


@pytest.mark.parametrize("size", [1 << 16, 3 << 20])
def test_a_profile_of_any_size_is_applied(size: int) -> None:
    """Pillow refuses more than 1 MB."""
    samples = np.asarray(ADOBE.image(PHOTO)) / 255
    padded = ADOBE.profile + bytes(size)
    data = png(samples, (b"iCCP", b"x\0\0" + zlib.compress(padded)))
    assert difference(data, ADOBE.shown(samples)) < 2


def jpeg_2000(image: Image.Image, profile: bytes) -> bytes:
    """Replace the enumerated colour space of a JPEG 2000 by a profile."""
    data = encoded(image, "JPEG2000")
    place = data.index(b"colr") - 4
    old = int.from_bytes(data[place : place + 4], "big")
    box = struct.pack(">I4s3B", 11 + len(profile), b"colr", 2, 0, 0) + profile
    header = data.index(b"jp2h") - 4
    length = int.from_bytes(data[header : header + 4], "big") + len(box) - old
    changed = data[:header] + struct.pack(">I", length) + data[header + 4 : place]
    return changed + box + data[place + old :]


def test_only_the_header_of_a_container_speaks_of_its_colours() -> None:
    def free(body: bytes) -> bytes:
        return struct.pack(">I4s", 8 + len(body), b"free") + body

    stray = struct.pack(">I4s3B", 11 + len(P3.profile), b"colr", 2, 0, 0) + P3.profile
    plain = encoded(PHOTO, "JPEG2000")
    assert np.array_equal(pixels(plain + free(stray)), pixels(plain))
    plain = FORMATS["AVIF"](PHOTO, b"")
    stray = struct.pack(">I4s4s3HB", 19, b"colr", b"nclx", 12, 16, 1, 128)
    first = int.from_bytes(plain[:4], "big")
    assert np.array_equal(pixels(plain + free(stray)), pixels(plain))
    assert profile_of_avif(plain[:first] + free(stray) + plain[first:]) == profile_of_avif(plain)


def profile_of_avif(data: bytes) -> bytes | None:
    with Image.open(io.BytesIO(encoded(PHOTO, "AVIF"))) as image:
        return profile_of(image, data)


def test_a_page_of_a_tiff_has_its_own_profile_or_none() -> None:
    buffer = io.BytesIO()
    samples = np.asarray(P3.image(PHOTO))
    with tifffile.TiffWriter(buffer) as writer:
        for profile in (None, P3.profile, None):
            writer.write(
                np.roll(samples, 40 if profile else 0, axis=0), photometric="rgb", metadata=None,
                iccprofile=profile,
            )  # fmt: skip
    data = buffer.getvalue()
    plain = pixels(encoded(Image.fromarray(samples), "PNG"))
    for frames in (1, 4):
        found = decode(data, SMALL, frames=frames).pixels
        assert len(found) == min(frames, 2)
        assert np.array_equal(found[0], plain)
    shown = P3.shown(np.roll(samples, 40, axis=0) / 255)
    assert np.abs(found[1] - pixels(encoded(shown, "PNG"))).mean() < 2


def test_pages_with_equal_samples_and_other_profiles_differ() -> None:
    pages = [Image.fromarray(np.asarray(PHOTO)) for _ in range(2)]
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        for page, profile in zip(pages, (None, PROPHOTO.profile), strict=True):
            writer.write(np.asarray(page), photometric="rgb", metadata=None, iccprofile=profile)
    assert decode(buffer.getvalue(), SMALL, frames=4).frames == 2


@pytest.mark.parametrize("write", [bmp, jpeg_2000])
def test_profiles_that_pillow_does_not_give_are_applied(
    write: Callable[[Image.Image, bytes], bytes],
) -> None:
    data = write(PROPHOTO.image(PHOTO), PROPHOTO.profile)
    assert difference(data, PROPHOTO.shown(np.asarray(stored(data)) / 255)) < 2
    assert difference(data, stored(data)) > 2
    damaged = data.replace(PROPHOTO.profile, b"x" * len(PROPHOTO.profile))
    assert difference(damaged, stored(data)) < 1


def test_a_png_goes_by_cicp_before_its_profile_and_by_that_before_its_gamma() -> None:
    samples = P3.encode(PHOTO)
    p3, srgb = (b"cICP", bytes([12, 4, 0, 1])), (b"cICP", bytes([1, 13, 0, 1]))
    profile = b"iCCP", b"x\0\0" + zlib.compress(ADOBE.profile)
    as_p3, as_adobe = png(samples, p3), png(samples, profile)
    assert np.abs(pixels(png(samples, p3, profile)) - pixels(as_p3)).max() == 0
    assert np.abs(pixels(png(samples, profile, gamma(44))) - pixels(as_adobe)).max() == 0
    assert np.abs(pixels(png(samples, srgb, profile)) - pixels(png(samples))).max() == 0
    tagged = png(samples, (b"sRGB", b"\0"), gamma(44))
    assert np.abs(pixels(tagged) - pixels(png(samples))).max() == 0


def test_the_gamma_that_stands_for_srgb_changes_nothing() -> None:
    samples = np.asarray(PHOTO) / 255
    assert np.array_equal(pixels(png(samples, gamma(2.2))), pixels(png(samples)))
