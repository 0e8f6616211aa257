import io

import numpy as np
import pytest
from colours import FORMATS, OLD, PHOTO, difference, gamma, pixels, stored
from helpers import encoded, load_photo
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms
from pngs import png
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

from nsfwscan import Classifier, decode
from nsfwscan.decoding.colour import transform_of
from nsfwscan.decoding.profiles import profile_of


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.slow
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
@pytest.mark.slow
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
