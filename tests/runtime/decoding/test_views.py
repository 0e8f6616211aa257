import numpy as np
import pytest
from helpers import encoded, load_photo
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from nsfwscan import Classifier, Preprocess, decode
from nsfwscan.decoding.views import edges_of, is_long, panels, views_of
from nsfwscan.limits import VIEWS


@given(st.integers(1, 900), st.integers(1, 900), st.integers(0, 60), st.integers(0, 9))
def test_views_lie_in_the_image_and_cover_it(
    width: int, height: int, most: int, stripes: int
) -> None:
    image = Image.new("RGB", (width, height), "white")
    for i in range(stripes):
        part = (i * width // 10, i * height // 10, (2 * i + 1) * width // 20,
                (2 * i + 1) * height // 20)  # fmt: skip
        image.paste("black", part if width > height else (0, part[1], width, part[3]))
    boxes = views_of(image, most)
    side, length = min(width, height), max(width, height)
    assert is_long((width, height)) == (length > 2 * side and side >= 32)
    if not is_long((width, height)) or most == 0:
        assert boxes == []
        return
    assert 2 <= len(boxes) <= 2 * max(most, 2) + 1
    spans = [(b[0], b[2]) if width > height else (b[1], b[3]) for b in boxes]
    assert spans == sorted(spans)
    assert all(0 <= start < end <= length + 1e-6 for start, end in spans)
    assert all(0.5 * side - 1e-6 <= end - start <= 2 * side + 1e-6 for start, end in spans)
    squares = [start for start, end in spans if end - start == pytest.approx(side)]
    assert squares[0] == 0
    assert max(end for _, end in spans) == pytest.approx(length)
    if length / side < most / 2:
        assert np.diff(squares).max() <= side / 2 + 1e-6


def test_edges_across_a_page_are_found() -> None:
    image = page(430, 6, across=False)
    assert edges_of(image, VIEWS)[0] == pytest.approx(430, abs=4)
    assert edges_of(image, VIEWS)[-1] == pytest.approx(630, abs=4)
    turned = edges_of(image.transpose(Image.Transpose.TRANSPOSE), VIEWS)
    assert turned == edges_of(image, VIEWS)
    assert len(edges_of(image, 2)) == 2
    assert edges_of(Image.new("RGB", (90, 900)), VIEWS) == []


@given(st.lists(st.floats(1, 999), max_size=12).map(sorted))
def test_panels_lie_between_edges(edges: list[float]) -> None:
    for start, end in panels(edges, 100, 1000):
        assert start in {0, *edges}
        assert end in {1000, *edges}
        assert 50 <= end - start <= 200
    assert panels([], 100, 1000) == []
    assert panels([300, 420], 100, 1000) == [(300, 420)]


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
    assert 3 <= found.views <= 12  # several squares are white
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
    assert 3 <= found.views <= VIEWS
    for shown in pages[:frames]:
        alone = decode(encoded(shown, "PNG"), preprocess, views=VIEWS)
        for view in alone.pixels[1:]:
            assert np.abs(found.pixels.astype(int) - view).mean(axis=(1, 2, 3)).min() < 8


@pytest.mark.slow
@pytest.mark.parametrize("height", [150, 200, 267])
@pytest.mark.parametrize(("place", "pages"), [(0, 6), (430, 6), (900, 6), (777, 10), (1700, 10)])
def test_a_photo_anywhere_in_a_page_has_nearly_its_own_score(
    open_nsfw: Classifier, place: int, pages: int, height: int
) -> None:
    preprocess = open_nsfw.manifest.preprocess
    photo = PHOTO.resize((200, height))
    whole = Image.new("RGB", (200, 200 * pages), "white")
    whole.paste(photo, (0, place))

    def score(image: Image.Image) -> float:
        decoded = decode(encoded(image, "PNG"), preprocess, views=VIEWS)
        return max(float(open_nsfw.predict(square[np.newaxis])[0]) for square in decoded.pixels)

    assert score(whole) == pytest.approx(score(photo), abs=0.1)
