import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pillow_heif
import pytest
from helpers import encoded, load_photo
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms
from profiles import (
    ADOBE,
    P3,
    PROPHOTO,
    SPACES,
    Space,
    cmyk_profile,
    grey_profile,
    inks_light,
    to_linear,
    to_srgb,
)

from nsfwscan import Classifier, Preprocess, decode
from nsfwscan.decoding.colour import profile_of, transform_of

SMALL = Preprocess(size=64)
OLD = Preprocess(size=64, revision=1)
PHOTO = load_photo("astronaut.png").resize((300, 300))


def pixels(data: bytes, preprocess: Preprocess = SMALL) -> NDArray[np.int64]:
    found: NDArray[np.int64] = decode(data, preprocess).pixels[0].astype(int)
    return found


def difference(data: bytes, shown: Image.Image, preprocess: Preprocess = SMALL) -> float:
    """Return the mean difference from an sRGB image, in levels."""
    plain = encoded(Image.fromarray(np.asarray(shown)), "PNG")  # without its profile
    return float(np.abs(pixels(data, preprocess) - pixels(plain)).mean())


def png(samples: NDArray[np.float64], *chunks: tuple[bytes, bytes], bits: int = 16) -> bytes:
    """Write samples in [0, 1], (H, W, channels), as a PNG."""

    def chunk(name: bytes, data: bytes) -> bytes:
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    height, width, channels = samples.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    values = np.rint(samples * (2**bits - 1)).astype(f">u{bits // 8}").reshape(height, -1)
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    head = struct.pack(">2I5B", width, height, bits, kind, 0, 0, 0)
    body = [(b"IHDR", head), *chunks, (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in body)


def gamma(exponent: float) -> tuple[bytes, bytes]:
    return b"gAMA", struct.pack(">I", round(100_000 / exponent))


def heic(image: Image.Image, profile: bytes) -> bytes:
    container = pillow_heif.from_pillow(image)
    buffer = io.BytesIO()
    container.save(buffer, quality=95, **({"icc_profile": profile} if profile else {}))
    return buffer.getvalue()


FORMATS: dict[str, Callable[[Image.Image, bytes], bytes]] = {
    "JPEG": lambda image, icc: encoded(image, "JPEG", quality=97, subsampling=0, icc_profile=icc),
    "PNG": lambda image, icc: encoded(image, "PNG", icc_profile=icc),
    "WEBP": lambda image, icc: encoded(image, "WEBP", quality=97, icc_profile=icc),
    "lossless WEBP": lambda image, icc: encoded(image, "WEBP", lossless=True, icc_profile=icc),
    "TIFF": lambda image, icc: encoded(image, "TIFF", icc_profile=icc),
    "AVIF": lambda image, icc: encoded(image, "AVIF", quality=95, icc_profile=icc),
    "HEIC": heic,
}


def stored(data: bytes) -> Image.Image:
    """Return the samples of a file as an image, whatever its profile."""
    if data[4:12] == b"ftypheic":
        return pillow_heif.open_heif(data)[0].to_pillow()
    with Image.open(io.BytesIO(data)) as image:
        return image.convert("RGB")


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
@pytest.mark.parametrize("format_", FORMATS)
def test_a_profile_shows_its_colours_in_every_format(format_: str, space: Space) -> None:
    data = FORMATS[format_](space.image(PHOTO), space.profile)
    assert difference(data, space.shown(np.asarray(stored(data)) / 255)) < 2
    assert difference(data, stored(data), OLD) < 1  # models of revision 1 see the samples
    assert np.abs(pixels(data) - pixels(data, OLD)).mean() > 2


@pytest.mark.parametrize("space", [P3, ADOBE, PROPHOTO], ids=lambda space: space.name)
@pytest.mark.parametrize("mode", ["RGBA", "P", "LA", "L"])
def test_every_mode_is_converted(space: Space, mode: str) -> None:
    image = space.image(PHOTO)
    image = image.quantize(dither=Image.Dither.NONE) if mode == "P" else image.convert(mode)
    shown = space.shown(np.asarray(image.convert("RGB")) / 255)
    assert difference(encoded(image, "PNG", icc_profile=space.profile), shown) < 2


def test_transparency_is_flattened_onto_white() -> None:
    image = P3.image(PHOTO)
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    alpha = np.asarray(image)[..., 3:] / 255
    shown = P3.shown(1 + alpha * (np.asarray(image)[..., :3] / 255 - 1))
    assert difference(encoded(image, "WEBP", lossless=True, icc_profile=P3.profile), shown) < 1


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "TIFF"])
def test_a_grey_profile_is_applied(format_: str) -> None:
    light = to_linear(PHOTO.convert("L"))
    samples = Image.fromarray(np.rint(255 * light[..., 0] ** (1 / 1.2)).astype(np.uint8))
    data = encoded(samples, format_, icc_profile=grey_profile(1.2))
    assert difference(data, PHOTO.convert("L")) < 2
    assert difference(data, PHOTO.convert("L"), OLD) > 20


