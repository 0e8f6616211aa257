"""Score decoded images: batch their frames, take each image's highest score, and round it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain

import numpy as np

from nsfwscan.cache.score import Precision, Score
from nsfwscan.decision import score_of
from nsfwscan.decoding.pixels import DecodedImage, Pixels
from nsfwscan.errors import ImageError, Reason
from nsfwscan.inference.tensors import Predictions

Scorer = Callable[[Sequence[DecodedImage]], list[Score | ImageError]]
"""Gives each image its score, or says why there is none."""


def score_images(
    images: Sequence[DecodedImage], predict: Callable[[Pixels], Predictions], batch_size: int
) -> list[Score | ImageError]:
    """Score images of one or more frames and views each.

    Parameters
    ----------
    images
        One or more decoded images, all of the same S x S.
    predict
        Returns probabilities for pixels, uint8 (N, S, S, 3).
    batch_size
        Most frames in one call of `predict`.

    Returns
    -------
    list of Score or ImageError
        For each image the highest score of its frames and views and where it is, or an error if it
        is no probability.
    """
    frames = [image.pixels for image in images]
    together = frames[0] if len(frames) == 1 else np.concatenate(frames)
    starts = range(0, len(together), batch_size)
    found = Predictions.joined([predict(together[start : start + batch_size]) for start in starts])
    ends = np.cumsum([len(pixels) for pixels in frames])[:-1]
    scores = np.split(found.scores, ends)
    if found.classes is None:
        return [_score(image, of.tolist()) for image, of in zip(images, scores, strict=True)]
    return [
        _score(image, of.tolist(), classes.tolist())
        for image, of, classes in zip(images, scores, np.split(found.classes, ends), strict=True)
    ]


def score_twice(
    images: Sequence[DecodedImage], fast: Scorer, original: Scorer, interval: tuple[float, float]
) -> list[Score | ImageError]:
    """Score images with a fast model, and again with its original where that may differ.

    Parameters
    ----------
    images
        One or more decoded images.
    fast, original
        As `score_images` for one model.
    interval
        The lowest and the highest score of the fast model that the original's replaces. It also
        replaces errors.
    """
    low, high = interval
    found = [_marked(score, "reduced") for score in fast(images)]
    doubtful = [
        i for i, score in enumerate(found)
        if not isinstance(score, Score) or low <= score.value <= high
    ]  # fmt: skip
    if doubtful:
        scores = original([images[i] for i in doubtful])
        for i, score in zip(doubtful, scores, strict=True):
            found[i] = _marked(score, "full")
    return found


def _marked(score: Score | ImageError, precision: Precision) -> Score | ImageError:
    return replace(score, precision=precision) if isinstance(score, Score) else score


def _score(
    image: DecodedImage, values: list[float], classes: list[list[float]] | None = None
) -> Score | ImageError:
    if any(map(math.isnan, chain(values, *(classes or ())))):
        return ImageError(Reason.UNSCORED, "the model returned no number for it")
    value = max(values)
    if not 0 <= value <= 1:
        detail = f"the model returned {value:g}, not a probability; its manifest may be wrong"
        return ImageError(Reason.UNSCORED, detail)
    # Round before the comparison with the threshold, so that a record is consistent; and before the
    # comparison of frames, because a batch can change the last bits.
    scores = [score_of(value) for value in values]
    best = max(scores)
    index = scores.index(best)
    place = (image.frame_numbers[index], image.total_frames)
    frame, total = place if image.frames > 1 else (None, None)
    return Score(
        best, image.width, image.height, image.frames, image.views, frame, total,
        None if classes is None else tuple(map(score_of, classes[index])),
    )  # fmt: skip
