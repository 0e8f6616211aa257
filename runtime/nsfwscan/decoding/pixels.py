"""The pixels that a model sees, as `nsfwscan.decoding.preprocess` makes them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """A decoded image.

    Attributes
    ----------
    pixels
        uint8, (frames, S, S, 3), RGB, 0-255.
    width, height
        Size of the original in pixels as displayed: EXIF orientation applied.
    format
        Name of its format.
    """

    pixels: Pixels
    width: int
    height: int
    format: str
