import numpy as np
import pytest
from helpers import RGB_PHOTOS, load_photo
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from nsfwscan.decoding.distinct import Distinct, small_image
from nsfwscan.limits import FRAMES

SCENES = [load_photo(name).resize((120, 90)) for name in RGB_PHOTOS]


def sampled(frames: list[Image.Image], most: int) -> Distinct:
    distinct = Distinct(most)
    for number, frame in enumerate(frames):
        distinct.add(small_image(frame, (0, 0, *frame.size)), frame.copy, number)
    return distinct


def chosen(frames: list[Image.Image], most: int) -> list[Image.Image]:
    return sampled(frames, most).squares


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60))
def test_each_scene_is_kept_once_in_order(scenes: list[int]) -> None:
    first_seen = list(dict.fromkeys(scenes))
    assert chosen([SCENES[i] for i in scenes], FRAMES) == [SCENES[i] for i in first_seen]


@given(st.integers(1, 24), st.integers(1, 12))
def test_no_more_than_the_most_are_kept_and_they_are_apart(count: int, most: int) -> None:
    greys = [Image.new("RGB", (8, 8), (10 * i + 7,) * 3) for i in range(count)]
    found = sampled(greys, most)
    kept = [image.getpixel((0, 0))[0] for image in found.squares]  # type: ignore[index]
    assert len(kept) == min(count, most) == count - found.left_out
    assert [10 * number + 7 for number in found.frames] == kept
    assert kept == sorted(kept)
    assert kept[0] == 7
    if most > 1:
        assert kept[-1] == 10 * count - 3
        assert np.diff(kept[:-1]).min(initial=999) >= 10 * (count - 1) / most / 4


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


def pans(count: int) -> list[Image.Image]:
    """Return frames that move over several photos, a scene after another."""
    names = (
        "coffee.png",
        "chelsea.png",
        "rocket.jpg",
        "hubble_deep_field.jpg",
        "motorcycle_left.png",
    )
    wide = [load_photo(name).convert("RGB").resize((400, 90)) for name in names]
    length = count // len(wide)
    return [
        wide[i // length % len(wide)].crop(
            (9 * (i % length) % 280, 0, 9 * (i % length) % 280 + 120, 90)
        )
        for i in range(count)
    ]


def blocks(count: int) -> list[Image.Image]:
    """Return frames with as much contrast as there can be."""
    rng = np.random.default_rng(0)
    samples = 255 * rng.integers(0, 2, (count, 6, 8, 3)).astype(np.uint8)
    return [Image.fromarray(one).resize((120, 90), Image.Resampling.NEAREST) for one in samples]


@pytest.mark.parametrize("start", [0, 3, 142, 150, 280, 290])
@pytest.mark.parametrize("others", [pans(300), blocks(40) + pans(260), pans(260) + blocks(40)],
                         ids=["pans", "blocks first", "blocks last"])  # fmt: skip
@pytest.mark.slow
def test_ten_frames_among_three_hundred_are_found(start: int, others: list[Image.Image]) -> None:
    """Half a second of another scene."""
    frames = others[:start] + [SCENES[0]] * 10 + others[start + 10 :]
    kept = chosen(frames, FRAMES)
    assert len(kept) <= FRAMES
    assert SCENES[0] in kept


def test_a_frame_that_stays_is_found_among_more_that_do_not() -> None:
    """Encoders write a frame that stays once, with a longer duration."""
    frames = pans(280)
    distinct = Distinct(FRAMES)
    for number, frame in enumerate((*frames[:270], SCENES[0], *frames[270:])):
        small = small_image(frame, (0, 0, *frame.size))
        distinct.add(small, frame.copy, number, 500 if frame is SCENES[0] else 50)
    assert distinct.frames[distinct.squares.index(SCENES[0])] == 270


def test_a_part_of_a_long_frame_that_changes_is_seen() -> None:
    page = Image.new("RGB", (90, 9000), "white")
    changed = page.copy()
    changed.paste(
        Image.blend(SCENES[0].resize((90, 90)), Image.new("RGB", (90, 90), "white"), 0.5), (0, 4000)
    )
    assert len(chosen([page, changed, page], FRAMES)) == 2
