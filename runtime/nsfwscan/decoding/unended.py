"""Decide whether a JPEG without its end marker has all of its image."""

from collections.abc import Callable

from PIL import Image, ImageChops

_END_OF_IMAGE = b"\xff\xd9"
_PROGRESSIVE, _SCAN = b"\xff\xc2", b"\xff\xda"
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
    if _PROGRESSIVE in data and data.count(_SCAN) > 1:
        return 0
    whole = load(ended(data))
    for tail in _TAILS:
        box = ImageChops.difference(whole, load(ended(data[:-tail]))).getbbox()
        if box is not None:
            return max(0, whole.height - box[1] - _BLOCK_ROWS)
    return 0
