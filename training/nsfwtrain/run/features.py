"""Compute features: each image passes through the frozen backbone once, into a cache."""

import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsfwscan import Preprocess
from nsfwscan.util.parallel import available_cores
from nsfwtrain.data import examples
from nsfwtrain.data.arrays import ArrayCache
from nsfwtrain.model.classifier import feature_function
from nsfwtrain.model.keras import gpus, tf
from nsfwtrain.model.memory import BatchSize
from nsfwtrain.run.options import Options
from nsfwtrain.variants import Variant


def forward_batch() -> int:
    """Return the batch size of the backbone's forward pass.

    On a CPU each core has its own batch, which must stay in the core's cache (B0 on two cores: 93
    images a second in batches of 4, 79 in batches of 16).
    """
    return 32 if gpus() else 4


def open_cache(
    root: Path, variant: Variant, options: Options, fingerprint: str, preprocess: Preprocess
) -> ArrayCache:
    """Open the cache that the training reads: of pixels, or of a backbone's features."""
    if options.mode == "end-to-end":
        return examples.pixels_cache(root, preprocess)
    backbone = fingerprint + (" in mixed precision" if options.mixed_precision else "")
    key = {"kind": "features", "backbone": backbone, "preprocess": asdict(preprocess)}
    return ArrayCache(root, key, (variant.feature_dim,), np.float32)


def compile_features(
    side: int, layer: Any, say: Callable[[str], None]
) -> Callable[[Any], NDArray[Any]]:
    """Compile the function from pixels to features. Several threads may call it at once."""
    features = feature_function(side, layer)
    batch = BatchSize(forward_batch(), say)
    # On a GPU one batch is computed while the next is copied; on a CPU each core has its own batch.
    turns = threading.BoundedSemaphore(2 if gpus() else available_cores())

    def compute(pixels: Any) -> NDArray[Any]:
        def in_batches(size: int) -> NDArray[Any]:
            starts = range(0, len(pixels), size)
            return np.concatenate([features(tf.constant(pixels[i : i + size])) for i in starts])

        with turns:
            return batch.run(in_batches)

    compute(np.zeros((batch.size, side, side, 3), np.uint8))
    return compute
