"""From a split and a store to arrays: each picture is decoded once, and its features made once."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsfwscan import PictureError, Preprocess, decode
from nsfwscan.parallel import available_cores, map_ahead
from nsfwscan.preprocess import Pixels
from nsfwtrain.arrays import ArrayCache
from nsfwtrain.errors import StoreError
from nsfwtrain.labels import LABELS, PARTS, Assigned, Part
from nsfwtrain.store import read_object

Done = Callable[[int, int], None]
"""Told, as work goes on, how many of how many pictures are done."""


@dataclass(frozen=True)
class Examples:
    """The usable pictures of one part of a split.

    Attributes
    ----------
    sha1s
        Their hashes, in file order.
    labels
        float32 (N,), 0 or 1.
    """

    sha1s: tuple[str, ...]
    labels: NDArray[np.float32]

    def __len__(self) -> int:
        """Count them."""
        return len(self.sha1s)


def features_cache(
    root: Path, backbone: str, preprocess: Preprocess, feature_dim: int
) -> ArrayCache:
    """Open the cache of the features that a backbone makes of pictures."""
    key = {"kind": "features", "backbone": backbone, "preprocess": asdict(preprocess)}
    return ArrayCache(root, key, (feature_dim,), np.float32)


def pixels_cache(root: Path, preprocess: Preprocess) -> ArrayCache:
    """Open the cache of decoded and resized pictures."""
    key = {"kind": "pixels", "preprocess": asdict(preprocess)}
    side = preprocess.size
    return ArrayCache(root, key, (side, side, 3), np.uint8)


def fill(
    cache: ArrayCache,
    store: Path,
    rows: Sequence[Assigned],
    preprocess: Preprocess,
    make: Callable[[Pixels], NDArray[Any]],
    *,
    batch_size: int,
    skip_bad: bool = False,
    done: Done = lambda _done, _total: None,
) -> dict[str, str]:
    """Make and cache what is missing.

    Parameters
    ----------
    cache
        Where the arrays go.
    store, rows
        The pictures.
    preprocess
        From bytes to pixels.
    make
        From uint8 (N, S, S, 3) to N arrays.
    batch_size
        Pictures given to `make` at a time.
    skip_bad
        Leave out what cannot be read or decoded, instead of raising.
    done
        Told of the progress.

    Returns
    -------
    dict
        Object IDs that were left out, and why.

    Raises
    ------
    StoreError
        If a picture cannot be read or decoded, unless `skip_bad`.
    CacheError
        If the cache cannot be written.
    """
    missing = [row.label.object_id for row in rows if row.label.sha1 not in cache]
    cores = available_cores()
    load = partial(_load, store, preprocess)
    bad: dict[str, str] = {}
    batch: list[tuple[str, Pixels]] = []

    def flush() -> None:
        if batch:
            arrays = make(np.stack([pixels for _, pixels in batch]))
            for (object_id, _), array in zip(batch, arrays, strict=True):
                cache.add(object_id.partition(".")[0], array)
            batch.clear()

    with cache:
        window = 2 * cores + batch_size
        loaded = map_ahead(load, missing, workers=cores, window=window)
        for count, (object_id, result) in enumerate(loaded, start=1):
            if isinstance(result, str):
                if not skip_bad:
                    raise StoreError(f"{result}; mend it, or leave such out with --skip-bad")
                bad[object_id] = result
            else:
                batch.append((object_id, result))
                if len(batch) == batch_size:
                    flush()
            done(count, len(missing))
        flush()
    cache.reload()
    return bad


def _load(store: Path, preprocess: Preprocess, object_id: str) -> tuple[str, Pixels | str]:
    try:
        data = read_object(store, object_id)
        return object_id, decode(data, preprocess).pixels[0]
    except StoreError as error:
        return object_id, str(error)
    except PictureError as error:
        return object_id, f"object {object_id} is no picture that can be used: {error.detail}"


def examples(
    rows: Sequence[Assigned], cache: ArrayCache, parts: Sequence[Part] = PARTS
) -> dict[Part, Examples]:
    """Gather what is in a cache, by part of the split.

    Raises
    ------
    StoreError
        If a part has no picture of one of the labels.
    """
    found: dict[Part, Examples] = {}
    for part in parts:
        labels = [row.label for row in rows if row.part == part and row.label.sha1 in cache]
        for value in LABELS:
            if not any(label.value == value for label in labels):
                raise StoreError(
                    f"the part {part} of the split has no usable picture of label {value}; "
                    "add some, or split anew"
                )
        values = np.array([label.value for label in labels], np.float32)
        found[part] = Examples(tuple(label.sha1 for label in labels), values)
    return found


def order(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Give the order in which an epoch takes the examples: the same for the same seed."""
    return np.random.default_rng([seed, epoch]).permutation(count)


def batches(
    examples: Examples, cache: ArrayCache, batch_size: int, indices: NDArray[np.int64]
) -> Iterator[tuple[NDArray[Any], NDArray[np.float32]]]:
    """Yield arrays and labels in batches, the last short one included."""
    for start in range(0, len(indices), batch_size):
        chosen = indices[start : start + batch_size]
        yield cache.get([examples.sha1s[i] for i in chosen]), examples.labels[chosen]
