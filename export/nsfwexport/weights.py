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
Errors = NDArray[np.float64]

TOLERANCE = 1e-5
"""Largest relative difference of a weight; folding a batch normalization rounds by about 1e-7."""

_SMALL = 1e-6  # weights below this share of the largest one of their tensor count as zero
_SAMPLE = 64  # output channels that decide whether two kernels are the same
_EPSILONS = (1e-3, 1e-5)  # of batch normalizations: Keras' default, and other libraries'


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

    @property
    def complete(self) -> bool:
        """Whether the graph contains all tensors."""
        return self.found == self.tensors


@dataclass(frozen=True)
class LastLayer:
    """A ``Dense(1, sigmoid)``: its kernel (F,) and its bias."""

    kernel: Array
    bias: float

    def errors(self, other: "LastLayer") -> Errors:
        """Return the relative errors of another layer's values, (F + 1,)."""
        if self.kernel.shape != other.kernel.shape:
            return np.array([np.inf])
        ours, theirs = (np.append(one.kernel, one.bias)[np.newaxis] for one in (self, other))
        errors: Errors = _relative(ours, theirs)[0]
        return errors


@dataclass(frozen=True)
class _Tensor:
    """An initializer, as (out, ...), and the bias of the convolution that takes it."""

    rows: Array
    bias: Array | None


def compare_weights(
    weights: Sequence[Array], model: Any, heads: tuple[LastLayer, LastLayer] | None = None
) -> WeightComparison:
    """Find the kernels and biases of a model in a graph, and compare their values.

    The converter folds a batch normalization into the convolution before it, so each output channel
    has a factor and an offset. They must be those of a normalization among the weights. A tensor
    counts as found if most of its values agree.

    Parameters
    ----------
    weights
        The weights of the Keras model without its head, in its layouts: convolutions (H, W, in,
        out), depthwise convolutions (H, W, channels, multiplier), dense layers (in, out), vectors
        (out,): biases, and the parameters of normalizations.
    model
        An `onnx.ModelProto` in single precision.
    heads
        The last layer in the Keras model and in the graph, if it is a ``Dense(1, sigmoid)``.
    """
    graph = _tensors(model)
    vectors: dict[int, list[Array]] = {}
    for weight in weights:
        if weight.ndim == 1:
            vectors.setdefault(len(weight), []).append(weight)
    found = [] if heads is None else [heads[0].errors(heads[1])]
    tensors = len(found)
    for weight in weights:
        errors = _errors(weight, graph, vectors)
        tensors += weight.ndim > 1 or errors is not None
        if errors is not None:
            found.append(errors)
    every = np.concatenate([*found, np.zeros(0)])
    return WeightComparison(
        tensors=tensors,
        found=len(found),
        values=every.size,
        wrong=int(np.sum(~(every <= TOLERANCE))),
        largest=float(every.max(initial=0)),
    )


def _tensors(model: Any) -> dict[tuple[int, ...], list[_Tensor]]:
    """Return the initializers by their shapes, in all layouts that they may have."""
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    biases = {
        node.input[1]: values.get(node.input[2])
        for node in model.graph.node
        if node.op_type == "Conv" and len(node.input) > 2
    }
    found: dict[tuple[int, ...], list[_Tensor]] = {}
    for name, tensor in values.items():
        if tensor.dtype == np.float32 and tensor.ndim in {1, 2, 4}:
            for rows in _given(tensor):
                found.setdefault(rows.shape, []).append(_Tensor(rows, biases.get(name)))
    return found


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


def _errors(
    weight: Array, graph: dict[tuple[int, ...], list[_Tensor]], vectors: dict[int, list[Array]]
) -> Errors | None:
    """Return the relative errors of the values of a weight; None if the graph lacks it."""
    for kernel in _expected(weight):
        flat = kernel.reshape(len(kernel), -1)
        for candidate in graph.get(kernel.shape, ()):
            rows = candidate.rows.reshape(flat.shape)
            factors = _factors(flat, rows) if weight.ndim == 4 else np.ones(len(flat))
            sample = _relative(factors[:_SAMPLE, None] * flat[:_SAMPLE], rows[:_SAMPLE])
            # The offset of a normalization is almost that of the convolution it is folded into.
            same = sample <= (0 if weight.ndim == 1 else TOLERANCE)
            if not (np.mean(same) > 0.5 and flat.any()):
                continue
            errors = _relative(factors[:, None] * flat, rows).ravel()
            if weight.ndim < 4:
                return errors
            folded = _folding_errors(factors, candidate.bias, vectors.get(len(flat), []))
            return None if folded is None else np.concatenate([errors, folded])
    return None


