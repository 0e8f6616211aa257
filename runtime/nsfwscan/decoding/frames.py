"""Choose the frames of an animation to score: those that show something new.

Evenly spaced frames miss a scene that lasts half a second. Here each frame is looked at.
"""

from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image, ImageChops

_SIDE, _CELLS = 64, 16
"""Side in pixels of the small image that stands for a frame, and number of cells along it."""

_SAME = 8
"""Levels of 255 by which the pixels of one cell may differ, on average, in frames that show the
same."""


@dataclass(frozen=True, slots=True)
class _Kept:
    small: Image.Image
    square: Image.Image


class DistinctFrames:
    """The frames that differ most from each other, of those added.

    A frame that is nearly the same as one that is kept is left out. Of more than `most` frames, one
    of the two that are most alike is left out, again and again.

    Parameters
    ----------
    most
        Most frames to keep, 1 or more.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: list[_Kept] = []
        self._apart: list[list[int]] = []  # differences of each kept frame from the earlier ones

    def add(self, frame: Image.Image, square: Callable[[], Image.Image]) -> None:
        """Add a frame; `square` makes what is scored of it."""
        small = frame.resize((_SIDE, _SIDE), Image.Resampling.BOX).convert("RGB")
        apart = [_difference(small, kept.small) for kept in self._kept]
        if apart and min(apart) <= _SAME:
            return
        self._kept.append(_Kept(small, square()))
        self._apart.append(apart)
        if len(self._kept) > self._most:
            _, place = min((min(row), i) for i, row in enumerate(self._apart) if row)
            del self._kept[place], self._apart[place]
            for row in self._apart[place:]:
                del row[place]

    @property
    def squares(self) -> list[Image.Image]:
        """What is scored, in the order of the frames."""
        return [kept.square for kept in self._kept]


def _difference(one: Image.Image, other: Image.Image) -> int:
    """Return the largest difference of a channel, on average over a cell."""
    apart = ImageChops.difference(one, other)
    return max(apart.resize((_CELLS, _CELLS), Image.Resampling.BOX).tobytes())
