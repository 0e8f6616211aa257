"""The model that a model file is compared with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nsfwexport.weights import LastLayer
from nsfwscan import Preprocess
from nsfwscan.decoding.pixels import Pixels

Scores = NDArray[np.float32]
Features = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A model to compare with.

    Attributes
    ----------
    name
        Its name, for messages.
    preprocess
        Its preprocessing.
    score
        From uint8 (N, S, S, 3) to probabilities, float32 (N,).
    with_features
        From uint8 (N, S, S, 3) to probabilities, float32 (N,), and features, float32 (N, F). None
        if the last layer is not a ``Dense(1, sigmoid)``.
    head
        The last layer, if there are features.
    weights
        The other weights as Keras lists them; empty if they are not to be compared.
    labels
        The names of label 0 and label 1; None if they are not to be compared.
    """

    name: str
    preprocess: Preprocess
    score: Callable[[Pixels], Scores]
    with_features: Callable[[Pixels], tuple[Scores, Features]] | None = None
    head: LastLayer | None = None
    weights: Sequence[NDArray[np.float32]] = ()
    labels: tuple[str, str] | None = None
