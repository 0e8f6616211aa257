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


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_missing_rows_are_counted(share: float) -> None:
    data = encoded(PHOTO, "JPEG", quality=90)
    with pytest.raises(ImageError) as caught:
        decode(data[: round(share * len(data))], SMALL)
    assert caught.value.reason is Reason.TRUNCATED
    missing, total = (int(word) for word in caught.value.detail.split() if word.isdigit())
    assert total == 400
    assert missing == pytest.approx((1 - share) * 400, abs=60)
