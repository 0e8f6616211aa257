"""Choose the strength of the penalty by the loss on images that the head has not learned from."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nsfwtrain.model import logistic
from nsfwtrain.model.logistic import Array, Axes, Block

STRENGTHS = 10 ** np.arange(5, -3.1, -1 / 3)
"""The candidates, from the strongest; features are standardised."""

_PATIENCE = 3  # strengths without a lower loss, after which weaker ones are not tried
_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Choice:
    """The chosen strength.

    Attributes
    ----------
    strength
        The strength with the lowest loss.
    coefficients
        float64 (features + 1, 1): the mean solution at this strength, to start from.
    margins
        float64 (rows,): of each held-out row, the mean margin at this strength by the problems that
        hold it out; NaN of the other rows.
    history
        A row for each strength tried: ``strength``, ``iterations``, ``loss`` and ``accuracy`` over
        the images learned from, ``val_loss`` and ``val_accuracy`` over the others, ``seconds``.
    """

    strength: float
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
    """Follow the solutions from the strongest penalty to weaker ones, while the loss falls.

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
    others = weights[:, np.newaxis] * held_out
    positive = labels > 0
    block = Block(inputs, positive, learned)
    solved = np.zeros((inputs.shape[1], held_out.shape[1]))
    rows: list[dict[str, float]] = []
    best, chosen, since = np.inf, solved, 0
    for strength in strengths:
        started = time.perf_counter()
        solution = logistic.solve(
            lambda: [block], strength, axes, start=solved, tolerance=_TOLERANCE
        )
        solved = solution.coefficients
        margins = inputs @ solved
        losses = logistic.cross_entropy(margins, positive)
        right = (margins >= 0) == positive[:, np.newaxis]
        rows.append(
            {
                "strength": float(strength),
                "iterations": solution.iterations,
                "loss": np.average(losses, weights=learned),
                "accuracy": np.average(right, weights=learned),
                "val_loss": np.average(losses, weights=others),
                "val_accuracy": np.average(right, weights=others),
                "seconds": time.perf_counter() - started,
            }
        )
        if rows[-1]["val_loss"] < best:
            best, chosen, since = rows[-1]["val_loss"], solved, 0
        else:
            since += 1
            if since == _PATIENCE:
                break
    history = pd.DataFrame(rows)
    strength = float(history["strength"][history["val_loss"].argmin()])
    with np.errstate(invalid="ignore"):  # 0 / 0: the margin of a row that is never held out
        margins = ((inputs @ chosen) * held_out).sum(axis=1) / held_out.sum(axis=1)
    return Choice(strength, chosen.mean(axis=1, keepdims=True), margins, history)
