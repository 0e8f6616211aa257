"""Logistic regression with an L2 penalty, solved to convergence on standardised features.

For rows x with labels y and weights v, the solver minimises

    sum of v * loss(y, sigmoid(w . x + b))  +  strength / 2 * |w|^2

where `loss` is the binary cross-entropy. The bias b has no penalty. All arithmetic is in float64,
and no step is random. Several problems on the same rows, such as the folds of a cross-validation,
differ only in their weights and are solved together, since each pass over the rows serves them all.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.optimize import minimize
from scipy.special import expit

from nsfwtrain.model.head import Weights

Array = NDArray[np.float64]

_MEMORY = 30  # steps that L-BFGS remembers
_CONSTANT = 1e-6  # a feature that varies less than this, relative to its size, is constant


class Block(NamedTuple):
    """Some of the rows.

    Attributes
    ----------
    inputs
        float64 (rows, features + 1), from `Standardisation.apply`.
    positive
        bool (rows,): which rows have label 1.
    weights
        float64 (rows, problems), 0 or more.
    """

    inputs: Array
    positive: NDArray[np.bool_]
    weights: Array


Blocks = Callable[[], Iterable[Block]]
"""Yields all rows; called once for each pass."""


@dataclass(frozen=True)
class Standardisation:
    """Mean and deviation of each feature, float64 (features,). The deviation of a constant is inf.

    A constant feature becomes 0, and its weight stays 0.
    """

    mean: Array
    deviation: Array

    @classmethod
    def of(cls, features: NDArray[np.floating]) -> Self:
        """Measure features (rows, features)."""
        mean = features.mean(axis=0, dtype=np.float64)
        deviation = features.std(axis=0, dtype=np.float64)
        deviation[deviation <= _CONSTANT * np.abs(mean)] = np.inf
        return cls(mean, deviation)

    def apply(self, features: NDArray[np.floating]) -> Array:
        """Standardise features (rows, features), and append a column of ones for the bias."""
        inputs = np.ones((len(features), len(self.mean) + 1))
        np.subtract(features, self.mean, out=inputs[:, :-1])
        inputs[:, :-1] /= self.deviation
        return inputs

    def fold(self, coefficients: Array) -> Weights:
        """Return the head on the features themselves that equals coefficients (features + 1,)."""
        kernel = coefficients[:-1] / self.deviation
        bias = coefficients[-1] - kernel @ self.mean
        return kernel[:, np.newaxis].astype(np.float32), np.array([bias], np.float32)


@dataclass(frozen=True)
class Solution:
    """The solution of one or more problems.

    Attributes
    ----------
    coefficients
        float64 (features + 1, problems); the last row is the bias.
    iterations
        Number of steps.
    """

    coefficients: Array
    iterations: int


@dataclass(frozen=True)
class Axes:
    """The principal axes of standardised features.

    Attributes
    ----------
    directions
        float64 (features, axes), orthonormal. There are no more axes than rows: the weights of a
        penalised solution are a combination of the rows.
    variances
        float64 (axes,), 0 or more.
    """

    directions: Array
    variances: Array

    @classmethod
    def of(cls, inputs: Array) -> Self:
        """Compute the axes of `Block.inputs`."""
        features = inputs[:, :-1]
        rows, width = features.shape
        if rows >= width:
            variances, directions = eigh(features.T @ features / rows, driver="evd")
            return cls(directions, np.maximum(variances, 0))
        variances, left = eigh(features @ features.T / rows, driver="evd")
        kept = variances > _CONSTANT**2 * variances[-1]
        variances = variances[kept]
        return cls(features.T @ (left[:, kept] / np.sqrt(rows * variances)), variances)


def solve(
    blocks: Blocks,
    strength: float,
    axes: Axes,
    *,
    start: Array,
    tolerance: float = 1e-8,
    limit: int = 1000,
) -> Solution:
    """Solve the problems of the rows in `blocks`.

    L-BFGS (Liu and Nocedal, 1989) runs in scaled coordinates along the principal axes, in which the
    second derivative is nearly the identity, since that of the loss is at most a quarter. It then
    takes a third to a sixth of the steps.

    Parameters
    ----------
    strength
        Of the penalty, above 0. The best one hardly depends on the number of rows.
    axes
        Those of the rows, or of a sample with more rows than features.
    start
        float64 (features + 1, problems): coefficients to start from.
    tolerance
        Largest element of the gradient at the end, in the scaled coordinates, for the mean loss.
    limit
        Largest number of steps.
    """
    rows = sum(len(block.positive) for block in blocks())
    penalty = np.full((len(start), 1), strength / rows)
    penalty[-1] = 0  # the bias
    scale = np.sqrt(axes.variances / 4 + strength / rows)[:, np.newaxis]

    def to_coefficients(scaled: Array) -> Array:
        return np.concatenate([axes.directions @ (scaled[:-1] / scale), 2 * scaled[-1:]])

    def objective(flat: Array) -> tuple[float, Array]:
        coefficients = to_coefficients(flat.reshape(-1, start.shape[1]))
        loss = float((penalty * coefficients**2).sum()) / 2
        gradient = penalty * coefficients
        for inputs, positive, weights in blocks():
            margins = inputs @ coefficients
            loss += float((weights * cross_entropy(margins, positive)).sum()) / rows
            errors = weights * (expit(margins) - positive[:, np.newaxis])
            gradient += inputs.T @ errors / rows
        scaled = np.concatenate([axes.directions.T @ gradient[:-1] / scale, 2 * gradient[-1:]])
        return loss, scaled.ravel()

    begin = np.concatenate([axes.directions.T @ start[:-1] * scale, start[-1:] / 2])
    options = {
        "gtol": tolerance, "ftol": 0, "maxcor": _MEMORY, "maxiter": limit, "maxfun": 2 * limit,
    }  # fmt: skip
    found = minimize(objective, begin.ravel(), jac=True, method="L-BFGS-B", options=options)
    return Solution(to_coefficients(found.x.reshape(-1, start.shape[1])), int(found.nit))


def mean_loss(blocks: Blocks, coefficients: Array) -> float:
    """Compute the weighted mean of the loss over all rows and problems."""
    total = loss = 0.0
    for inputs, positive, weights in blocks():
        loss += float((weights * cross_entropy(inputs @ coefficients, positive)).sum())
        total += float(weights.sum())
    return loss / total


def cross_entropy(margins: Array, positive: NDArray[np.bool_]) -> Array:
    """Compute the loss of each margin (rows, problems): the logit of the predicted probability."""
    return np.logaddexp(0, np.where(positive[:, np.newaxis], -margins, margins))
