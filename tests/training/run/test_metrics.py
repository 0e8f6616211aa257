import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nsfwtrain.run.metrics import calibration_error, evaluate, predicted, wilson_interval


def test_the_metrics_of_a_small_example() -> None:
    labels = np.array([0, 0, 1, 1], np.float32)
    scores = np.array([0.1, 0.6, 0.4, 0.9], np.float32)
    found = evaluate(labels, scores)
    assert found["confusion"] == [[1, 1], [1, 1]]
    assert found["accuracy"] == found["precision"] == found["recall"] == found["f1"] == 0.5
    assert found["roc_auc"] == 0.75
    assert found["loss"] == pytest.approx(-np.log([0.9, 0.4, 0.4, 0.9]).mean(), abs=1e-6)
    assert found["images"] == 4


def test_predictions_are_those_of_a_scan() -> None:
    """A scan rounds the second score to 0.5 and flags it, and the first to 0.499999."""
    scores = np.array([0.4999994, 0.4999998, 0.9], np.float32)
    assert predicted(scores).tolist() == [False, True, True]
    assert predicted(scores.reshape(3, 1)).shape == (3, 1)
    found = evaluate(np.array([0, 0, 1], np.float32), scores)
    assert found["confusion"] == [[1, 1], [0, 1]]
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["precision"] == 0.5


def test_the_interval_matches_published_values() -> None:
    # Newcombe, "Two-sided confidence intervals for the single proportion", 1998, table I: 81 of 263
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson_interval(0, 20)[0] == 0.0
    assert wilson_interval(20, 20)[1] == 1.0


@settings(max_examples=30)
@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1, width=32)), min_size=2))
def test_metrics_stay_in_their_ranges(rows: list[tuple[bool, float]]) -> None:
    rows += [(False, 0.5), (True, 0.5)]
    labels = np.array([label for label, _ in rows], np.float32)
    scores = np.array([score for _, score in rows], np.float32)
    found = evaluate(labels, scores)
    assert found["accuracy_95_low"] <= found["accuracy"] <= found["accuracy_95_high"]
    assert sum(map(sum, found["confusion"])) == len(rows)
    assert found["loss"] >= 0
    for name in ("precision", "recall", "f1", "roc_auc", "average_precision", "calibration_error"):
        assert 0 <= found[name] <= 1 + 1e-9


def test_calibrated_scores_have_no_calibration_error() -> None:
    scores = np.repeat(np.array([0.25, 0.75], np.float32), 400)
    labels = np.array([1, 0, 0, 0] * 100 + [1, 1, 1, 0] * 100, np.float32)
    assert calibration_error(labels, scores) == pytest.approx(0, abs=1e-6)
    assert calibration_error(1 - labels, scores) == pytest.approx(0.5, abs=1e-6)
