import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers import encoded, load_photo
from PIL import Image

from nsfwscan import ImageError, Preprocess, ScanOptions, decode
from nsfwscan.decoding.inputs import decode_input

PREPROCESS = Preprocess(size=32)
PHOTO = load_photo("chelsea.png")
JPEG = encoded(PHOTO, "JPEG")
OPTIONS = ScanOptions()


@pytest.mark.parametrize(
    "given",
    [
        bytes,
        bytearray,
        memoryview,
        io.BytesIO,
        lambda data: Image.open(io.BytesIO(data)),
    ],
)
def test_every_form_of_a_file_has_the_same_pixels(given: Callable[[bytes], object]) -> None:
    expected = decode(JPEG, PREPROCESS)
    found = decode_input(given(JPEG), PREPROCESS, OPTIONS)  # type: ignore[arg-type]
    assert np.array_equal(found.pixels, expected.pixels)
    assert (found.width, found.height) == (expected.width, expected.height)


def test_a_pillow_image_keeps_its_size_frame_and_file() -> None:
    image = Image.open(io.BytesIO(JPEG))
    decode_input(image, PREPROCESS, OPTIONS)
    assert image.size == PHOTO.size
    image.load()
    assert np.array_equal(np.asarray(image), np.asarray(Image.open(io.BytesIO(JPEG))))

    frames = [Image.new("RGB", (9, 9), (60 * i, 0, 0)) for i in range(4)]
    data = encoded(frames[0], "PNG", save_all=True, append_images=frames[1:])
    animation = Image.open(io.BytesIO(data))
    animation.seek(1)
    found = decode_input(animation, PREPROCESS, OPTIONS)
    assert len(found.pixels) == 4
    assert animation.tell() == 1
    assert animation.convert("RGB").getpixel((0, 0)) == (60, 0, 0)


def test_a_loaded_jpeg_is_decoded_at_full_size() -> None:
    image = Image.open(io.BytesIO(JPEG))
    image.load()
    found = decode_input(image, PREPROCESS, OPTIONS)
    exact = decode(JPEG, Preprocess(size=32, jpeg_draft_margin=None))
    assert np.array_equal(found.pixels, exact.pixels)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_an_array_and_an_image_give_the_same_pixels(mode: str) -> None:
    image = PHOTO.convert(mode)
    expected = decode(encoded(image, "PNG"), PREPROCESS)
    array = np.asarray(image)
    for given in (array, array[:, :, np.newaxis]) if mode == "L" else (array,):
        found = decode_input(given, PREPROCESS, OPTIONS)
        assert np.array_equal(found.pixels, expected.pixels)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("photos/a.jpg", "got str"),
        (Path("a.jpg"), "got PosixPath"),
        (7, "got int"),
        (np.zeros((9, 9, 3), np.float32), r"got float32 \(9, 9, 3\)"),
        (np.zeros((3, 9, 9, 3), np.uint8), r"got uint8 \(3, 9, 9, 3\)"),
        (np.zeros((0, 9, 3), np.uint8), r"got uint8 \(0, 9, 3\)"),
        (np.zeros((9, 9, 2), np.uint8), r"got uint8 \(9, 9, 2\)"),
        (io.StringIO("text"), "got str"),
    ],
)
def test_the_error_for_an_unsupported_type_names_it(given: object, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        decode_input(given, PREPROCESS, OPTIONS)  # type: ignore[arg-type]


def test_the_limits_apply() -> None:
    for given in (JPEG, Image.open(io.BytesIO(JPEG)), np.asarray(PHOTO)):
        with pytest.raises(ImageError, match="more than the limit"):
            decode_input(given, PREPROCESS, ScanOptions(max_pixels=1000))
    with pytest.raises(ImageError, match="not-a-picture"):
        decode_input(b"text", PREPROCESS, OPTIONS)


def test_one_frame_of_an_animation_is_the_first() -> None:
    frames = [Image.new("RGB", (9, 9), (60 * i, 0, 0)) for i in range(4)]
    animation = Image.open(
        io.BytesIO(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    )
    animation.seek(2)
    (first,) = decode_input(animation, PREPROCESS, ScanOptions(frames=1)).pixels
    assert first.max() == 0
    assert animation.tell() == 2


def test_a_closed_file_is_unreadable() -> None:
    closed = io.BytesIO(JPEG)
    closed.close()
    with pytest.raises(ImageError, match="unreadable"):
        decode_input(closed, PREPROCESS, OPTIONS)
