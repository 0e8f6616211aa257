"""Make scores right for a stated share of label 1.

A head learns as if both labels were equally frequent. Another share changes only its bias, by the
logit of that share (G. King and L. Zeng, "Logistic Regression in Rare Events Data", 2001).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from nsfwtrain.model.head import Weights
from nsfwtrain.run.options import Converged, Prevalence


def share(prevalence: Prevalence, labels: NDArray[np.float32]) -> float:
    """Return a prevalence as a number in (0, 1); `labels` are those of the training part."""
    if prevalence == "balanced":
        return 0.5
    return float(labels.mean(dtype=np.float64)) if prevalence == "train" else prevalence


def class_weights(labels: NDArray[np.float32]) -> tuple[float, float]:
    """Return weights of label 0 and label 1 that give both the same total, with a mean of 1.

    Parameters
    ----------
    labels
        float32 (N,), 0 or 1; both occur.
    """
    found = float(labels.mean(dtype=np.float64))
    return 0.5 / (1 - found), 0.5 / found


def label_weights(labels: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the weight of each image, float64 (N,), by `class_weights`."""
    zero, one = class_weights(labels)
    return np.where(labels > 0, one, zero)


def assume(head: Weights, prevalence: float) -> Weights:
    """Return a head whose scores are right for a prevalence, from one for equal frequencies."""
    kernel, bias = head
    return kernel, (bias + logit(prevalence)).astype(np.float32)


def scores_of(margins: NDArray[np.float64], prevalence: float) -> NDArray[np.float32]:
    """Return the scores for a prevalence, from the margins of a head for equal frequencies."""
    scores: NDArray[np.float32] = expit(margins + logit(prevalence)).astype(np.float32)
    return scores


def for_equal_frequencies(scores: NDArray[np.float32], prevalence: float) -> NDArray[np.float32]:
    """Convert scores that assume a prevalence to those for equally frequent labels."""
    if prevalence == 0.5:
        return scores
    shifted = logit(scores.astype(np.float64)) - logit(prevalence)
    equal: NDArray[np.float32] = expit(shifted).astype(np.float32)
    return equal


def assumed_prevalence(facts: Mapping[str, Any]) -> float:
    """Return the prevalence that a run's scores assume, from its facts.

    The study's recipe assumes none: its published metrics are those of the scores as they are.
    """
    converged = facts.get("options", {}).get("recipe") == Converged.name
    return float(facts["prevalence"]) if converged else 0.5
