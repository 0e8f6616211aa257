"""From a split and a store to arrays: each image is decoded once, and its features made once."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsfwscan import ImageError, Preprocess, decode
from nsfwscan.dataset.labels import LABELS, PARTS, Assigned, Label, Part
from nsfwscan.dataset.objects import read_object
from nsfwscan.decoding.pixels import Pixels
from nsfwscan.errors import StoreError
from nsfwscan.util.parallel import available_cores, map_ahead
from nsfwtrain.data.arrays import ArrayCache

Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Shows a label and a total while it lasts, and gives what to tell how much is done."""


def no_progress(_label: str, _total: int) -> AbstractContextManager[Callable[[int], None]]:
    """Show nothing."""
    return nullcontext(lambda _done: None)


@dataclass(frozen=True)
class Examples:
    """The usable images of one part of a split.

    Attributes
    ----------
    rows
        What they are labelled, in file order.
    values
        float32 (N,), their labels, 0 or 1.
    """

    rows: tuple[Label, ...]
    values: NDArray[np.float32]

    def __len__(self) -> int:
        """Count them."""
        return len(self.rows)


def features_cache(
    root: Path, backbone: str, preprocess: Preprocess, feature_dim: int
) -> ArrayCache:
    """Open the cache of the features that a backbone makes of images."""
    key = {"kind": "features", "backbone": backbone, "preprocess": asdict(preprocess)}
    return ArrayCache(root, key, (feature_dim,), np.float32)


def pixels_cache(root: Path, preprocess: Preprocess) -> ArrayCache:
    """Open the cache of decoded and resized images."""
    key = {"kind": "pixels", "preprocess": asdict(preprocess)}
    side = preprocess.size
    return ArrayCache(root, key, (side, side, 3), np.uint8)


def missing(rows: Sequence[Assigned], cache: ArrayCache) -> list[Label]:
    """List the images of which a cache has nothing yet."""
    return [row.label for row in rows if row.label.sha1 not in cache]


def fill(
    cache: ArrayCache,
    store: Path,
    labels: Sequence[Label],
    preprocess: Preprocess,
    make: Callable[[Pixels], NDArray[Any]],
    *,
    batch_size: int = 16,
    skip_bad: bool = False,
    progress: Progress = no_progress,
) -> dict[str, str]:
    """Make and cache arrays: each core decodes a batch and makes its arrays.

    Parameters
    ----------
    cache
        Where the arrays go.
    store, labels
        The images, none of which is in the cache.
    preprocess
        From bytes to pixels.
    make
        From uint8 (N, S, S, 3) to N arrays. It runs on several threads at once.
    batch_size
        Images that a core decodes, and gives to `make`, at a time.
    skip_bad
        Leave out what cannot be read or decoded, instead of raising.
    progress
        Shows how many images are done.

    Returns
    -------
    dict
        Object IDs that were left out, and why.

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

    def work(chunk: Sequence[Label]) -> tuple[list[str], NDArray[Any] | None, dict[str, str]]:
        sha1s, pixels, failed = [], [], {}
        for label in chunk:
            loaded = _load(store, preprocess, label.object_id)
            if isinstance(loaded, str):
                failed[label.object_id] = loaded
            else:
                sha1s.append(label.sha1)
                pixels.append(loaded)
        return sha1s, make(np.stack(pixels)) if pixels else None, failed

    chunks = [labels[i : i + batch_size] for i in range(0, len(labels), batch_size)]
    results = map_ahead(work, chunks, workers=cores, window=2 * cores)
    with cache, closing(results), progress("preparing images", len(labels)) as advance:
        for chunk, (sha1s, arrays, failed) in zip(chunks, results, strict=True):
            if arrays is not None:
                cache.add(sha1s, arrays)
            for why in failed.values():
                if not skip_bad:
                    raise StoreError(f"{why}; mend it, or leave such out with --skip-bad")
            bad |= failed
            done += len(chunk)
            advance(done)
    return bad


def _load(store: Path, preprocess: Preprocess, object_id: str) -> Pixels | str:
    """Give the pixels, or say why there are none."""
    try:
        pixels: Pixels = decode(read_object(store, object_id), preprocess).pixels[0]
    except StoreError as error:
        return str(error)
    except ImageError as error:
        return f"object {object_id} is no image that can be used: {error.detail}"
    return pixels


def by_part(
    rows: Sequence[Assigned], cache: ArrayCache, parts: Sequence[Part] = PARTS
) -> dict[Part, Examples]:
    """Gather what is in a cache, by part of the split.

    Raises
    ------
    StoreError
        If a part has no image of one of the labels.
    """
    found: dict[Part, Examples] = {}
    for part in parts:
        labels = [row.label for row in rows if row.part == part and row.label.sha1 in cache]
        for value in LABELS:
            if not any(label.value == value for label in labels):
                raise StoreError(
                    f"the part {part} of the split has no usable image of label {value}; "
                    "add some, or split anew"
                )
        values = np.array([label.value for label in labels], np.float32)
        found[part] = Examples(tuple(labels), values)
    return found


def order(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Give the order in which an epoch takes the examples: the same for the same seed."""
    return np.random.default_rng([seed, epoch]).permutation(count)


def batches(
    examples: Examples, cache: ArrayCache, batch_size: int, indices: NDArray[np.int64]
) -> Iterator[tuple[NDArray[Any], NDArray[np.float32]]]:
    """Yield arrays and labels in batches, the last short one included, read ahead of their use."""

    def read(chosen: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[np.float32]]:
        return cache.get([examples.rows[i].sha1 for i in chosen]), examples.values[chosen]

    chunks = (indices[i : i + batch_size] for i in range(0, len(indices), batch_size))
    return map_ahead(read, chunks, workers=2, window=3)
