"""How good a model's scores are: every example counts, the last short batch included."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics as sk

_Z95 = 1.959963984540054  # the normal distribution's 97.5 % quantile
_EPSILON = 1e-7  # tf_keras clips probabilities so before it takes their logarithm
_BINS = 15


def wilson_interval(right: int, total: int) -> tuple[float, float]:
    """Give the 95 % interval of a share (E. B. Wilson, 1927)."""
    share = right / total
    scale = 1 + _Z95**2 / total
    centre = (share + _Z95**2 / (2 * total)) / scale
    half = _Z95 / scale * math.sqrt(share * (1 - share) / total + _Z95**2 / (4 * total**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def calibration_error(labels: NDArray[np.float32], scores: NDArray[np.float32]) -> float:
    """Give the expected calibration error: |share of label 1 - mean score|, over 15 equal bins.

    Guo et al., "On Calibration of Modern Neural Networks", 2017, for the probability of label 1.
    """
    bins = np.minimum((scores * _BINS).astype(int), _BINS - 1)
    gaps = [
        abs(labels[bins == i].mean() - scores[bins == i].mean()) * np.mean(bins == i)
        for i in range(_BINS)
        if np.any(bins == i)
    ]
    return float(sum(gaps))


def evaluate(
    labels: NDArray[np.float32], scores: NDArray[np.float32], threshold: float = 0.5
) -> dict[str, Any]:
    """Compare scores with labels.

    Parameters
    ----------
    labels
        float32, (N,), 0 or 1, both among them.
    scores
        float32, (N,), probabilities of label 1 in [0, 1].
    threshold
        Score from which label 1 is said.

    Returns
    -------
    dict
        ``images``, ``loss`` (binary cross-entropy), ``accuracy`` and its 95 % interval,
        ``precision``, ``recall``, ``f1``, ``roc_auc``, ``average_precision``,
        ``calibration_error`` and ``confusion`` (rows are the labels, columns what was said).
    """
    said = scores >= threshold
    truth = labels >= 0.5
    right = int((said == truth).sum())
    clipped = np.clip(scores.astype(np.float64), _EPSILON, 1 - _EPSILON)
    loss = -np.mean(np.where(truth, np.log(clipped), np.log(1 - clipped)))
    low, high = wilson_interval(right, len(labels))
    return {
        "images": len(labels),
        "threshold": threshold,
        "loss": float(loss),
        "accuracy": right / len(labels),
        "accuracy_95_low": low,
        "accuracy_95_high": high,
        "precision": float(sk.precision_score(truth, said, zero_division=0)),
        "recall": float(sk.recall_score(truth, said, zero_division=0)),
        "f1": float(sk.f1_score(truth, said, zero_division=0)),
        "roc_auc": float(sk.roc_auc_score(truth, scores)),
        "average_precision": float(sk.average_precision_score(truth, scores)),
        "calibration_error": calibration_error(labels, scores),
        "confusion": sk.confusion_matrix(truth, said, labels=[False, True]).tolist(),
    }