def _factors(kernel: Array, rows: Array) -> NDArray[np.float64]:
    """Return the factor of each output channel of `rows`: the median over its values."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(kernel == 0, np.nan, rows / kernel.astype(np.float64))
    filled = np.sort(ratios, axis=1)  # NaN last
    count = np.sum(~np.isnan(ratios), axis=1)
    medians: NDArray[np.float64] = filled[np.arange(len(filled)), np.maximum(count - 1, 0) // 2]
    return np.nan_to_num(medians)


def _folding_errors(
    factors: NDArray[np.float64], bias: Array | None, vectors: Sequence[Array]
) -> Errors | None:
    """Compare factors and bias of a convolution with those that the model's vectors give.

    The factor is 1, with one of the vectors as the bias, or that of a normalization, which is
    gamma / sqrt(variance + epsilon), with beta - mean * factor as the bias.

    Returns
    -------
    numpy.ndarray or None
        The relative errors, (channels,) or (2 * channels,). None if no vectors explain most of the
        values.
    """
    stack = np.array(list(vectors), np.float64).reshape(-1, len(factors))
    expected = np.ones_like(factors)
    folded = not _most(_relative(expected[None], factors[None]))
    if folded:
        found = _normalization(factors, stack)
        if found is None:
            return None
        expected = found
    errors: Errors = _relative(expected[None], factors[None])[0]
    if bias is None:
        return errors
    means = stack * expected if folded else np.zeros((1, len(factors)))
    some = slice(None, None, max(1, len(factors) // _SAMPLE))
    matches = np.mean(_offset_errors(stack[:, None, some], means[:, some], bias[some]) <= TOLERANCE,
                      axis=2)  # fmt: skip
    if not matches.size or matches.max() <= 0.5:
        return None
    beta, mean = np.unravel_index(matches.argmax(), matches.shape)
    return np.concatenate([errors, _offset_errors(stack[beta], means[mean], bias)])


def _offset_errors(betas: Errors, means: Errors, bias: Array) -> Errors:
    """Return the errors of a bias, relative to the two numbers whose difference it is."""
    size = np.maximum(np.abs(betas) + np.abs(means), np.finfo(np.float32).tiny)
    errors: Errors = np.abs(betas - means - bias) / size
    return errors


def _normalization(
    factors: NDArray[np.float64], vectors: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """Return the factors of the normalization that explains most of the given ones."""
    some = slice(None, None, max(1, len(factors) // _SAMPLE))
    best: NDArray[np.float64] | None = None
    share = 0.5
    for epsilon in _EPSILONS:
        with np.errstate(invalid="ignore", divide="ignore"):
            deviations = np.sqrt(vectors + epsilon)
            ratios = vectors[:, None, some] / deviations[None, :, some]
            same = np.abs(ratios / factors[some] - 1) <= TOLERANCE
        matches = same.mean(axis=2)
        if matches.size and matches.max() > share:
            share = float(matches.max())
            gamma, variance = np.unravel_index(matches.argmax(), matches.shape)
            best = vectors[int(gamma)] / deviations[int(variance)]
    return best


def _most(errors: Errors) -> bool:
    return bool(np.mean(errors <= TOLERANCE) > 0.5)


def _relative(expected: NDArray[Any], rows: NDArray[Any]) -> Errors:
    """Return the relative errors of `rows`, (out, values)."""
    size = np.abs(expected.astype(np.float64))
    floor = max(_SMALL * float(size.max(initial=0)), float(np.finfo(np.float32).tiny))
    errors: Errors = np.abs(rows - expected.astype(np.float64)) / np.maximum(size, floor)
    return errors
