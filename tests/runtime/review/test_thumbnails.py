import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from helpers import PHOTOS, animation
from PIL import Image

from nsfwscan.decoding.pixels import DecodedImage
from nsfwscan.decoding.similarity import NEAR
from nsfwscan.limits import ScanOptions
from nsfwscan.review.thumbnails import Missing, Thumbnails, encode, hash_of


def middle(decoded: DecodedImage | Missing) -> tuple[int, ...]:
    assert isinstance(decoded, DecodedImage)
    with Image.open(io.BytesIO(encode(decoded))) as image:
        found = image.convert("RGB").getpixel((image.width // 2, image.height // 2))
    assert isinstance(found, tuple)
    return found


@pytest.mark.parametrize("format_", ["GIF", "PNG", "WEBP", "AVIF", "TIFF"])
def test_a_thumbnail_shows_the_frame_that_was_asked_for(tmp_path: Path, format_: str) -> None:
    """Of blue and green frames one is red."""
    data = animation(format_, total=12, red=7)
    path = tmp_path / "a"
    path.write_bytes(data)
    with Thumbnails(ScanOptions()) as thumbnails:
        for frame, channel in ((7, 0), (6, 2), (5, 1), (None, 2)):
            found = middle(thumbnails.decode(str(path), hashlib.sha256(data).hexdigest(), frame))
            assert found[channel] > 200, (frame, found)
            assert sorted(found)[1] < 40, (frame, found)
        gone = thumbnails.decode(str(path), hashlib.sha256(data).hexdigest(), 12)
        assert isinstance(gone, Missing)


def test_copies_of_another_size_have_a_similar_hash() -> None:
    with Image.open(PHOTOS / "astronaut.png") as image:
        hashes = []
        for side in (100, 220, 512):
            pixels = np.asarray(image.resize((256, 256)).resize((side, side)).resize((256, 256)))
            decoded = DecodedImage(pixels[np.newaxis], side, side, "PNG", 0, (0,))
            hashes.append(hash_of(encode(decoded)))
    assert all((one ^ hashes[-1]).bit_count() <= NEAR for one in hashes)
    assert hashes[0].bit_count() > NEAR
