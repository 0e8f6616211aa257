"""Decide whether a JPEG without its end marker has all of its image."""

import re
from collections.abc import Callable

from PIL import Image, ImageChops

from nsfwscan.decoding.jpeg import START_OF_SCAN, segments

_END_OF_IMAGE = b"\xff\xd9"
_PROGRESSIVE, _SCAN = 0xC2, bytes([0xFF, START_OF_SCAN])
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""A marker that ends coded data: others are stuffed bytes, restarts and fill bytes."""
_TAILS = (2, 3, 4, 6, 8, 16, 64, 512)  # bytes
_BLOCK_ROWS = 16  # most rows of the blocks that are coded together


def ended(data: bytes) -> bytes:
    """Return a JPEG with an end marker."""
    return data + _END_OF_IMAGE


def missing_rows(data: bytes, load: Callable[[bytes], Image.Image]) -> int:
    """Return the number of image rows that a JPEG without its end marker lacks.

    The last bytes decide about the last blocks that are there, so the image changes there if these
    bytes are left out. In a progressive JPEG, later scans add detail to a whole image.

    Parameters
    ----------
    data
        The file.
    load
        Decodes a JPEG at its full size.
    """
    kind, start = _first_scan(data)
    if kind == _PROGRESSIVE and _SCAN in data[start:]:
        return 0
    after = _MARKER.search(data, start)
    coded = data[: after.start() if after else len(data)].rstrip(b"\xff")
    whole = load(ended(coded))
    for tail in _TAILS:
        box = ImageChops.difference(whole, load(ended(coded[:-tail]))).getbbox()
        if box is not None:
            return max(0, whole.height - box[1] - _BLOCK_ROWS)
    return 0


def _first_scan(data: bytes) -> tuple[int, int]:
    """Return the marker of the frame, and where the coded data of the first scan begins."""
    kind = start = 0
    for marker, _, start in segments(data):  # noqa: B007 - of the last one
        if 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC}:
            kind = marker
    return kind, start