@pytest.mark.parametrize("format_", ["JPEG", "TIFF"])
def test_a_profile_of_inks_is_applied(format_: str) -> None:
    inks = PHOTO.convert("CMYK")
    options = {"quality": 97} if format_ == "JPEG" else {}
    data = encoded(inks, format_, icc_profile=cmyk_profile(), **options)
    with Image.open(io.BytesIO(data)) as image:
        shown = to_srgb(inks_light(np.asarray(image) / 255))
    assert difference(data, shown) < 3  # the black point is compensated
    assert difference(data, shown, OLD) > 10


@pytest.mark.parametrize("exponent", [1.0, 1.8, 3.0, 44.0])
@pytest.mark.parametrize("channels", ["grey", "grey and alpha", "RGB", "RGBA"])
@pytest.mark.parametrize("bits", [8, 16])
def test_the_gamma_of_a_png_is_applied_to_all_its_bits(
    exponent: float, channels: str, bits: int
) -> None:
    photo = PHOTO.convert("L") if "grey" in channels else PHOTO
    samples = to_linear(photo)[..., : 1 if "grey" in channels else 3] ** (1 / exponent)
    if channels in {"grey and alpha", "RGBA"}:
        samples = np.concatenate([samples, np.ones((*samples.shape[:2], 1))], axis=-1)
    data = png(samples, gamma(exponent), bits=bits)
    few = bits == 8 and exponent > 3
    assert difference(data, photo) < (8 if few else 2)
    assert difference(png(samples, bits=bits), photo) > 10


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("exponent", [1.0, 44.0])
def test_colours_are_converted_before_they_are_blended(bits: int, exponent: float) -> None:
    half = np.full((300, 300, 1), 0.5)
    samples = np.concatenate([to_linear(PHOTO) ** (1 / exponent), half], axis=-1)
    blended = Image.blend(Image.new("RGB", PHOTO.size, "white"), PHOTO, 0.5)
    limit = 5 if bits == 8 else 2
    assert difference(png(samples, gamma(exponent), bits=bits), blended) < limit


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_the_transparent_colour_of_few_greys_is_applied(bits: int) -> None:
    top, key = 2**bits - 1, 0 if bits == 1 else 1
    greys = np.repeat(np.arange(top + 1), 40)[:, np.newaxis].repeat(40, axis=1)
    packed = np.unpackbits(greys.astype(np.uint8)[..., np.newaxis], axis=-1)[..., -bits:]
    rows = b"".join(b"\0" + np.packbits(row.ravel()).tobytes() for row in packed)

    def chunk(name: bytes, data: bytes) -> bytes:
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">2I5B", 40, len(greys), bits, 0, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"tRNS", struct.pack(">H", key))
    data += chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    shown = np.where(greys == key, 255, greys * (255 // top)).astype(np.uint8)
    assert difference(data, Image.fromarray(shown)) < 1


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


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("exponent", [None, 44.0])
def test_the_transparent_colour_of_a_png_is_compared_in_all_bits(
    channels: int, bits: int, exponent: float | None
) -> None:
    top = 2**bits - 1
    key = [round(top * part) for part in (0.3, 0.6, 0.9)][:channels]
    samples = np.asarray(PHOTO)[..., :channels] / 255
    samples[:150] = np.array(key) / top
    chunks = [(b"tRNS", struct.pack(f">{channels}H", *key))]
    chunks += [gamma(exponent)] if exponent else []
    found = pixels(png(samples, *chunks, bits=bits))
    assert (found[:30] == 255).all()
    assert (found[34:] < 255).any()
    other = [(b"tRNS", struct.pack(f">{channels}H", *[part ^ 1 for part in key])), *chunks[1:]]
    assert (pixels(png(samples, *other, bits=bits))[:30] < 255).any()


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


SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


LAB = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
UNUSABLE = {
    "empty": b"",
    "short": b"x",
    "zeros": bytes(128),
    "cut": P3.profile[:200],
    "without tags": P3.profile[:131],
    "sRGB": SRGB,
    "Lab": LAB,
    "unknown curves": P3.profile.replace(b"curv", b"cury"),
    "inks": cmyk_profile(2),
    "grey": grey_profile(1.2),
    "black": Space("dark", ((0, 0, 0),) * 3, 2.2).profile,
    "exponent 0": Space("", P3.columns, 0).profile,
    "without signature": P3.profile[:36] + b"abcd" + P3.profile[40:],
    "absurd primaries": Space(
        "", ((0.5, 0.2, 60), (0.3, 0.7, 0.04), (0.16, 0.07, 0.78)), 2.2
    ).profile,
}


@pytest.mark.parametrize("profile", UNUSABLE.values(), ids=UNUSABLE)
def test_an_unusable_profile_and_that_of_srgb_change_nothing(profile: bytes) -> None:
    untagged = pixels(encoded(PHOTO, "PNG"))
    assert np.array_equal(pixels(encoded(PHOTO, "PNG", icc_profile=profile)), untagged)


def test_the_gamma_that_stands_for_srgb_changes_nothing() -> None:
    samples = np.asarray(PHOTO) / 255
    assert np.array_equal(pixels(png(samples, gamma(2.2))), pixels(png(samples)))


@given(st.binary(max_size=600), st.integers(0, len(P3.profile) - 1), st.integers(0, 255))
def test_a_damaged_profile_is_never_an_error(noise: bytes, place: int, value: int) -> None:
    damaged = bytearray(P3.profile)
    damaged[place] = value
    for profile in (noise, bytes(damaged)):
        transform = transform_of(profile)
        assert transform is None or transform.apply(Image.new(transform.mode, (2, 2))).mode == "RGB"


def test_conversions_are_kept() -> None:
    with Image.open(io.BytesIO(encoded(PHOTO, "PNG", icc_profile=P3.profile))) as image:
        profile = profile_of(image)
    assert profile == P3.profile
    assert transform_of(profile) is transform_of(profile)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["astronaut.png", "coffee.png", "chelsea.png"])
@pytest.mark.parametrize("space", [P3, ADOBE, PROPHOTO], ids=lambda space: space.name)
def test_the_score_is_that_of_the_image_in_srgb(
    open_nsfw: Classifier, name: str, space: Space
) -> None:
    samples = space.encode(load_photo(name))
    preprocess = open_nsfw.manifest.preprocess
    tagged = Image.fromarray(np.rint(255 * samples).astype(np.uint8))
    files = [
        encoded(space.shown(samples), "PNG"),
        encoded(tagged, "PNG", icc_profile=space.profile),
        encoded(tagged, "JPEG", quality=95, icc_profile=space.profile),
    ]
    plain, lossless, lossy = (
        float(open_nsfw.predict(decode(data, preprocess).pixels)[0]) for data in files
    )
    assert lossless == pytest.approx(plain, abs=0.02)
    assert lossy == pytest.approx(plain, abs=0.03)
