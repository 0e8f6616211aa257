from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest

from nsfwscan.cache.score import Score
from nsfwscan.decoding.pixels import DecodedImage, Pixels
from nsfwscan.errors import ImageError, Reason
from nsfwscan.inference.scoring import score_images, score_twice
from nsfwscan.inference.tensors import Predictions


def image(*levels: int, views: int = 0, numbers: tuple[int, ...] = (0,)) -> DecodedImage:
    squares = np.repeat(np.array(levels, np.uint8), 12).reshape(len(levels), 2, 2, 3)
    return DecodedImage(squares, 4, 3, "PNG", views, numbers, 300)


def hundredths(pixels: Pixels) -> Predictions:
    return Predictions((pixels[:, 0, 0, 0] / 100).astype(np.float32))


def predictions(*scores: float) -> Predictions:
    return Predictions(np.array(scores, np.float32))


@pytest.mark.parametrize("batch_size", [1, 2, 16])
def test_an_image_has_the_highest_score_of_its_frames_and_views(batch_size: int) -> None:
    found = score_images(
        [image(3), image(1, 90, 2, views=1, numbers=(0, 7, 0)), image(0)], hundredths, batch_size
    )
    values = [
        (one.value, one.frames, one.views) for one in found if not isinstance(one, ImageError)
    ]
    assert values == [(0.03, 1, 0), (0.9, 2, 1), (0.0, 1, 0)]


@pytest.mark.parametrize(
    ("levels", "views", "frame"),
    [
        ((1, 90, 2), 0, 142),
        ((90, 1, 90), 0, 5),  # the first of equal ones
        ((1, 2, 90), 1, 142),  # in a part of a frame
        ((1, 90), 1, None),  # one frame and a part of it
    ],
)
def test_the_frame_with_the_highest_score_is_named(
    levels: tuple[int, ...], views: int, frame: int | None
) -> None:
    numbers = {0: (5, 142, 200), 1: (5, 142, 142)}[views][: len(levels)]
    (found,) = score_images([image(*levels, views=views, numbers=numbers)], hundredths, 2)
    assert not isinstance(found, ImageError)
    assert (found.frame, found.total_frames) == (frame, None if frame is None else 300)


def test_frames_whose_scores_are_rounded_to_the_same_are_equal() -> None:
    one = image(1, 2, numbers=(3, 8))
    (found,) = score_images([one], lambda _: predictions(0.5, 0.50000006), 2)
    assert not isinstance(found, ImageError)
    assert (found.value, found.frame) == (0.5, 3)


def test_a_score_is_rounded_as_in_a_record() -> None:
    (found,) = score_images([image(1)], lambda _: predictions(1 / 3), 1)
    assert not isinstance(found, ImageError)
    assert found.value == 0.333333


@pytest.mark.parametrize("value", [np.nan, 1.5, -0.1, np.inf])
def test_what_is_no_probability_is_an_error_of_the_image(value: float) -> None:
    def predict(pixels: Pixels) -> Predictions:
        return Predictions(np.where(pixels[:, 0, 0, 0] == 7, np.float32(value), np.float32(0.5)))

    found = score_images([image(7), image(1)], predict, 4)
    assert isinstance(found[0], ImageError)
    assert found[0].reason is Reason.UNSCORED
    assert not isinstance(found[1], ImageError)
    assert found[1].value == 0.5


@pytest.mark.parametrize("batch_size", [1, 2, 16])
def test_the_classes_are_those_of_the_frame_with_the_highest_score(batch_size: int) -> None:
    def predict(pixels: Pixels) -> Predictions:
        scores = hundredths(pixels).scores
        return Predictions(scores, np.stack([1 - scores, scores / 3], axis=1))

    found = score_images([image(3, 30, numbers=(0, 7)), image(90)], predict, batch_size)
    assert [one.classes for one in found if not isinstance(one, ImageError)] == [
        (0.7, 0.1),
        (0.1, 0.3),
    ]


def test_a_class_without_a_probability_makes_an_image_an_error() -> None:
    """JSON has no NaN, and a model that computes one is not to be trusted."""

    def predict(pixels: Pixels) -> Predictions:
        scores = hundredths(pixels).scores
        return Predictions(scores, np.where(scores == 0, np.nan, scores)[:, np.newaxis])

    failed, scored = score_images([image(0, 5, numbers=(0, 1)), image(5)], predict, 8)
    assert isinstance(failed, ImageError)
    assert not isinstance(scored, ImageError)


def test_what_is_in_the_interval_is_scored_again() -> None:
    """The fast model sees hundredths, its original half of them."""
    seen: list[int] = []

    def original(images: Sequence[DecodedImage]) -> list[Score | ImageError]:
        seen.extend(int(image.pixels[0, 0, 0, 0]) for image in images)
        return score_images(
            images, lambda p: Predictions(hundredths(p).scores * np.float32(0.5)), 2
        )

    fast = partial(score_images, predict=hundredths, batch_size=2)
    images = [image(level) for level in (19, 20, 45, 200, 70, 71)]  # 2.0 is no probability
    found = score_twice(images, fast, original, (0.2, 0.7))
    assert seen == [20, 45, 200, 70]
    assert [(one.value, one.precision) for one in found if isinstance(one, Score)] == [
        (0.19, "reduced"), (0.1, "full"), (0.225, "full"), (1.0, "full"), (0.35, "full"),
        (0.71, "reduced"),
    ]  # fmt: skip
