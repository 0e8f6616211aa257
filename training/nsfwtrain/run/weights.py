"""Weight the labels so that a score is right for a stated share of label 1."""

import numpy as np
from numpy.typing import NDArray

from nsfwtrain.run.options import Prevalence


def share(prevalence: Prevalence, labels: NDArray[np.float32]) -> float:
    """Return a prevalence as a number in (0, 1); `labels` are those of the training part."""
    if prevalence == "balanced":
        return 0.5
    return float(labels.mean()) if prevalence == "train" else prevalence


def class_weights(labels: NDArray[np.float32], prevalence: float) -> tuple[float, float]:
    """Weight the labels so that label 1 has the share `prevalence` of the total weight.

    Parameters
    ----------
    labels
        float32 (N,), 0 or 1; both occur.

    Returns
    -------
    tuple
        The weights of label 0 and label 1. The mean weight of an image is 1.
    """
    found = float(labels.mean())
    return (1 - prevalence) / (1 - found), prevalence / found


def label_weights(labels: NDArray[np.float32], prevalence: float) -> NDArray[np.float64]:
    """Return the weight of each image, float64 (N,), by `class_weights`."""
    zero, one = class_weights(labels, prevalence)
    return np.where(labels > 0, one, zero)
