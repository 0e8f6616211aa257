import numpy as np
import pytest
from helpers import encoded, load_photo
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from nsfwscan import Classifier, Preprocess, decode
from nsfwscan.decoding.views import views_of
from nsfwscan.limits import VIEWS


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(0, 60))
def test_views_are_squares_from_end_to_end(width: int, height: int, most: int) -> None:
    boxes = views_of((width, height), most)
    side = min(width, height)
    if max(width, height) <= 2 * side or side < 32 or most == 0:
        assert boxes == []
        return
    assert 1 <= len(boxes) <= most
    for left, top, right, bottom in boxes:
        assert right - left == pytest.approx(side)
        assert bottom - top == pytest.approx(side)
        assert 0 <= left <= width - side
        assert 0 <= top <= height - side
    if len(boxes) > 1:
        assert max(boxes[-1][2:]) == pytest.approx(max(width, height))
        steps = np.diff([max(box[:2]) for box in boxes])
        assert steps == pytest.approx(steps[0])
        if len(boxes) < most:
            assert steps[0] <= side / 4 + 1e-6


PHOTO = load_photo("astronaut.png").resize((200, 200))


def page(place: int, pages: int, *, across: bool) -> Image.Image:
    """Put a photo anywhere into a white page that is longer than wide."""
    size = (200 * pages, 200) if across else (200, 200 * pages)
    image = Image.new("RGB", size, "white")
    image.paste(PHOTO, (place, 0) if across else (0, place))
    return image


@pytest.mark.parametrize("format_", ["PNG", "JPEG"])
@pytest.mark.parametrize("across", [True, False])
def test_a_view_shows_the_photo_of_a_long_page(format_: str, across: bool) -> None:
    preprocess = Preprocess(size=50)
    data = encoded(page(400, 6, across=across), format_)
    found = decode(data, preprocess, views=VIEWS)
    assert found.frames == 1
    assert 5 <= found.views <= 10  # of 21, most of which are white
    wanted = decode(encoded(PHOTO, format_), preprocess).pixels[0].astype(int)
    apart = np.abs(found.pixels.astype(int) - wanted).mean(axis=(1, 2, 3))
    assert apart.argmin() > 0  # not the whole
    assert apart.min() < 3
    assert np.array_equal(found.pixels[0], decode(data, preprocess).pixels[0])


def test_ordinary_photos_have_no_views() -> None:
    preprocess = Preprocess(size=50)
    for size in ((400, 200), (200, 400), (1, 1000), (300, 200)):
        assert decode(encoded(PHOTO.resize(size), "PNG"), preprocess, views=VIEWS).views == 0


@pytest.mark.parametrize("frames", [1, 8])
def test_the_frames_of_a_long_animation_have_views(frames: int) -> None:
    preprocess = Preprocess(size=50)
    pages = [page(400, 6, across=True), page(800, 6, across=True)]
    data = encoded(pages[0], "WEBP", save_all=True, append_images=pages[1:], lossless=True)
    found = decode(data, preprocess, frames=frames, views=VIEWS)
    assert found.frames == min(frames, 2)
    assert 5 <= found.views <= VIEWS
    for shown in pages[:frames]:
        alone = decode(encoded(shown, "PNG"), preprocess, views=VIEWS)
        for view in alone.pixels[1:]:
            assert np.abs(found.pixels.astype(int) - view).mean(axis=(1, 2, 3)).min() < 8


@pytest.mark.slow
@pytest.mark.parametrize(("place", "pages"), [(0, 6), (430, 6), (1000, 6), (777, 10), (1800, 10)])
def test_a_photo_anywhere_in_a_page_has_nearly_its_own_score(
    open_nsfw: Classifier, place: int, pages: int
) -> None:
    preprocess = open_nsfw.manifest.preprocess

    def score(image: Image.Image) -> float:
        decoded = decode(encoded(image, "PNG"), preprocess, views=VIEWS)
        return max(float(open_nsfw.predict(square[np.newaxis])[0]) for square in decoded.pixels)

    assert score(page(place, pages, across=False)) >= score(PHOTO) - 0.1
