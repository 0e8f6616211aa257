"""Find near-duplicates: images whose 64-bit perceptual hashes differ in few bits."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from nsfwscan import Preprocess, decode
from nsfwscan.decoding.similarity import HASH_SIDE, NEAR, difference_hashes, near
from nsfwscan.reports.progress import Progress, no_progress
from nsfwtrain.data.arrays import ArrayCache
from nsfwtrain.data.examples import fill, missing
from nsfwtrain.data.tables import sha1s

_THUMBNAIL = Preprocess(size=HASH_SIDE, interpolation="box", jpeg_draft_margin=8)


def difference_hash(data: bytes) -> int:
    """Compute a 64-bit perceptual hash: the hashes of similar images differ in few bits.

    See `nsfwscan.decoding.similarity.difference_hashes`.

    Raises
    ------
    ImageError
        If the image cannot be decoded.
    """
    return int(difference_hashes(decode(data, _THUMBNAIL).pixels[:1])[0])


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
        lambda pixels: difference_hashes(pixels)[:, None],
        skip_bad=skip_bad,
        label="hashing images",
        progress=progress,
    )
    names = sha1s(frame).to_numpy()
    cached = np.array([name in cache for name in names], bool)
    hashes = np.array([int(name[:16], 16) for name in names], np.uint64)
    hashes[cached] = cache.get(names[cached].tolist())[:, 0]
    return hashes


def groups(
    hashes: NDArray[np.uint64], distance: int = NEAR, progress: Progress = no_progress
) -> NDArray[np.int64]:
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
    for first, second, _ in near_pairs(hashes, distance, progress):
        edges = (numbers[first], numbers[second])
        shape = (len(hashes), len(hashes))
        joined = coo_array((np.ones(len(first), np.int8), edges), shape)
        numbers = connected_components(joined, directed=False)[1][numbers]
    return np.unique(numbers, return_inverse=True)[1].astype(np.int64)


def near_pairs(
    hashes: NDArray[np.uint64], distance: int, progress: Progress = no_progress
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]]:
    """Find near-duplicates.

    Parameters
    ----------
    hashes
        uint64 (N,).
    distance
        Largest number of bits by which the hashes of near-duplicates differ.

    Yields
    ------
    tuple of numpy.ndarray
        The positions i < j of near hashes, sorted, and the bits that differ, in blocks.
    """
    with progress("searching near-duplicates", len(hashes)) as advance:
        yield from near(hashes, distance, advance)
