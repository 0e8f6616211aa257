import numpy as np
import pytest

from nsfwscan.decoding.pixels import DecodedImage, Pixels
from nsfwscan.errors import ImageError, Reason
from nsfwscan.inference.scoring import score_images
from nsfwscan.inference.tensors import Probabilities


def image(*levels: int, views: int = 0) -> DecodedImage:
    squares = np.repeat(np.array(levels, np.uint8), 12).reshape(len(levels), 2, 2, 3)
    return DecodedImage(squares, 4, 3, "PNG", views)


def hundredths(pixels: Pixels) -> Probabilities:
    return (pixels[:, 0, 0, 0] / 100).astype(np.float32)


@pytest.mark.parametrize("batch_size", [1, 2, 16])
def test_an_image_has_the_highest_score_of_its_frames_and_views(batch_size: int) -> None:
    found = score_images([image(3), image(1, 90, 2, views=1), image(0)], hundredths, batch_size)
    values = [
        (one.value, one.frames, one.views) for one in found if not isinstance(one, ImageError)
    ]
    assert values == [(0.03, 1, 0), (0.9, 2, 1), (0.0, 1, 0)]


def test_a_score_is_rounded_as_in_a_record() -> None:
    (found,) = score_images([image(1)], lambda _: np.array([1 / 3], np.float32), 1)
    assert not isinstance(found, ImageError)
    assert found.value == 0.333333


@pytest.mark.parametrize("value", [np.nan, 1.5, -0.1, np.inf])
def test_what_is_no_probability_is_an_error_of_the_image(value: float) -> None:
    def predict(pixels: Pixels) -> Probabilities:
        return np.where(pixels[:, 0, 0, 0] == 7, np.float32(value), np.float32(0.5))

    found = score_images([image(7), image(1)], predict, 4)
    assert isinstance(found[0], ImageError)
    assert found[0].reason is Reason.UNSCORED
    assert not isinstance(found[1], ImageError)
    assert found[1].value == 0.5
