from contextlib import suppress

import numpy as np
import pytest
from helpers import encoded, load_photo
from PIL import Image

from nsfwscan import ImageError, Preprocess, decode
from nsfwscan.errors import Reason

SMALL = Preprocess(size=32)
PHOTO = load_photo("chelsea.png").resize((300, 400))


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("image", [PHOTO, PHOTO.convert("L"), Image.new("RGB", (300, 400), "teal")])
@pytest.mark.parametrize("end", [b"", b"\0" * 500, b"SEFT trailer of a phone " * 40, b"\xff"])
def test_a_jpeg_that_lacks_only_its_end_marker_is_scored(
    image: Image.Image, end: bytes, progressive: bool
) -> None:
    data = encoded(image, "JPEG", quality=90, progressive=progressive)
    found = decode(data[:-2] + end, SMALL)
    assert np.abs(found.pixels.astype(int) - decode(data, SMALL).pixels).max() <= 1
    assert (found.width, found.height) == (300, 400)


THUMBNAIL = b"Exif\0\0" + encoded(PHOTO.resize((60, 80)), "JPEG", progressive=True)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("exif", [b"", THUMBNAIL], ids=["plain", "thumbnail"])
@pytest.mark.parametrize("junk", [b"", b"\xff" * 5000], ids=["none", "fill bytes"])
def test_missing_rows_are_counted(share: float, exif: bytes, junk: bytes) -> None:
    """Neither a thumbnail nor bytes that follow stand for the image."""
    plain = encoded(PHOTO, "JPEG", quality=90)
    data = encoded(PHOTO, "JPEG", quality=90, exif=exif)
    with pytest.raises(ImageError) as caught:
        decode(data[: len(data) - round((1 - share) * len(plain))] + junk, SMALL)
    assert caught.value.reason is Reason.TRUNCATED
    missing, total = (int(word) for word in caught.value.detail.split() if word.isdigit())
    assert total == 400
    assert missing == pytest.approx((1 - share) * 400, abs=60)


@pytest.mark.parametrize("exif", [b"", THUMBNAIL], ids=["plain", "thumbnail"])
def test_a_progressive_jpeg_that_is_cut_in_its_first_scan_is_truncated(exif: bytes) -> None:
    data = encoded(PHOTO, "JPEG", quality=90, progressive=True, exif=exif)
    first = data.index(b"\xff\xda", data.rindex(b"\xff\xc2"))
    with pytest.raises(ImageError, match="image rows are missing"):
        decode(data[: first + 400], SMALL)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_tiny_jpeg_is_an_image_or_an_error_wherever_it_is_cut(progressive: bool) -> None:
    data = encoded(Image.new("RGB", (8, 8), "teal"), "JPEG", quality=90, progressive=progressive)
    for length in range(100, len(data)):
        with suppress(ImageError):
            assert decode(data[:length], SMALL).width == 8
