"""Turn a split and a store into arrays; decode each image and compute its features only once."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nsfwscan import ImageError, Preprocess, decode
from nsfwscan.dataset.labels import LABELS, PARTS, Part
from nsfwscan.dataset.objects import read_object
from nsfwscan.decoding.pixels import Pixels
from nsfwscan.errors import StoreError
from nsfwscan.reports.progress import Progress, no_progress
from nsfwscan.util.parallel import available_cores, map_ahead
from nsfwtrain.data.arrays import ArrayCache
from nsfwtrain.data.objects import Stamp, Stamps, stamp_of
from nsfwtrain.data.tables import sha1s, targets

Batches = Iterator[tuple[NDArray[Any], NDArray[np.float32]]]
"""Arrays (N, ...) and labels (N,)."""


def pixels_cache(root: Path, preprocess: Preprocess) -> ArrayCache:
    """Open the cache of decoded and resized images."""
    key = {"kind": "pixels", "preprocess": asdict(preprocess)}
    side = preprocess.size
    return ArrayCache(root, key, (side, side, 3), np.uint8)


def _is_cached(frame: pd.DataFrame, cache: ArrayCache) -> NDArray[np.bool_]:
    return np.array([sha1 in cache for sha1 in sha1s(frame)], bool)


def missing(frame: pd.DataFrame, cache: ArrayCache) -> list[str]:
    """List the object IDs of a label or split frame that are not in a cache."""
    return frame.loc[~_is_cached(frame, cache), "objectId"].tolist()


def fill(
    cache: ArrayCache,
    store: Path,
    object_ids: Sequence[str],
    preprocess: Preprocess,
    compute: Callable[[Pixels], NDArray[Any]],
    *,
    batch_size: int = 16,
    skip_bad: bool = False,
    label: str = "preparing images",
    progress: Progress = no_progress,
) -> dict[str, str]:
    """Compute arrays and cache them. Each core decodes a batch and computes its arrays.

    Parameters
    ----------
    object_ids
        The images, none of which is in the cache.
    compute
        From uint8 (N, S, S, 3) to N arrays. Several threads call it at once.
    skip_bad
        Leave out images that cannot be read or decoded, instead of raising.
    label
        The name of the work, for the progress.

    Returns
    -------
    dict
        The reason for each object ID that was left out.

    Raises
    ------
    StoreError
        If an image cannot be read or decoded, unless `skip_bad`.
    CacheError
        If the cache cannot be written.
    """
    cores = available_cores()
    bad: dict[str, str] = {}
    done = 0

    def work(chunk: Sequence[str]) -> tuple[dict[str, Stamp], NDArray[Any] | None, dict[str, str]]:
        loaded = {object_id: _load(store, preprocess, object_id) for object_id in chunk}
        failed = {name: result for name, result in loaded.items() if isinstance(result, str)}
        usable = {name: result for name, result in loaded.items() if not isinstance(result, str)}
        pixels = [pixels for pixels, _ in usable.values()]
        arrays = compute(np.stack(pixels)) if pixels else None
        return {name: stamp for name, (_, stamp) in usable.items()}, arrays, failed

    chunks = [object_ids[i : i + batch_size] for i in range(0, len(object_ids), batch_size)]
    results = map_ahead(work, chunks, workers=cores, window=2 * cores)
    stamps = Stamps(cache.root, store)
    with cache, stamps.cache, closing(results), progress(label, len(object_ids)) as advance:
        for chunk, (usable, arrays, failed) in zip(chunks, results, strict=True):
            if arrays is not None:
                cache.add([name.partition(".")[0] for name in usable], arrays)
                stamps.add(usable)
            for reason in failed.values():
                if not skip_bad:
                    raise StoreError(f"{reason}; fix it, or skip such images with --skip-bad")
            bad |= failed
            done += len(chunk)
            advance(done)
    return bad


def _load(store: Path, preprocess: Preprocess, object_id: str) -> tuple[Pixels, Stamp] | str:
    """Return the pixels and the stamp, or the reason why the image is unusable."""
    try:
        stamp = stamp_of(store, object_id)  # first: a change while it is read changes the stamp
        pixels: Pixels = decode(read_object(store, object_id), preprocess).pixels[0]
    except StoreError as error:
        return str(error)
    except ImageError as error:
        return f"object {object_id} is not a usable image: {error.detail}"
    return pixels, stamp


@dataclass(frozen=True)
class Data:
    """The examples of a training: the usable rows of each part, and their arrays.

    Attributes
    ----------
    arrays
        The cache, with an array for each row.
    parts
        A label frame for each part of the split.
    """

    arrays: ArrayCache
    parts: dict[Part, pd.DataFrame]

    def batches(
        self, part: Part, batch_size: int, indices: NDArray[np.int64] | None = None
    ) -> Batches:
        """Yield arrays and labels in batches, read ahead on other threads.

        Parameters
        ----------
        batch_size
            Rows of a batch; the last batch may be shorter.
        indices
            int64 (M,), the row numbers in the order of the batches. None: all rows, in order.
        """
        frame = self.parts[part]
        hashes, values = sha1s(frame).to_numpy(), targets(frame)
        order = np.arange(len(frame)) if indices is None else indices

        def read(chosen: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[np.float32]]:
            return self.arrays.get(hashes[chosen].tolist()), values[chosen]

        chunks = (order[i : i + batch_size] for i in range(0, len(order), batch_size))
        return map_ahead(read, chunks, workers=2, window=3)


def collect(split: pd.DataFrame, arrays: ArrayCache, parts: Sequence[Part] = PARTS) -> Data:
    """Collect the rows of each part whose arrays are in a cache.

    Raises
    ------
    StoreError
        If a part has no image of one of the labels.
    """
    usable = split[_is_cached(split, arrays)]
    found: dict[Part, pd.DataFrame] = {}
    for part in parts:
        rows = usable[usable["type"] == part].drop(columns="type").reset_index(drop=True)
        for value in LABELS:
            if not (rows["value"] == value).any():
                raise StoreError(
                    f"the part {part} of the split has no usable image of label {value}; "
                    "add images, or split again"
                )
        found[part] = rows
    return Data(arrays, found)


def order(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Draw the order of the examples in an epoch; seed and epoch determine it."""
    return np.random.default_rng([seed, epoch]).permutation(count)
