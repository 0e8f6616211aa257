"""Choose what to score of many frames or views: those that show something new.

Evenly spaced frames miss a scene that lasts half a second. Here each frame is looked at.
"""

from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image, ImageChops

_SIDE, _CELL = 64, 4
"""Shorter side in pixels of the small image that stands for a frame or view, and of its cells."""

_LONGEST = 64
"""Longer side / shorter side of the small image, at most."""

_SAME = 8
"""Levels of 255 by which the pixels of one cell may differ, on average, in two that show the
same."""


def small_image(image: Image.Image, box: tuple[float, float, float, float]) -> Image.Image:
    """Reduce a box of an image to what `Distinct` compares.

    Frames longer than wide keep their proportions, since only a part of them may change.
    """
    width, height = box[2] - box[0], box[3] - box[1]
    side = min(width, height)
    across, down = (
        _SIDE * max(1, min(_LONGEST, round(length / side) if length > 2 * side else 1))
        for length in (width, height)
    )
    return image.resize((across, down), Image.Resampling.BOX, box=box)


@dataclass(slots=True)
class _Kept:
    small: Image.Image
    square: Image.Image
    frame: int
    number: int
    start: float
    shown: float  # for how long, with those that it stands for
    apart: dict[int, float]  # from the others, by their numbers


class Distinct:
    """The frames or views that differ most from each other, of those added.

    One that is nearly the same as one that is kept is left out. Of more than `most`, another one is
    left out again and again: one that resembles another, and is seen for a short time.

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
        self._added, self._end = 0, 0.0
        self.left_out = 0

    @property
    def squares(self) -> list[Image.Image]:
        """What is scored, in the order in which it was added."""
        return [kept.square for kept in self._kept]

    @property
    def frames(self) -> list[int]:
        """For each of them, the index of its frame."""
        return [kept.frame for kept in self._kept]

    def add(
        self, small: Image.Image, square: Callable[[], Image.Image], frame: int, duration: float = 1
    ) -> None:
        """Add a frame or view.

        Parameters
        ----------
        small
            It, reduced by `small_image`, in mode RGB.
        square
            Makes what is scored of it.
        frame
            The index of the frame in its file.
        duration
            For how long it is shown, above 0; the unit does not matter.
        """
        number, start = self._added, self._end
        self._added, self._end = number + 1, start + duration
        apart = {}
        for kept in reversed(self._kept):  # the last is most likely the same
            largest, apart[kept.number] = _difference(small, kept.small)
            if largest <= _SAME:
                kept.shown += duration
                return
        for kept in self._kept:
            kept.apart[number] = apart[kept.number]
        self._kept.append(_Kept(small, square(), frame, number, start, duration, apart))
        if len(self._kept) > self._most:
            self._leave_one_out()

    def _leave_one_out(self) -> None:
        """Leave out the one that matters least, but not the first, which is on show."""
        self.left_out += 1
        if self._most < 2:
            self._kept.pop()
            return
        starts = [kept.start for kept in self._kept]
        worth = [
            min(kept.apart.values()) * (starts[i + 1] - starts[i - 1]) * kept.shown
            for i, kept in enumerate(self._kept[1:-1], 1)  # it is not known how long the last stays
        ]
        gone = self._kept.pop(1 + worth.index(min(worth)))
        for kept in self._kept:
            del kept.apart[gone.number]


def _difference(one: Image.Image, other: Image.Image) -> tuple[int, float]:
    """Return the largest difference of a cell and the mean over all, of the channels."""
    if one.size != other.size:
        return 255, 255.0
    apart = ImageChops.difference(one, other)
    cells = (one.width // _CELL, one.height // _CELL)
    found = apart.resize(cells, Image.Resampling.BOX).tobytes()
    return max(found), sum(found) / len(found)
