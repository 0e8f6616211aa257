"""Estimate how good a head is on unseen images, when the test part alone is too small to tell."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.model_selection import StratifiedGroupKFold

from nsfwtrain.model import logistic
from nsfwtrain.model.logistic import Array, Block
from nsfwtrain.run.metrics import predicted, wilson_interval
from nsfwtrain.run.weights import label_weights, scores_of

FOLDS, REPEATS = 5, 5

_TOLERANCE = 1e-6


def folds(
    labels: NDArray[np.float32], groups: NDArray[np.int64], repeat: int = 0
) -> NDArray[np.bool_]:
    """Divide images into folds with equal shares of the labels; a group stays in one fold.

    Returns
    -------
    numpy.ndarray
        bool (images, folds): which images a fold holds. There are fewer folds than `FOLDS` if a
        label has fewer groups, and only those with both labels inside and outside; none if a label
        has a single group.
    """
    count = min(FOLDS, *(len(np.unique(groups[labels == value])) for value in (0, 1)))
    if count < 2:
        return np.zeros((len(labels), 0), bool)
    divided = StratifiedGroupKFold(count, shuffle=True, random_state=repeat)
    held_out = np.zeros((len(labels), count), bool)
    for fold, (_, rows) in enumerate(divided.split(labels, labels > 0, groups)):
        held_out[rows, fold] = True
    ones = labels @ held_out
    total = held_out.sum(axis=0)
    mixed = (
        (ones > 0) & (ones < total) & (ones < labels.sum()) & (total - ones < (1 - labels).sum())
    )
    return held_out[:, mixed]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A cross-validated estimate for images of which half have either label.

    Attributes
    ----------
    images, folds, repeats
        Numbers of images, of folds, and of divisions into folds.
    independent
        Number of images, of equal weight and no two alike, that would tell as much.
    accuracy, loss
        Each with the limits of its 95 % interval.
    """

    images: int
    folds: int
    repeats: int
    independent: int
    accuracy: float
    accuracy_95_low: float
    accuracy_95_high: float
    loss: float
    loss_95_low: float
    loss_95_high: float


def estimate(
    inputs: Array,
    labels: NDArray[np.float32],
    groups: NDArray[np.int64],
    strength: float,
    scale: float = 1.0,
) -> Estimate | None:
    """Cross-validate a head on all images, with several divisions into folds.

    Each image is scored by the heads that have learned neither from it nor from a near-duplicate.
    The intervals are those of the mean over all images: Bayle, Bayle, Janson and Mackey,
    "Cross-validation Confidence Intervals for Test Error", 2020. Near-duplicates count as one.

    Parameters
    ----------
    inputs
        float64 (images, features + 1), standardised.
    groups
        int64 (images,): the near-duplicates of an image have its group.
    strength, scale
        Those of the head, see `nsfwtrain.run.strength.Choice`.

    Returns
    -------
    Estimate or None
        None if a label has too few images to divide.
    """
    divisions = [folds(labels, groups, repeat) for repeat in range(REPEATS)]
    held_out = np.hstack(divisions)
    scored = held_out.any(axis=1)
    if not scored.all():
        return None
    balanced = label_weights(labels)
    weights = balanced[:, np.newaxis] * ~held_out
    block = Block(inputs, labels > 0, weights)
    start = np.zeros((inputs.shape[1], held_out.shape[1]))
    solution = logistic.solve(
        lambda: [block], strength, logistic.Axes.of(inputs), start=start, tolerance=_TOLERANCE
    )
    margins = scale * (inputs @ solution.coefficients)
    right = predicted(scores_of(margins, 0.5)) == block.positive[:, np.newaxis]
    accuracy = np.average(right, axis=1, weights=held_out)
    losses = np.average(logistic.cross_entropy(margins, block.positive), axis=1, weights=held_out)
    groups = np.unique(groups, return_inverse=True)[1]
    total = np.bincount(groups, balanced)
    independent = round(total.sum() ** 2 / (total**2).sum())
    mean = float(np.average(accuracy, weights=balanced))
    loss = float(np.average(losses, weights=balanced))
    deviation = np.sqrt((np.bincount(groups, balanced * (losses - loss)) ** 2).sum()) / total.sum()
    spread = float(norm.ppf(0.975) * deviation)
    low, high = wilson_interval(round(mean * independent), independent)
    return Estimate(
        images=len(labels),
        folds=divisions[0].shape[1],
        repeats=REPEATS,
        independent=independent,
        accuracy=mean,
        accuracy_95_low=low,
        accuracy_95_high=high,
        loss=loss,
        loss_95_low=max(0.0, loss - spread),
        loss_95_high=loss + spread,
    )
