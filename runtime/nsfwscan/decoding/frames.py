"""Choose what to score of many frames or views: those that show something new.

Evenly spaced frames miss a scene that lasts half a second. Here each frame is looked at.
"""

from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image, ImageChops

from nsfwscan.decoding.views import Box

_SIDE, _CELLS = 64, 16
"""Side in pixels of the small image that stands for a frame or view, and cells along it."""

_SAME = 8
"""Levels of 255 by which the pixels of one cell may differ, on average, in two that show the
same."""


@dataclass(frozen=True, slots=True)
class _Kept:
    small: Image.Image
    square: Image.Image


class Distinct:
    """The frames or views that differ most from each other, of those added.

    One that is nearly the same as one that is kept is left out. Of more than `most`, one of the two
    that are most alike is left out, again and again.

    Parameters
    ----------
    most
        Most frames or views to keep.

    Attributes
    ----------
    left_out
        How many others were different from those kept when they were added.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: list[_Kept] = []
        self._apart: list[list[int]] = []  # differences of each one kept from the earlier ones
        self.left_out = 0

    def add(
        self, image: Image.Image, square: Callable[[], Image.Image], box: Box | None = None
    ) -> bool:
        """Add an image, or a box of it; return whether it shows something new.

        `square` makes what is scored of it.
        """
        small = image.resize((_SIDE, _SIDE), Image.Resampling.BOX, box=box).convert("RGB")
        apart = []
        for kept in reversed(self._kept):  # the last is most likely the same
            apart.append(_difference(small, kept.small))
            if apart[-1] <= _SAME:
                return False
        self._kept.append(_Kept(small, square()))
        self._apart.append(apart[::-1])
        if len(self._kept) > self._most:
            self._leave_one_out()
        return True

    def _leave_one_out(self) -> None:
        _, place = min((min(row), i) for i, row in enumerate(self._apart) if row)
        del self._kept[place], self._apart[place]
        for row in self._apart[place:]:
            del row[place]
        self.left_out += 1

    @property
    def squares(self) -> list[Image.Image]:
        """What is scored, in the order in which it was added."""
        return [kept.square for kept in self._kept]


def _difference(one: Image.Image, other: Image.Image) -> int:
    """Return the largest difference of a channel, on average over a cell."""
    apart = ImageChops.difference(one, other)
    return max(apart.resize((_CELLS, _CELLS), Image.Resampling.BOX).tobytes())
