"""Convert pixels to a model's input, and its output to probabilities, as its manifest describes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsfwscan.decoding.pixels import Pixels
from nsfwscan.inference.manifest import InputSpec, OutputSpec

Probabilities = NDArray[np.float32]

_ROUNDING = 1e-5  # largest error of a softmax in single precision


@dataclass(frozen=True, slots=True)
class Predictions:
    """What a model says of N frames.

    Attributes
    ----------
    scores
        float32, (N,): the probability of the positive class in [0, 1], or NaN.
    classes
        float32, (N, K): the probabilities of the classes that the manifest names. None: it names
        none.
    """

    scores: Probabilities
    classes: NDArray[np.float32] | None = None

    def first(self, count: int) -> "Predictions":
        """Return those of the first frames."""
        classes = None if self.classes is None else self.classes[:count]
        return Predictions(self.scores[:count], classes)

    @staticmethod
    def joined(parts: "Sequence[Predictions]") -> "Predictions":
        """Concatenate one or more predictions of one model."""
        if len(parts) == 1:
            return parts[0]
        classes = [part.classes for part in parts if part.classes is not None]
        return Predictions(
            np.concatenate([part.scores for part in parts]),
            np.concatenate(classes) if classes else None,
        )


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


def to_predictions(out: NDArray[Any], spec: OutputSpec) -> Predictions:
    """Convert a model's output to probabilities.

    Parameters
    ----------
    out
        Floats, (N,) or (N, columns).
    spec
        The activation to apply, and how the columns become a score.

    Returns
    -------
    Predictions
        In [0, 1] if the spec matches the model; rounding errors are clipped.
    """
    table = _activated(out.reshape(len(out), -1).astype(np.float32), spec.activation)
    counted = table[:, list(spec.columns)]
    if spec.reduction == "maximum":
        scores = counted.max(axis=1)
    elif len(spec.columns) == 1:
        scores = counted[:, 0]
    else:
        scores = counted.sum(axis=1)
    if spec.reduction == "complement":
        scores = 1 - scores
    return Predictions(_clipped(scores), _clipped(table) if spec.classes else None)


def _activated(table: NDArray[np.float32], activation: str) -> NDArray[np.float32]:
    if activation == "softmax":
        table = np.exp(table - table.max(axis=1, keepdims=True))
        table /= table.sum(axis=1, keepdims=True)
    elif activation == "sigmoid":
        # The exponent is never positive, so that the result does not overflow.
        small = np.exp(-np.abs(table))
        table = np.where(table >= 0, 1 / (1 + small), small / (1 + small))
    return table


def _clipped(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Move to 0 and 1 what lies outside by no more than a rounding error."""
    near = (values > -_ROUNDING) & (values < 1 + _ROUNDING)
    return np.where(near, np.clip(values, 0, 1), values).astype(np.float32)
