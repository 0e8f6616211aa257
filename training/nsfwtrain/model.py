"""The whole model: pixels as they are in, the probability of label 1 out."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsfwtrain.keras import tf, tf_keras

Weights = tuple[NDArray[np.float32], NDArray[np.float32]]


def build_model(size: int, backbone: Any, head: Weights) -> Any:
    """Put a model together.

    Parameters
    ----------
    size
        Side in pixels of the square input.
    backbone
        A frozen layer from float32 (N, S, S, 3) in [0, 1] to features.
    head
        Kernel, float32 (features, 1), and bias, float32 (1,), of the last layer.

    Returns
    -------
    tf_keras.Sequential
        From ``image``, uint8 (N, S, S, 3), RGB, 0-255, to ``probability``, float32 (N, 1).
    """
    dense = tf_keras.layers.Dense(1, activation="sigmoid", name="probability")
    model = tf_keras.Sequential(
        [
            tf_keras.Input((size, size, 3), dtype="uint8", name="image"),
            tf_keras.layers.Rescaling(1 / 255),
            backbone,
            dense,
        ]
    )
    dense.set_weights(list(head))
    return model


def feature_function(size: int, backbone: Any) -> Any:
    """Give a compiled function from uint8 (N, S, S, 3) to float32 features, as in the model."""
    rescale = tf_keras.layers.Rescaling(1 / 255)

    def features(pixels: Any) -> Any:
        return backbone(rescale(pixels), training=False)

    return tf.function(features, [tf.TensorSpec((None, size, size, 3), tf.uint8)])


def initial_head(feature_dim: int, seed: int) -> Weights:
    """Draw the head's first weights: Glorot uniform (Glorot and Bengio, 2010), bias zero."""
    limit = np.sqrt(6 / (feature_dim + 1))
    kernel = np.random.default_rng(seed).uniform(-limit, limit, (feature_dim, 1))
    return kernel.astype(np.float32), np.zeros(1, np.float32)
