import pytest
from colours import heic
from helpers import encoded, load_photo
from hypothesis import given
from hypothesis import strategies as st

from nsfwscan import ImageError, Preprocess, decode
from nsfwscan.decoding.cut import is_cut
from nsfwscan.errors import Reason

PHOTO = load_photo("chelsea.png")
FORMATS = [
    "JPEG",
    "PNG",
    "WEBP",
    "GIF",
    "AVIF",
    "HEIC",
    "TIFF",
    "deflated",
    "BMP",
    "JPEG2000",
    "codestream",
]


def written(format_: str) -> bytes:
    if format_ == "HEIC":
        return heic(PHOTO, b"")
    if format_ == "codestream":
        return encoded(PHOTO, "JPEG2000", no_jp2=True)
    if format_ == "deflated":
        return encoded(PHOTO, "TIFF", compression="tiff_deflate")
    return encoded(PHOTO, format_)


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("part", [0.3, 0.5, 0.9])
@pytest.mark.slow
def test_an_image_without_its_end_is_truncated(format_: str, part: float) -> None:
    data = written(format_)
    decode(data, Preprocess(size=32))
    with pytest.raises(ImageError) as caught:
        decode(data[: int(part * len(data))], Preprocess(size=32))
    assert caught.value.reason is Reason.TRUNCATED


def test_damage_in_the_middle_is_not_a_missing_end() -> None:
    data = written("WEBP")
    with pytest.raises(ImageError) as caught:
        decode(data[:20] + bytes(100) + data[120:], Preprocess(size=32))
    assert caught.value.reason is Reason.CORRUPT


@given(st.binary(max_size=100), st.sampled_from(["WEBP", "AVIF", "HEIF", "JPEG2000", "PNG"]))
def test_any_bytes_are_cut_or_not(data: bytes, plugin: str) -> None:
    assert is_cut(data, plugin) in {True, False}
