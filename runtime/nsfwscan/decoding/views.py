"""Square views of an image that is much longer than wide, which are scored besides the whole.

Resized to a square, a photo in a long page or in a strip becomes too narrow to recognise.
"""

import math

LONG = 2
"""Longer side / shorter side beyond which there are views. Phone screenshots are at 2.2."""

_LEAST_SIDE = 32  # pixels; a smaller view shows nothing

_STEP = 0.25
"""Distance of two views / their side: each square of the image is to 7/8 in a view."""

Box = tuple[float, float, float, float]
"""Left, upper, right and lower edge in pixels."""


def views_of(size: tuple[int, int], most: int) -> list[Box]:
    """Return the boxes of square views that overlap, from one end of the longer side to the other.

    Parameters
    ----------
    size
        Width and height of the image in pixels.
    most
        Most views. A longer image has gaps between them.
    """
    width, height = size
    side, room = min(size), max(size) - min(size)
    if most < 1 or side < _LEAST_SIDE or room <= (LONG - 1) * side:
        return []
    count = min(most, math.ceil(room / (_STEP * side)) + 1)
    places = [room * i / max(1, count - 1) for i in range(count)]
    if width > height:
        return [(place, 0, place + side, side) for place in places]
    return [(0, place, side, place + side) for place in places]
