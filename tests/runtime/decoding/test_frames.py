import io

import numpy as np
import pytest
from helpers import RGB_PHOTOS, encoded, load_photo
from PIL import Image

from nsfwscan import Preprocess, decode
from nsfwscan.limits import FRAMES

SMALL = Preprocess(size=32)
SCENES = [load_photo(name).resize((120, 90)) for name in RGB_PHOTOS]


@pytest.mark.parametrize("format_", ["GIF", "PNG", "WEBP", "AVIF", "TIFF"])
def test_a_short_scene_is_found_in_every_format(format_: str) -> None:
    frames = [SCENES[1].resize((64, 48))] * 30 + [SCENES[0].resize((64, 48))] * 2
    frames += [SCENES[1].resize((64, 48)).transpose(Image.Transpose.FLIP_LEFT_RIGHT)] * 30
    options = {"duration": 50, **({"lossless": True} if format_ == "WEBP" else {})}
    data = encoded(frames[0], format_, save_all=True, append_images=frames[1:], **options)
    found = decode(data, SMALL, frames=FRAMES)
    assert found.frames <= 6
    wanted = decode(encoded(frames[30], "PNG"), SMALL).pixels[0].astype(int)
    apart = np.abs(found.pixels.astype(int) - wanted).mean(axis=(1, 2, 3))
    assert apart.min() < 12


def test_the_default_image_of_an_animated_png_is_not_part_of_it() -> None:
    buffer = io.BytesIO()
    SCENES[0].save(
        buffer, "PNG", save_all=True, default_image=True, append_images=SCENES[1:3], duration=50
    )
    for most in (1, 8):
        found = decode(buffer.getvalue(), SMALL, frames=most)
        assert found.frames == min(most, 2)
        for square, scene in zip(found.pixels, SCENES[1:3], strict=False):
            assert np.array_equal(square, decode(encoded(scene, "PNG"), SMALL).pixels[0])
