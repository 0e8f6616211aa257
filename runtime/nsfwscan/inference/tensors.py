"""Convert pixels to a model's input, and its output to probabilities, as its manifest describes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsfwscan.decoding.pixels import Pixels
from nsfwscan.inference.manifest import InputSpec, OutputSpec

Probabilities = NDArray[np.float32]

_ROUNDING = 1e-5  # largest error of a softmax in single precision


def to_tensor(pixels: Pixels, spec: InputSpec) -> NDArray[Any]:
    """Convert pixels to a model's input.

    Parameters
    ----------
    pixels
        uint8, (N, S, S, 3), RGB, 0-255.
    spec
        The input's description.

    Returns
    -------
    numpy.ndarray
        Of the spec's dtype, (N, S, S, 3) or (N, 3, S, S), contiguous.
    """
    tensor: NDArray[Any] = pixels.take([2, 1, 0], axis=-1) if spec.channels == "BGR" else pixels
    if spec.normalises:
        count, height, width, _ = pixels.shape
        # Use whole rows: broadcasting over three channels is six times slower in NumPy.
        mean, scale = np.tile(np.array([spec.mean, spec.scale], np.float32), width)
        rows = tensor.reshape(count, height, -1)
        rows = np.subtract(rows, mean, dtype=np.float32)
        if spec.scale != (1.0, 1.0, 1.0):
            rows *= scale
        tensor = rows.reshape(pixels.shape)
    if spec.layout == "NCHW":
        tensor = tensor.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(tensor, dtype=spec.dtype)


def to_probability(out: NDArray[Any], spec: OutputSpec) -> Probabilities:
    """Convert a model's output to probabilities of the positive class.

    Parameters
    ----------
    out
        Floats, (N,) or (N, columns).
    spec
        The column, and the activation to apply.

    Returns
    -------
    numpy.ndarray
        float32, (N,). In [0, 1] if the spec matches the model; rounding errors are clipped.
    """
    table = out.reshape(len(out), -1).astype(np.float32)
    if spec.activation == "softmax":
        table = np.exp(table - table.max(axis=1, keepdims=True))
        table /= table.sum(axis=1, keepdims=True)
    scores = table[:, spec.column]
    if spec.activation == "sigmoid":
        # The exponent is never positive, so that the result does not overflow.
        small = np.exp(-np.abs(scores))
        scores = np.where(scores >= 0, 1 / (1 + small), small / (1 + small))
    near = (scores > -_ROUNDING) & (scores < 1 + _ROUNDING)
    return np.where(near, np.clip(scores, 0, 1), scores).astype(np.float32)
