"""Compare the weights of a Keras model with those in the graph of its ONNX file, value by value.

Scores and features cannot show every wrong weight. One weight of a late convolution that is wrong
by 1 % changes the features of a trained B0 by less than rounding does.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import numpy_helper

Array = NDArray[np.float32]

TOLERANCE = 1e-5
"""Largest relative difference of a weight; folding a batch normalization rounds by about 1e-7."""

_SMALL = 1e-6  # weights below this share of the largest one of their tensor count as zero
_SAMPLE = 64  # output channels that decide whether two kernels are the same


@dataclass(frozen=True)
class WeightComparison:
    """The weights of a model, compared with those in a graph.

    Attributes
    ----------
    tensors
        Number of kernels and biases that can be compared.
    found
        Number of tensors that the graph contains.
    values
        Number of values in these.
    wrong
        Number of values that differ by more than `TOLERANCE`.
    largest
        Largest relative difference of a value.
    """

    tensors: int
    found: int
    values: int
    wrong: int
    largest: float

    @property
    def holds(self) -> bool:
        """Whether all values found are within the tolerance."""
        return self.wrong == 0


def compare_weights(
    weights: Sequence[Array], model: Any, biases: tuple[float, float] = (0.0, 0.0)
) -> WeightComparison:
    """Find the kernels and biases of a model in a graph, and compare their values.

    The converter folds a batch normalization into the convolution before it. So each output channel
    of a convolution may have a factor. A tensor counts as found if most of its values agree. Other
    tensors are not compared: those of a normalization, which are folded, and those of layers that
    the converter rewrites.

    Parameters
    ----------
    weights
        The weights of the Keras model, in its layouts: convolutions (H, W, in, out), depthwise
        convolutions (H, W, channels, multiplier), dense layers (in, out), biases (out,).
    model
        An `onnx.ModelProto` in single precision.
    biases
        The bias of the last layer in the Keras model and in the graph. A single value has no
        others that would identify it.
    """
    graph: dict[tuple[int, ...], list[Array]] = {}
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32 and values.ndim in {1, 2, 4}:
            for rows in _given(values):
                graph.setdefault(rows.shape, []).append(rows)
    bias, other = biases
    found = [np.array([abs(bias - other) / max(abs(bias), float(np.finfo(np.float32).tiny))])]
    tensors = 1
    for weight in weights:
        errors = _errors(weight, graph)
        tensors += weight.ndim > 1 or errors is not None
        if errors is not None:
            found.append(errors.ravel())
    every = np.concatenate(found)
    return WeightComparison(
        tensors=tensors,
        found=len(found),
        values=every.size,
        wrong=int(np.sum(every > TOLERANCE)),
        largest=float(every.max()),
    )


def _given(values: Array) -> Iterator[Array]:
    """Return the layouts that an initializer may have, as (out, in) or (out, in, H, W)."""
    yield values.reshape(1, -1) if values.ndim == 1 else values
    if values.ndim == 2:
        yield values.T


def _expected(weight: Array) -> Iterator[Array]:
    """Return the ONNX layouts of a Keras weight."""
    if weight.ndim == 4:
        yield weight.transpose(3, 2, 0, 1)
        depthwise = weight.transpose(2, 3, 0, 1)
        yield depthwise.reshape(-1, 1, *depthwise.shape[2:])
    elif weight.ndim == 2:
        yield weight.T
    elif weight.ndim == 1:
        yield weight.reshape(1, -1)


def _errors(weight: Array, graph: dict[tuple[int, ...], list[Array]]) -> Array | None:
    """Return the relative errors of the values of a weight; None if the graph lacks it."""
    for kernel in _expected(weight):
        flat = kernel.reshape(len(kernel), -1)
        for candidate in graph.get(kernel.shape, ()):
            rows = candidate.reshape(flat.shape)
            scaled = weight.ndim == 4
            sample = _relative(flat[:_SAMPLE], rows[:_SAMPLE], scaled=scaled)
            # The offset of a normalization is almost that of the convolution it is folded into.
            same = sample <= (0 if weight.ndim == 1 else TOLERANCE)
            if np.mean(same) > 0.5 and flat.any():
                return _relative(flat, rows, scaled=scaled)
    return None


def _relative(kernel: Array, rows: Array, *, scaled: bool) -> Array:
    """Return the relative errors of `rows`, up to a factor for each row if `scaled`."""
    expected = kernel.astype(np.float64)
    if scaled:
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = np.where(kernel == 0, np.nan, rows / expected)
        factors = np.nan_to_num(_medians(ratios))
        expected *= factors[:, None]
    size = np.abs(expected)
    floor = max(_SMALL * size.max(), np.finfo(np.float32).tiny)
    errors: Array = np.abs(rows - expected) / np.maximum(size, floor)
    return errors


def _medians(ratios: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the median of each row without its NaN, or NaN for a row of NaN."""
    filled = np.sort(ratios, axis=1)  # NaN last
    count = np.sum(~np.isnan(ratios), axis=1)
    medians: NDArray[np.float64] = filled[np.arange(len(filled)), np.maximum(count - 1, 0) // 2]
    return medians
