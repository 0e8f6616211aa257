"""How well scores separate two labels, with intervals. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics as sk

from nsfwscan.decision import flags

Labels = NDArray[np.int64]
Scores = NDArray[np.float64]

RESAMPLES = 1000
"""Resamples of the bootstrap."""

_BINS = 15
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Estimate:
    """A measured value with the 95 % interval of a bootstrap."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Metric:
    """What a measure is for people.

    Attributes
    ----------
    title
        Its name.
    share
        Whether it is a share of images, in percent.
    best
        Which value is the best one. None: a threshold trades one for the other.
    """

    title: str
    share: bool = False
    best: Literal["highest", "lowest"] | None


METRICS: Mapping[str, Metric] = {
    "roc_auc": Metric(title="AUROC", best="highest"),
    "average_precision": Metric(title="average precision", best="highest"),
    "brier_score": Metric(title="Brier score", best="lowest"),
    "calibration_error": Metric(title="calibration error", best="lowest"),
    "recall_at_1": Metric(title="recall at 1 % false alarms", share=True, best="highest"),
    "recall_at_5": Metric(title="recall at 5 % false alarms", share=True, best="highest"),
    "false_alarms_at_95": Metric(title="false alarms at 95 % recall", share=True, best="lowest"),
    "recall": Metric(title="recall at its threshold", share=True, best=None),
    "false_alarms": Metric(title="false alarms at its threshold", share=True, best=None),
}
"""The measures by the names of columns."""


def measures(labels: Labels, scores: Scores, flagged: NDArray[np.bool_]) -> dict[str, float]:
    """Compute all measures, those of scikit-learn from one call, since a bootstrap needs thousands.

    Parameters
    ----------
    labels
        int64 (N,), 0 or 1; both must occur.
    scores
        float64 (N,), in [0, 1].
    flagged
        bool (N,): whether a scan flags the image.

    Returns
    -------
    dict
        A number in [0, 1] for each of `METRICS`.
    """
    false, true, _ = sk.roc_curve(labels, scores, drop_intermediate=False)
    right = true * labels.sum()
    precision = right[1:] / (right + false * (1 - labels).sum())[1:]
    return {
        "roc_auc": float(np.trapezoid(true, false)),
        "average_precision": float(np.sum(np.diff(true) * precision)),
        "brier_score": float(np.mean((scores - labels) ** 2)),
        "calibration_error": calibration_error(labels, scores),
        "recall_at_1": float(true[false <= 0.01 + _ROUNDING].max()),
        "recall_at_5": float(true[false <= 0.05 + _ROUNDING].max()),
        "false_alarms_at_95": float(false[true >= 0.95 - _ROUNDING].min()),
        "recall": float(flagged[labels == 1].mean()),
        "false_alarms": float(flagged[labels == 0].mean()),
    }


def calibration_error(labels: Labels, scores: Scores) -> float:
    """Compute the expected calibration error of the probability of label 1.

    Over 15 bins of equal width, this is the mean of |share of label 1 - mean score|, weighted by
    the number of images: Guo et al., "On Calibration of Modern Neural Networks", 2017. Neither
    scikit-learn nor SciPy has it.
    """
    bins = np.minimum((scores * _BINS).astype(int), _BINS - 1)
    gaps = np.bincount(bins, weights=labels - scores, minlength=_BINS)
    return float(np.abs(gaps).sum() / len(labels))


def resamples(labels: Labels, count: int = RESAMPLES) -> Iterator[NDArray[np.int64]]:
    """Yield the indices of resamples with as many images of each label.

    They are the same in every call, so that models are compared on the same ones.
    """
    rng = np.random.default_rng(0)
    parts = [np.flatnonzero(labels == label) for label in (0, 1)]
    for _ in range(count):
        yield np.concatenate([rng.choice(part, len(part)) for part in parts])


def estimate(
    labels: Labels, scores: Scores, threshold: float, count: int = RESAMPLES
) -> dict[str, Estimate]:
    """Compute all measures with 95 % intervals: the percentiles of a stratified bootstrap.

    Parameters
    ----------
    labels, scores
        As in `measures`.
    threshold
        Lowest score that the model flags.
    count
        Number of resamples.
    """
    flagged = np.array(flags(scores.tolist(), threshold))
    drawn = [measures(labels[i], scores[i], flagged[i]) for i in resamples(labels, count)]
    found = {}
    for name, value in measures(labels, scores, flagged).items():
        low, high = np.percentile([one[name] for one in drawn], [2.5, 97.5])
        found[name] = Estimate(value, float(low), float(high))
    return found


@dataclass(frozen=True)
class Disagreement:
    """An image on which models decide differently.

    Attributes
    ----------
    path
        The image.
    label
        Its label, 0 or 1.
    scores
        One for each model.
    flagged
        Whether each model flags it at its own threshold.
    """

    path: str
    label: int
    scores: tuple[float, ...]
    flagged: tuple[bool, ...]


def disagreements(
    paths: Sequence[str],
    labels: Labels,
    scores: Sequence[Scores],
    thresholds: Sequence[float],
) -> list[Disagreement]:
    """List the images on which models decide differently, those first whose scores differ most.

    Parameters
    ----------
    paths, labels
        The N images.
    scores
        For each model float64 (N,).
    thresholds
        One for each model.
    """
    decided = [
        flags(s.tolist(), threshold) for s, threshold in zip(scores, thresholds, strict=True)
    ]
    found = [
        Disagreement(
            path,
            int(label),
            tuple(float(s[i]) for s in scores),
            tuple(one[i] for one in decided),
        )
        for i, (path, label) in enumerate(zip(paths, labels, strict=True))
        if len({one[i] for one in decided}) > 1
    ]
    return sorted(found, key=lambda one: (min(one.scores) - max(one.scores), one.path))
