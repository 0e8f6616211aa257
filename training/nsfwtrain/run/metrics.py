"""Compare scores with labels. Every example counts, also those of the last, partial batch."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binomtest, norm, sem
from sklearn import metrics as sk

from nsfwscan.decision import flags

EPSILON = 1e-7
"""Probabilities are clipped to [EPSILON, 1 - EPSILON] before the logarithm, as in tf_keras."""

THRESHOLD = 0.5
"""The lowest score that predicts label 1."""

_BINS = 15


def predicted(scores: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return whether each score predicts label 1: whether a scan with `THRESHOLD` flags it."""
    return np.array(flags(scores.ravel().tolist(), THRESHOLD), bool).reshape(scores.shape)


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
    """Compute the expected calibration error of the probability of label 1.

    Over 15 bins of equal width, this is the mean of |share of label 1 - mean score|, weighted by
    the number of images: Guo et al., "On Calibration of Modern Neural Networks", 2017. Neither
    scikit-learn nor SciPy has it.
    """
    binned = reliability(labels, scores, _BINS)
    gaps = (binned["label"] - binned["score"]).abs()
    return float(np.average(gaps, weights=binned["images"]))


def evaluate(labels: NDArray[np.float32], scores: NDArray[np.float32]) -> dict[str, Any]:
    """Compare scores with labels.

    Parameters
    ----------
    labels
        float32, (N,), 0 or 1; both must occur.
    scores
        float32, (N,), probabilities of label 1 in [0, 1].

    Returns
    -------
    dict
        ``images``, ``loss`` (binary cross-entropy) and ``accuracy`` with their 95 % intervals,
        ``precision``, ``recall``, ``f1``, ``roc_auc``, ``average_precision``,
        ``calibration_error`` and ``confusion`` (rows are the labels, columns the predictions).
    """
    found, actual = predicted(scores), labels >= 0.5
    clipped = np.clip(scores.astype(np.float64), EPSILON, 1 - EPSILON)
    low, high = wilson_interval(int((found == actual).sum()), len(labels))
    precision, recall, f1, _ = sk.precision_recall_fscore_support(
        actual, found, average="binary", zero_division=0
    )
    losses = -np.log(np.where(actual, clipped, 1 - clipped))
    loss, spread = float(losses.mean()), float(norm.ppf(0.975) * sem(losses))
    return {
        "images": len(labels),
        "threshold": THRESHOLD,
        "loss": loss,
        "loss_95_low": max(0.0, loss - spread),
        "loss_95_high": loss + spread,
        "accuracy": float(sk.accuracy_score(actual, found)),
        "accuracy_95_low": low,
        "accuracy_95_high": high,
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
        "roc_auc": float(sk.roc_auc_score(actual, scores)),
        "average_precision": float(sk.average_precision_score(actual, scores)),
        "calibration_error": calibration_error(labels, scores),
        "confusion": sk.confusion_matrix(actual, found, labels=[False, True]).tolist(),
    }
