"""Views of an image that is much longer than wide, which are scored besides the whole.

Resized to a square, a photo in a long page or in a strip becomes too narrow to recognise. Views are
the panels between two edges across the image, such as those of a photo in a page, and squares that
overlap, for what has no edges.
"""

import math

from PIL import Image, ImageChops

LONG = 2
"""Longer side / shorter side beyond which there are views. Phone screenshots are at 2.2."""

_LEAST_SIDE = 32  # pixels; a smaller view shows nothing

_STEP = 0.5
"""Distance of two squares / their side."""

_ROWS, _COLUMNS = 64, 32
"""Cells of the image that is searched for edges: along the longer side, for each length of the
shorter side, and along the shorter side."""

_EDGE = 30
"""Levels of 255 by which two rows next but one differ at an edge, on average, by measurement: lower
values divide photos, higher ones miss those with a pale border."""

_SHORTEST = 0.5
"""Length of a panel / shorter side, at least. At most, it is `LONG`."""

Box = tuple[float, float, float, float]
"""Left, upper, right and lower edge in pixels."""


def is_long(size: tuple[int, int]) -> bool:
    """Whether an image of this width and height has views."""
    return min(size) >= _LEAST_SIDE and max(size) > LONG * min(size)


def views_of(image: Image.Image, most: int) -> list[Box]:
    """Return the boxes of the panels and squares of an image, from one end to the other.

    Parameters
    ----------
    image
        The loaded image.
    most
        Most panels, and most squares. A longer image has gaps between the squares.
    """
    if most < 1 or not is_long(image.size):
        return []
    width, height = image.size
    side, length = min(image.size), max(image.size)
    room = length - side
    count = max(2, min(most, math.ceil(room / (_STEP * side)) + 1))
    places = [(room * i / (count - 1), room * i / (count - 1) + side) for i in range(count)]
    spans = sorted([*panels(edges_of(image, most), side, length), *places])
    if width > height:
        return [(start, 0, end, side) for start, end in spans]
    return [(0, start, side, end) for start, end in spans]


def edges_of(image: Image.Image, most: int) -> list[float]:
    """Return where a long image changes across its whole shorter side, in order, in pixels.

    Parameters
    ----------
    image
        The loaded image.
    most
        Most edges; the strongest ones.
    """
    length = max(image.size)
    rows = round(length / min(image.size) * _ROWS)
    across = image.width > image.height
    size = (rows, _COLUMNS) if across else (_COLUMNS, rows)
    cells = image.resize(size, Image.Resampling.BOX).convert("L")
    if across:
        cells = cells.transpose(Image.Transpose.TRANSPOSE)
    one, other = (cells.crop((0, top, _COLUMNS, top + rows - 2)) for top in (0, 2))
    apart = ImageChops.difference(one, other)
    found = apart.resize((1, rows - 2), Image.Resampling.BOX).tobytes()
    peaks: list[int] = []
    for i, value in enumerate(found):
        is_peak = value >= _EDGE and value == max(found[max(0, i - 2) : i + 3])
        if is_peak and not (peaks and i - peaks[-1] <= 2):
            peaks.append(i)
    strongest = sorted(peaks, key=lambda i: -found[i])[:most]
    return [(i + 1.5) * length / rows for i in sorted(strongest)]


def panels(edges: list[float], side: float, length: float) -> list[tuple[float, float]]:
    """Return start and end of what lies between two edges that follow each other.

    Panels that are too short are joined with the next one, and longer ones than `LONG` have none.
    """
    ends = [*edges, length]
    spans = []
    for start in [0.0, *edges]:
        end = next((end for end in ends if end - start >= _SHORTEST * side), None)
        if end is not None and end - start <= LONG * side:
            spans.append((start, end))
    return spans
