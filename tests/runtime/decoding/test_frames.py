import io

import numpy as np
import pytest
from helpers import RGB_PHOTOS, encoded, load_photo
from PIL import Image

from nsfwscan import Preprocess, decode
from nsfwscan.decoding.preprocess import decode_frames
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
        assert found.frame_numbers == (1, 2)[:most]  # the file's first image has the number 0
        assert found.total_frames == 3
        for square, scene in zip(found.pixels, SCENES[1 : 1 + min(most, 2)], strict=True):
            assert np.array_equal(square, decode(encoded(scene, "PNG"), SMALL).pixels[0])


def frame_of(data: bytes, frame: int) -> np.ndarray:
    """Return the square of one frame."""
    found = decode_frames(data, SMALL, frames=1, views=0, max_pixels=10**6, frame=frame)
    assert (found.frames, found.frame_numbers) == (1, [frame])
    return np.asarray(found.squares[0])


@pytest.mark.parametrize("format_", ["GIF", "PNG", "WEBP", "AVIF", "TIFF"])
def test_the_frames_that_were_taken_are_those_of_their_numbers(format_: str) -> None:
    frames = [scene.resize((64, 48)) for scene in SCENES]
    options = {"lossless": True} if format_ == "WEBP" else {}
    data = encoded(frames[0], format_, save_all=True, append_images=frames[1:], **options)
    found = decode(data, SMALL, frames=FRAMES)
    assert found.frame_numbers == tuple(range(len(SCENES)))
    for square, number in zip(found.pixels, found.frame_numbers, strict=True):
        assert np.array_equal(square, frame_of(data, number))


def test_a_frame_of_a_gif_shows_what_earlier_frames_have_painted() -> None:
    """The second frame paints a corner, and what no frame paints is white."""
    first = Image.new("P", (64, 48), 1)
    first.putpalette([0, 0, 0, 0, 0, 255, 255, 0, 0])
    first.paste(0, (32, 0, 64, 48))
    second = first.copy()
    second.paste(2, (0, 0, 16, 16))
    data = encoded(
        first, "GIF", save_all=True, append_images=[second], transparency=0, disposal=1, duration=50
    )
    found = decode(data, SMALL, frames=2)
    assert found.frames == 2
    for square, number in zip(found.pixels, found.frame_numbers, strict=True):
        assert np.array_equal(square, frame_of(data, number))
    assert frame_of(data, 1)[16, 24].tolist() == [255, 255, 255]


def test_views_have_the_numbers_of_their_frames() -> None:
    one, other = (scene.resize((60, 300)) for scene in SCENES[:2])
    data = encoded(one, "PNG", save_all=True, append_images=[one, other], duration=50)
    found = decode(data, SMALL, frames=FRAMES, views=40)
    assert found.frames == 2
    assert found.views > 2
    numbers = found.frame_numbers
    assert len(numbers) == len(found.pixels)
    assert set(numbers[2:]) == set(numbers[:2])
    assert found.total_frames == 2  # the encoder joins equal frames
    still = decode(encoded(one, "PNG"), SMALL, frames=FRAMES, views=40)
    assert still.frame_numbers == (0,) * (1 + still.views)
