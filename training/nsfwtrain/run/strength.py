"""Choose the strength of the penalty on images that the head has not learned from.

A penalty that gives the best decisions is often too weak for good probabilities: the scores are too
sure. Each solution is therefore judged at its best scale, a factor of all its weights (C. Guo et
al., "On Calibration of Modern Neural Networks", 2017, temperature scaling).
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from nsfwtrain.model import logistic
from nsfwtrain.model.logistic import Array, Axes, Block

STRENGTHS = 10 ** np.arange(5, -3.1, -1 / 3)
"""The candidates, from the strongest; features are standardised."""

_PATIENCE = 3  # strengths without a lower loss, after which weaker ones are not tried
_AS_ACCURATE = 0.25  # standard errors below the best accuracy
_LEAST_SCALE = 0.02
_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Choice:
    """The chosen strength.

    Attributes
    ----------
    strength
        The strength.
    scale
        The factor of the solution's weights, at most 1, with the lowest held-out loss.
    coefficients
        float64 (features + 1, 1): the mean solution at this strength, to start from.
    margins
        float64 (rows,): of each held-out row, the mean margin by the problems that hold it out,
        times the scale; NaN of the other rows.
    history
        A row for each strength tried: ``strength``, ``scale``, ``iterations``, ``loss`` and
        ``accuracy`` over the images learned from, ``val_loss`` and ``val_accuracy`` over the
        others, ``seconds``, and ``chosen``, which is 1 in one row. Losses are at the scale.
    """

    strength: float
    scale: float
    coefficients: Array
    margins: Array
    history: pd.DataFrame


def choose_strength(
    inputs: Array,
    labels: NDArray[np.float32],
    weights: Array,
    held_out: NDArray[np.bool_],
    axes: Axes,
    strengths: Sequence[float] = tuple(STRENGTHS),
) -> Choice:
    """Follow the solutions from the strongest penalty to weaker ones, while they lose less.

    Of the strengths whose held-out accuracy is within a quarter of a standard error of the best,
    the one with the lowest loss is chosen. Over ten splits of two collections of a thousand and two
    thousand photos, and samples of 30 to 300 of them, this lost less and erred less than the
    strength with the lowest loss.

    Parameters
    ----------
    inputs
        float64 (rows, features + 1), standardised.
    labels
        float32 (rows,), 0 or 1.
    weights
        float64 (rows,).
    held_out
        bool (rows, problems): the rows that a problem does not learn from. Each problem is scored
        on its own: for a cross-validation, a fold; for a validation part, that part.
    axes
        Of the rows that are learned from.
    """
    learned = weights[:, np.newaxis] * ~held_out
    unseen = held_out.any(axis=1)
    positive = labels > 0
    others, their_weights = positive[unseen], weights[unseen]
    block = Block(inputs, positive, learned)
    solved = np.zeros((inputs.shape[1], held_out.shape[1]))
    rows: list[dict[str, float]] = []
    solutions, margins = [], []
    for strength in strengths:
        started = time.perf_counter()
        solution = logistic.solve(
            lambda: [block], strength, axes, start=solved, tolerance=_TOLERANCE
        )
        solved = solution.coefficients
        found = inputs @ solved
        mean = np.average(found[unseen], axis=1, weights=held_out[unseen])
        scale, loss = _best_scale(mean, others, their_weights)
        right = (found >= 0) == positive[:, np.newaxis]
        rows.append(
            {
                "strength": float(strength),
                "scale": scale,
                "iterations": solution.iterations,
                "loss": np.average(
                    logistic.cross_entropy(scale * found, positive), weights=learned
                ),
                "accuracy": np.average(right, weights=learned),
                "val_loss": loss,
                "val_accuracy": np.average((mean >= 0) == others, weights=their_weights),
                "seconds": time.perf_counter() - started,
            }
        )
        solutions.append(solved.mean(axis=1, keepdims=True))
        margins.append(scale * mean)
        history = pd.DataFrame(rows)
        if len(history) - 1 - history["val_loss"].argmin() == _PATIENCE:
            break
    chosen = _choose(history, their_weights)
    every = np.full(len(inputs), np.nan)
    every[unseen] = margins[chosen]
    history["chosen"] = (np.arange(len(history)) == chosen).astype(np.int64)
    row = rows[chosen]
    return Choice(row["strength"], row["scale"], solutions[chosen], every, history)


def _best_scale(margins: Array, positive: NDArray[np.bool_], weights: Array) -> tuple[float, float]:
    """Return the scale with the lowest loss, and that loss."""

    def loss(scale: float) -> float:
        losses = logistic.cross_entropy(scale * margins[:, np.newaxis], positive)
        return float(np.average(losses[:, 0], weights=weights))

    found = minimize_scalar(loss, bounds=(_LEAST_SCALE, 1), method="bounded")
    return min((float(found.x), float(found.fun)), (1.0, loss(1)), key=lambda pair: pair[1])


def _choose(history: pd.DataFrame, weights: Array) -> int:
    """Return the row of the chosen strength; `weights` are those of the held-out images."""
    best = history["val_accuracy"].max()
    independent = weights.sum() ** 2 / (weights**2).sum()
    margin = _AS_ACCURATE * np.sqrt(best * (1 - best) / independent)
    accurate = history[history["val_accuracy"] >= best - margin - 1e-12]
    return int(accurate["val_loss"].idxmin())
