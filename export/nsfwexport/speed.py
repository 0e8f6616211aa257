"""Measure how long models take for an image on one thread."""

import time
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from nsfwscan import Classifier
from nsfwscan.decoding.pixels import Pixels


def durations(
    models: Mapping[str, Classifier], pixels: Mapping[str, Pixels], rounds: int
) -> dict[str, NDArray[np.float64]]:
    """Time each model `rounds` times on one image, in turns, so that all meet the same load.

    Parameters
    ----------
    models
        The models, each on one thread.
    pixels
        For each model uint8 (N, S, S, 3), N at least 1. The images are taken in turn.
    rounds
        How often each model runs, 1 or more, after one run that is not counted.

    Returns
    -------
    dict
        For each model float64 (rounds,), in milliseconds.
    """
    times: dict[str, list[float]] = {name: [] for name in models}
    for i in range(rounds + 1):
        for name, model in models.items():
            at = i % len(pixels[name])
            begun = time.perf_counter()
            model.predict(pixels[name][at : at + 1])
            times[name].append(1e3 * (time.perf_counter() - begun))
    return {name: np.array(found[1:]) for name, found in times.items()}
