"""Measure how well scores fit labels. Every example counts, the last short batch included."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn import metrics as sk

_EPSILON = 1e-7  # tf_keras clips probabilities to this before taking their logarithm
_BINS = 15


def wilson_interval(successes: int, total: int) -> tuple[float, float]:
    """Compute the 95 % interval of a proportion (E. B. Wilson, 1927)."""
    low, high = binomtest(successes, total).proportion_ci(0.95, method="wilson")
    return float(low), float(high)


def reliability(
    labels: NDArray[np.float32], scores: NDArray[np.float32], bins: int
) -> pd.DataFrame:
    """Compare scores with labels in bins of equal width over [0, 1].

    Returns
    -------
    pandas.DataFrame
        A row for each bin that is not empty: ``score`` (the mean), ``label`` (the share of label 1)
        and ``images``.
    """
    frame = pd.DataFrame({"score": scores, "label": labels}, dtype=np.float64)
    groups = frame.groupby(np.minimum((scores * bins).astype(int), bins - 1))
    return groups.mean().assign(images=groups.size())


def calibration_error(labels: NDArray[np.float32], scores: NDArray[np.float32]) -> float:
    """Compute the expected calibration error of the probability of label 1, over 15 equal bins.

    The mean over the images of |share of label 1 - mean score| of their bin: Guo et al., "On
    Calibration of Modern Neural Networks", 2017. Neither scikit-learn nor SciPy has it.
    """
    binned = reliability(labels, scores, _BINS)
    gaps = (binned["label"] - binned["score"]).abs()
    return float(np.average(gaps, weights=binned["images"]))


def evaluate(
    labels: NDArray[np.float32], scores: NDArray[np.float32], threshold: float = 0.5
) -> dict[str, Any]:
    """Compare scores with labels.

    Parameters
    ----------
    labels
        float32, (N,), 0 or 1, both of which occur.
    scores
        float32, (N,), probabilities of label 1 in [0, 1].
    threshold
        The lowest score of which label 1 is predicted.

    Returns
    -------
    dict
        ``images``, ``loss`` (binary cross-entropy), ``accuracy`` and its 95 % interval,
        ``precision``, ``recall``, ``f1``, ``roc_auc``, ``average_precision``,
        ``calibration_error`` and ``confusion`` (rows are the labels, columns the predictions).
    """
    predicted = scores >= threshold
    actual = labels >= 0.5
    clipped = np.clip(scores.astype(np.float64), _EPSILON, 1 - _EPSILON)
    low, high = wilson_interval(int((predicted == actual).sum()), len(labels))
    precision, recall, f1, _ = sk.precision_recall_fscore_support(
        actual, predicted, average="binary", zero_division=0
    )
    return {
        "images": len(labels),
        "threshold": threshold,
        "loss": float(sk.log_loss(actual, clipped)),
        "accuracy": float(sk.accuracy_score(actual, predicted)),
        "accuracy_95_low": low,
        "accuracy_95_high": high,
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
        "roc_auc": float(sk.roc_auc_score(actual, scores)),
        "average_precision": float(sk.average_precision_score(actual, scores)),
        "calibration_error": calibration_error(labels, scores),
        "confusion": sk.confusion_matrix(actual, predicted, labels=[False, True]).tolist(),
    }
