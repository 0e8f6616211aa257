"""The pixels that a model sees. `nsfwscan.decoding.preprocess` produces them."""

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
        uint8, (frames + views, S, S, 3), RGB, 0-255.
    width, height
        Size of the original in pixels, with the EXIF orientation applied.
    format
        Name of the original's format.
    views
        Number of parts of a long image, which follow the whole.
    frame_numbers
        The index in the file of each frame, then of the frame of each view.
    total_frames
        Number of frames in the file.
    """

    pixels: Pixels
    width: int
    height: int
    format: str
    views: int = 0
    frame_numbers: tuple[int, ...] = (0,)
    total_frames: int = 1

    @property
    def frames(self) -> int:
        """Number of frames."""
        return len(self.pixels) - self.views
