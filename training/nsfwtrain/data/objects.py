"""Check that a store still has the images of a split, as they were when they were read.

A cache keeps the arrays of an image after its object is lost. So the size and the modification time
of each object are kept beside the arrays. An object with other ones is read again, to compare its
hash; one that has not been read before only has to exist.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from nsfwscan.dataset.objects import object_path, read_object
from nsfwscan.errors import StoreError
from nsfwscan.reports.progress import Progress, no_progress
from nsfwtrain.data.arrays import ArrayCache

Stamp = tuple[int, int]
"""Size in bytes and modification time in nanoseconds."""

_BLOCK = 4096  # objects checked at once


class Stamps:
    """The stamps of a store's objects whose hashes were right, in a folder of caches."""

    def __init__(self, root: Path, store: Path) -> None:
        key = {"kind": "stamps", "store": str(store.resolve())}
        self.cache = ArrayCache(root, key, (2,), np.int64)

    def get(self, object_ids: list[str]) -> dict[str, Stamp]:
        """Return the stamps of the objects that have one."""
        known = [name for name in object_ids if name.partition(".")[0] in self.cache]
        stamps = self.cache.get([name.partition(".")[0] for name in known])
        return {
            name: (size, time) for name, (size, time) in zip(known, stamps.tolist(), strict=True)
        }

    def add(self, stamps: Mapping[str, Stamp]) -> None:
        """Keep stamps in place of earlier ones."""
        if stamps:
            self.cache.add(
                [name.partition(".")[0] for name in stamps], np.array([*stamps.values()])
            )


def stamp_of(store: Path, object_id: str) -> Stamp:
    """Return the stamp of an object.

    Raises
    ------
    StoreError
        If there is no such object.
    """
    path = object_path(store, object_id)
    try:
        found = path.stat()
    except OSError as error:
        raise StoreError(f"object {object_id}: cannot read {path}: {error.strerror}") from error
    return found.st_size, found.st_mtime_ns


def lost_objects(
    frame: pd.DataFrame,
    store: Path,
    cache_root: Path,
    *,
    skip_bad: bool = False,
    progress: Progress = no_progress,
) -> dict[str, str]:
    """Find the images that are no longer in a store, or have changed there.

    Parameters
    ----------
    frame
        A label or split frame.
    cache_root
        The folder of the caches.
    skip_bad
        Return such images, instead of raising.

    Returns
    -------
    dict
        The reason for each object ID.

    Raises
    ------
    StoreError
        If there are such images, unless `skip_bad`. The message has their number and the first.
    CacheError
        If the cache cannot be used.
    """
    names = frame["objectId"].tolist()
    stamps = Stamps(cache_root, store)
    lost: dict[str, str] = {}
    with stamps.cache, progress("checking the store", len(names)) as advance:
        for start in range(0, len(names), _BLOCK):
            block = names[start : start + _BLOCK]
            known, fresh = stamps.get(block), dict[str, Stamp]()
            for name in block:
                try:
                    now = stamp_of(store, name)
                    if known.get(name) != now:
                        read_object(store, name)
                        fresh[name] = now
                except StoreError as error:
                    lost[name] = str(error)
            stamps.add(fresh)
            advance(start + len(block))
    if lost and not skip_bad:
        raise StoreError(
            f"{store} no longer has {len(lost):,} of {len(names):,} images of the split, or has "
            f"changed ones; the first: {next(iter(lost.values()))}; import their files again, or "
            "skip such images with --skip-bad"
        )
    return lost
