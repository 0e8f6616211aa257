"""Score decoded images: batch their frames, take each image's highest score, and round it."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from nsfwscan.cache.store import Score
from nsfwscan.decision import score_of
from nsfwscan.decoding.pixels import DecodedImage, Pixels
from nsfwscan.errors import ImageError, Reason
from nsfwscan.inference.tensors import Probabilities


def score_images(
    images: Sequence[DecodedImage], predict: Callable[[Pixels], Probabilities], batch_size: int
) -> list[Score | ImageError]:
    """Score images of one or more frames and views each.

    Parameters
    ----------
    images
        One or more decoded images, all of the same S x S.
    predict
        Returns probabilities, float32 (N,), for pixels, uint8 (N, S, S, 3).
    batch_size
        Most frames in one call of `predict`.

    Returns
    -------
    list of Score or ImageError
        For each image the highest score of its frames, or an error if it is no probability.
    """
    frames = [image.pixels for image in images]
    together = frames[0] if len(frames) == 1 else np.concatenate(frames)
    starts = range(0, len(together), batch_size)
    values = np.concatenate([predict(together[start : start + batch_size]) for start in starts])
    ends = np.cumsum([len(pixels) for pixels in frames])
    return [
        _score(image, float(part.max()))  # NaN if any frame's value is NaN
        for image, part in zip(images, np.split(values, ends[:-1]), strict=True)
    ]


def _score(image: DecodedImage, value: float) -> Score | ImageError:
    if math.isnan(value):
        return ImageError(Reason.UNSCORED, "the model returned no number for it")
    if not 0 <= value <= 1:
        detail = f"the model returned {value:g}, not a probability; its manifest may be wrong"
        return ImageError(Reason.UNSCORED, detail)
    # Round before the comparison with the threshold, so that a record is consistent.
    return Score(score_of(value), image.width, image.height, image.frames, image.views)
