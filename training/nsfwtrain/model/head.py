"""The head of a model: a weight for each feature, and a bias."""

import numpy as np
from numpy.typing import NDArray

Weights = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Kernel, float32 (features, 1), and bias, float32 (1,)."""


def initial_head(feature_dim: int, seed: int) -> Weights:
    """Draw the first weights: Glorot uniform (Glorot and Bengio, 2010), and a bias of zero."""
    limit = np.sqrt(6 / (feature_dim + 1))
    kernel = np.random.default_rng(seed).uniform(-limit, limit, (feature_dim, 1))
    return kernel.astype(np.float32), np.zeros(1, np.float32)
