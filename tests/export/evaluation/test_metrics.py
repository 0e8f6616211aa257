from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from sklearn import metrics as sk

from nsfwexport.evaluation import metrics
from nsfwexport.evaluation.metrics import METRICS
from nsfwtrain.run.metrics import calibration_error as of_training

LABELS = np.arange(40) % 2
SCORES = hnp.arrays(np.float64, 40, elements=st.integers(0, 50).map(lambda n: n / 50))


def made(count: int = 300) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    rng = np.random.default_rng(3)
    labels = (rng.random(count) < 0.3).astype(np.int64)
    return labels, rng.beta(2 + 3 * labels, 4 - labels).round(6)


@given(SCORES)
def test_the_measures_are_those_of_scikit_learn(scores: NDArray[np.float64]) -> None:
    flagged = scores >= 0.5
    found = metrics.measures(LABELS, scores, flagged)
    assert found.keys() == METRICS.keys()
    assert found["roc_auc"] == pytest.approx(sk.roc_auc_score(LABELS, scores))
    assert found["average_precision"] == pytest.approx(sk.average_precision_score(LABELS, scores))
    assert found["brier_score"] == pytest.approx(sk.brier_score_loss(LABELS, scores))
    assert found["recall"] == sk.recall_score(LABELS, flagged)
    specificity = sk.recall_score(LABELS, flagged, pos_label=0)
    assert found["false_alarms"] == pytest.approx(1 - specificity)


@given(hnp.arrays(np.float64, 200, elements=st.integers(0, 99).map(lambda n: n / 99)))
@pytest.mark.slow
def test_rates_are_those_of_the_best_threshold_among_all(scores: NDArray[np.float64]) -> None:
    """Try every threshold; of 100 images, 1 % and 5 % are whole images."""
    labels = np.arange(200) % 2
    rates = [
        (int((scores[labels == 0] >= t).sum()), int((scores[labels == 1] >= t).sum()))
        for t in [*scores, 2.0]
    ]
    found = metrics.measures(labels, scores, scores >= 0.5)
    for percent in (1, 5):
        best = max(recall for false, recall in rates if false <= percent)
        assert found[f"recall_at_{percent}"] == best / 100
    least = min(false for false, recall in rates if recall >= 95)
    assert found["false_alarms_at_95"] == least / 100


@given(SCORES)
def test_the_calibration_error_is_that_of_training(scores: NDArray[np.float64]) -> None:
    expected = of_training(LABELS.astype(np.float32), scores.astype(np.float32))
    got = metrics.calibration_error(LABELS, scores.astype(np.float32).astype(np.float64))
    assert got == pytest.approx(expected, abs=1e-6)


def test_a_score_at_the_threshold_is_flagged() -> None:
    labels, scores = np.array([0, 0, 1, 1]), np.array([0.2, 0.5, 0.5, 0.9])
    found = metrics.estimate(labels, scores, 0.5, 10)
    assert (found["recall"].value, found["false_alarms"].value) == (1, 0.5)


def test_intervals_are_percentiles_of_resamples_with_as_many_images_of_each_label() -> None:
    labels, scores = made()
    found = metrics.estimate(labels, scores, 0.5, 200)["roc_auc"]
    drawn = []
    for chosen in metrics.resamples(labels, 200):
        assert labels[chosen].sum() == labels.sum()
        drawn.append(sk.roc_auc_score(labels[chosen], scores[chosen]))
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(drawn, [2.5, 97.5])))
    assert found.low < found.value < found.high
    assert metrics.estimate(labels, scores, 0.5, 200)["roc_auc"] == found


def test_an_interval_covers_what_its_name_says() -> None:
    """Hanley and McNeil's formula gives nearly the same width for an AUROC."""
    labels, scores = made(1000)
    found = metrics.estimate(labels, scores, 0.5, 400)["roc_auc"]
    a, ones = found.value, int(labels.sum())
    zeros = len(labels) - ones
    q1, q2 = a / (2 - a), 2 * a * a / (1 + a)
    spread = np.sqrt(
        (a * (1 - a) + (ones - 1) * (q1 - a * a) + (zeros - 1) * (q2 - a * a)) / (ones * zeros)
    )
    assert found.high - found.low == pytest.approx(2 * 1.96 * spread, rel=0.2)


def test_images_with_different_decisions_are_listed_by_how_far_scores_differ() -> None:
    scores: list[NDArray[Any]] = [np.array([0.1, 0.6, 0.9, 0.4]), np.array([0.2, 0.4, 0.1, 0.4])]
    found = metrics.disagreements(["a", "b", "c", "d"], np.array([0, 0, 1, 1]), scores, [0.5, 0.4])
    assert [(one.path, one.label, one.flagged) for one in found] == [
        ("c", 1, (True, False)), ("d", 1, (False, True)),
    ]  # fmt: skip
    assert found[0].scores == (0.9, 0.1)
