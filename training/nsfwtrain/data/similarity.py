"""Find near-duplicates: images whose 64-bit perceptual hashes differ in few bits."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from nsfwscan import Preprocess, decode
from nsfwscan.decoding.pixels import Pixels
from nsfwtrain.data.arrays import ArrayCache
from nsfwtrain.data.examples import Progress, fill, missing, no_progress
from nsfwtrain.data.tables import sha1s

NEAR = 4
"""Default of the number of bits, of 64, by which the hashes of near-duplicates may differ."""

_THUMBNAIL = Preprocess(size=9, interpolation="box", jpeg_draft_margin=8)
_BLOCK = 1 << 22  # pairs that are compared at once


def difference_hash(data: bytes) -> int:
    """Compute a 64-bit perceptual hash: the hashes of similar images differ in few bits.

    The image is resized to 9 x 9 grey pixels. Each bit says whether a pixel of the first eight rows
    is darker than its right neighbour ("dHash", N. Krawetz, 2013, which resizes to 9 x 8).

    Raises
    ------
    ImageError
        If the image cannot be decoded.
    """
    return int(_hashes(decode(data, _THUMBNAIL).pixels[:1])[0])


def _hashes(pixels: Pixels) -> NDArray[np.uint64]:
    """Compute the hashes of thumbnails, uint8 (N, 9, 9, 3)."""
    grey = pixels.astype(np.int32).sum(axis=3)
    bits = grey[:, :8, :-1] < grey[:, :8, 1:]
    return np.packbits(bits.reshape(-1, 64), axis=1).view(">u8")[:, 0].astype(np.uint64)


def hash_cache(root: Path) -> ArrayCache:
    """Open the cache of perceptual hashes: uint64 (1,) for each object."""
    return ArrayCache(root, {"kind": "dhash", "preprocess": asdict(_THUMBNAIL)}, (1,), np.uint64)


def hashes_of(
    frame: pd.DataFrame,
    store: Path,
    cache_root: Path,
    *,
    skip_bad: bool = False,
    progress: Progress = no_progress,
) -> NDArray[np.uint64]:
    """Compute the hash of each row of a label or split frame, and cache it.

    Returns
    -------
    numpy.ndarray
        uint64 (N,). With `skip_bad`, an unusable image has the first 64 bits of its SHA-1, which
        are near no other hash.

    Raises
    ------
    StoreError, CacheError
        As `nsfwtrain.data.examples.fill`.
    """
    cache = hash_cache(cache_root)
    wanted = missing(frame, cache)
    fill(
        cache,
        store,
        wanted,
        _THUMBNAIL,
        lambda pixels: _hashes(pixels)[:, None],
        skip_bad=skip_bad,
        progress=progress,
    )
    names = sha1s(frame).to_numpy()
    cached = np.array([name in cache for name in names], bool)
    hashes = np.array([int(name[:16], 16) for name in names], np.uint64)
    hashes[cached] = cache.get(names[cached].tolist())[:, 0]
    return hashes


def groups(hashes: NDArray[np.uint64], distance: int = NEAR) -> NDArray[np.int64]:
    """Assign each image to a group of near-duplicates.

    Images are in one group if their hashes differ in at most `distance` bits, and so are the
    near-duplicates of near-duplicates. All pairs are compared, in blocks.

    Parameters
    ----------
    hashes
        uint64 (N,).
    distance
        0 to 64.

    Returns
    -------
    numpy.ndarray
        int64 (N,), the group of each image, from 0.
    """
    numbers = np.arange(len(hashes))
    for first, second, _ in _near(hashes, distance):
        edges = (numbers[first], numbers[second])
        shape = (len(hashes), len(hashes))
        joined = coo_array((np.ones(len(first), np.int8), edges), shape)
        numbers = connected_components(joined, directed=False)[1][numbers]
    return np.unique(numbers, return_inverse=True)[1].astype(np.int64)


def straddling(
    hashes: Sequence[tuple[str, str, int]], distance: int
) -> Iterator[tuple[str, str, int]]:
    """Find near-duplicates in different parts.

    Parameters
    ----------
    hashes
        Name, part and 64-bit hash of each image.
    distance
        Largest number of bits by which the hashes of near-duplicates differ.

    Yields
    ------
    tuple of str, str, int
        The two names, in the order of `hashes`, and the number of bits that differ.
    """
    names = [name for name, _, _ in hashes]
    parts = np.array([part for _, part, _ in hashes])
    values = np.array([value for _, _, value in hashes], np.uint64)
    for first, second, bits in _near(values, distance):
        apart = parts[first] != parts[second]
        pairs = zip(first[apart], second[apart], bits[apart], strict=True)
        yield from ((names[i], names[j], int(count)) for i, j, count in pairs)


def _near(
    hashes: NDArray[np.uint64], distance: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]]:
    """Yield the positions i < j of near hashes, sorted, and the bits that differ, in blocks."""
    rows = max(1, _BLOCK // max(1, len(hashes)))
    for start in range(0, len(hashes), rows):
        bits = np.bitwise_count(hashes[start : start + rows, None] ^ hashes[start:])
        first, second = np.nonzero(np.triu(bits <= distance, 1))
        yield first + start, second + start, bits[first, second]
