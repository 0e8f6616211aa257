"""Perceptual hashes: those of similar images differ in few of their 64 bits."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from nsfwscan.decoding.pixels import Pixels

NEAR = 4
"""Number of bits, of 64, by which the hashes of near-duplicates may differ."""

HASH_SIDE = 9
"""Side in pixels of the images that are hashed."""

_BLOCK = 1 << 22  # pairs that are compared at once


def difference_hashes(pixels: Pixels) -> NDArray[np.uint64]:
    """Compute the hashes of small images.

    Each bit says whether a pixel of the first eight rows is darker than its right neighbour
    ("dHash", N. Krawetz, 2013, which resizes to 9 x 8).

    Parameters
    ----------
    pixels
        uint8, (N, 9, 9, 3), RGB.

    Returns
    -------
    numpy.ndarray
        uint64, (N,).
    """
    grey = pixels.astype(np.int32).sum(axis=3)
    bits = grey[:, :8, :-1] < grey[:, :8, 1:]
    return np.packbits(bits.reshape(-1, 64), axis=1).view(">u8")[:, 0].astype(np.uint64)


def near(
    hashes: NDArray[np.uint64],
    distance: int = NEAR,
    advance: Callable[[int], object] = lambda _done: None,
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]]:
    """Compare all pairs of hashes, in blocks.

    Parameters
    ----------
    hashes
        uint64, (N,).
    distance
        Most bits that differ, 0 to 64.
    advance
        Called with the number of hashes that have been compared with all later ones.

    Yields
    ------
    tuple of numpy.ndarray
        The positions i < j of near hashes, sorted, and the number of bits that differ.
    """
    rows = max(1, _BLOCK // max(1, len(hashes)))
    for start in range(0, len(hashes), rows):
        bits = np.bitwise_count(hashes[start : start + rows, None] ^ hashes[start:])
        first, second = np.nonzero(np.triu(bits <= distance, 1))
        yield first + start, second + start, bits[first, second]
        advance(min(start + rows, len(hashes)))
