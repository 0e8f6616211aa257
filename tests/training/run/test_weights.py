import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsfwtrain.run.weights import class_weights, label_weights, share


@given(st.integers(1, 50), st.integers(1, 50), st.floats(0.01, 0.99))
def test_weights_give_label_1_the_prevalence(zeros: int, ones: int, prevalence: float) -> None:
    labels = np.repeat(np.array([0, 1], np.float32), [zeros, ones])
    weights = label_weights(labels, prevalence)
    assert weights.mean() == pytest.approx(1)
    assert weights[labels > 0].sum() / weights.sum() == pytest.approx(prevalence)
    zero, one = class_weights(labels, prevalence)
    assert set(weights.tolist()) == {zero, one}


def test_a_prevalence_is_a_number_or_follows_from_the_labels() -> None:
    labels = np.array([0, 1, 0, 0], np.float32)
    assert share("balanced", labels) == 0.5
    assert share("train", labels) == 0.25
    assert share(0.01, labels) == 0.01
    assert label_weights(labels, share("train", labels)).tolist() == [1, 1, 1, 1]
