import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsfwtrain.run.weights import (
    assume,
    assumed_prevalence,
    class_weights,
    for_equal_frequencies,
    label_weights,
    scores_of,
    share,
)


@given(st.integers(1, 50), st.integers(1, 50))
def test_weights_give_both_labels_the_same_total(zeros: int, ones: int) -> None:
    labels = np.repeat(np.array([0, 1], np.float32), [zeros, ones])
    weights = label_weights(labels)
    assert weights.mean() == pytest.approx(1)
    assert weights[labels > 0].sum() / weights.sum() == pytest.approx(0.5)
    assert set(weights.tolist()) == set(class_weights(labels))


def test_a_prevalence_is_a_number_or_follows_from_the_labels() -> None:
    labels = np.array([0, 1, 0, 0], np.float32)
    assert share("balanced", labels) == 0.5
    assert share("train", labels) == 0.25
    assert share(0.01, labels) == 0.01


@given(st.floats(0.01, 0.99), st.floats(0.001, 0.999))
def test_a_prevalence_is_taken_into_a_score_by_bayes_rule(score: float, prevalence: float) -> None:
    bias = np.array([np.log(score / (1 - score))], np.float32)
    kernel, shifted = assume((np.zeros((3, 1), np.float32), bias), prevalence)
    assert kernel.tolist() == [[0], [0], [0]]
    found = 1 / (1 + np.exp(-shifted.astype(np.float64)))
    odds = score / (1 - score) * prevalence / (1 - prevalence)
    assert found[0] == pytest.approx(odds / (1 + odds), abs=1e-5)
    margin = np.log(score / (1 - score))
    assert scores_of(np.array([margin]), prevalence)[0] == pytest.approx(found[0], abs=1e-6)
    back = for_equal_frequencies(found.astype(np.float32), prevalence)
    assert back[0] == pytest.approx(score, abs=1e-3)


def test_the_study_assumes_no_prevalence() -> None:
    assert assumed_prevalence({"options": {"batch_size": 8}}) == 0.5
    assert assumed_prevalence({"options": {"recipe": "study"}, "prevalence": 0.3}) == 0.5
    assert assumed_prevalence({"options": {"recipe": "converged"}, "prevalence": 0.3}) == 0.3
