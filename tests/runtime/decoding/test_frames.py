import io

import numpy as np
import pytest
from helpers import RGB_PHOTOS, encoded, load_photo
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from nsfwscan import Preprocess, decode
from nsfwscan.decoding.frames import Distinct
from nsfwscan.limits import FRAMES

SMALL = Preprocess(size=32)
SCENES = [load_photo(name).resize((120, 90)) for name in RGB_PHOTOS]


def chosen(frames: list[Image.Image], most: int) -> list[Image.Image]:
    distinct = Distinct(most)
    for frame in frames:
        distinct.add(frame, frame.copy)
    return distinct.squares


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60))
def test_each_scene_is_kept_once_in_order(scenes: list[int]) -> None:
    first_seen = list(dict.fromkeys(scenes))
    assert chosen([SCENES[i] for i in scenes], FRAMES) == [SCENES[i] for i in first_seen]


@given(st.integers(1, 40), st.integers(1, 12))
def test_no_more_than_the_most_are_kept_and_they_are_apart(count: int, most: int) -> None:
    greys = [Image.new("RGB", (8, 8), (6 * i + 7,) * 3) for i in range(count)]
    distinct = Distinct(most)
    new = sum(distinct.add(grey, grey.copy) for grey in greys)
    kept = [image.getpixel((0, 0))[0] for image in distinct.squares]  # type: ignore[index]
    assert len(kept) == min(new, most) == new - distinct.left_out
    assert kept == sorted(kept)
    if len(kept) > 1:
        least = 6 * (count - 1) / most
        assert np.diff(kept).min() >= least / 2


def test_noise_and_slow_changes_below_the_limit_are_one_frame() -> None:
    rng = np.random.default_rng(0)
    photo = np.asarray(SCENES[0]).astype(int)
    noisy = [
        Image.fromarray((photo + rng.integers(-6, 7, photo.shape)).clip(0, 255).astype(np.uint8))
        for _ in range(20)
    ]
    assert len(chosen(noisy, FRAMES)) == 1


def test_a_mosaic_does_not_stand_for_what_it_hides() -> None:
    small = SCENES[0].resize((16, 16), Image.Resampling.BOX)
    mosaic = small.resize(SCENES[0].size, Image.Resampling.NEAREST)
    assert chosen([mosaic, SCENES[0]], FRAMES) == [mosaic, SCENES[0]]


@pytest.mark.parametrize("start", [0, 3, 150, 290])
def test_ten_frames_among_three_hundred_are_found(start: int) -> None:
    """Half a second of another scene, in an animation that otherwise moves slowly."""
    wide = load_photo("coffee.png").resize((400, 90))
    frames = [wide.crop((i // 2, 0, i // 2 + 120, 90)) for i in range(300)]
    frames[start : start + 10] = [SCENES[0]] * 10
    kept = chosen(frames, FRAMES)
    assert len(kept) <= FRAMES
    assert SCENES[0] in kept


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
