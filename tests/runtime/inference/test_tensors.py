import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from nsfwscan import InputSpec, OutputSpec
from nsfwscan.inference.tensors import Predictions, to_predictions, to_tensor


def _floats(values: Any) -> Any:
    return np.array(values, np.float32)


CLASSES = ("a", "b", "c", "d")
rows = st.integers(1, 4).flatmap(
    lambda columns: st_numpy.arrays(
        np.float32,
        st.tuples(st.integers(1, 5), st.just(columns)),
        elements=st.floats(-1e4, 1e4, width=32),
    )
)


def plain(row: list[float], spec: OutputSpec) -> tuple[float, list[float]]:
    """Compute a score and the classes in the way of a textbook, in double precision."""
    if spec.activation == "softmax":
        powers = [math.exp(value - max(row)) for value in row]
        row = [power / sum(powers) for power in powers]
    elif spec.activation == "sigmoid":
        row = [1 / (1 + math.exp(-value)) if value > -700 else 0.0 for value in row]
    counted = [row[spec.classes.index(name)] for name in spec.counted]
    if spec.reduction == "column":
        return row[spec.column], row
    score = max(counted) if spec.reduction == "maximum" else sum(counted)
    return (1 - score if spec.reduction == "complement" else score), row


@st.composite
def specs(draw: st.DrawFn, columns: int) -> OutputSpec:
    """Draw a description of an output with so many columns."""
    activations = ["none", "sigmoid"] + (["softmax"] if columns > 1 else [])
    activation: Any = draw(st.sampled_from(activations))
    reduction: Any = draw(st.sampled_from(["column", "sum", "maximum", "complement"]))
    if reduction == "column":
        named = draw(st.booleans())
        return OutputSpec(
            column=draw(st.integers(0, columns - 1)),
            activation=activation,
            classes=CLASSES[:columns] if named else (),
        )
    most = columns if reduction == "maximum" or columns == 1 else columns - 1
    most = 1 if activation == "sigmoid" and reduction != "maximum" else most
    counted = draw(
        st.lists(st.sampled_from(CLASSES[:columns]), min_size=1, max_size=most, unique=True)
    )
    return OutputSpec(
        activation=activation, classes=CLASSES[:columns], counted=tuple(counted),
        reduction=reduction,
    )  # fmt: skip


@given(rows, st.data())
def test_every_activation_and_reduction_equals_the_plain_computation(
    out: np.ndarray[tuple[int, int], np.dtype[np.float32]], data: st.DataObject
) -> None:
    spec = data.draw(specs(out.shape[1]))
    if spec.activation == "none":  # then it holds probabilities
        out = np.abs(out) / np.maximum(np.abs(out).sum(axis=1, keepdims=True), 1)
    found = to_predictions(out, spec)
    assert found.scores.dtype == np.float32
    expected = [plain(row, spec) for row in out.astype(float).tolist()]
    assert found.scores == pytest.approx([score for score, _ in expected], abs=1e-5)
    assert np.all((found.scores >= 0) & (found.scores <= 1))
    if spec.classes:
        assert found.classes == pytest.approx(np.array([row for _, row in expected]), abs=1e-5)
    else:
        assert found.classes is None


def test_a_one_dimensional_output_is_one_column() -> None:
    assert to_predictions(np.array([0.25, 0.5]), OutputSpec()).scores == pytest.approx([0.25, 0.5])


def test_predictions_are_joined_in_their_order() -> None:
    one = Predictions(_floats([0.1, 0.2]), _floats([[0.1, 0.9], [0.2, 0.8]]))
    two = Predictions(_floats([0.3]), _floats([[0.3, 0.7]]))
    both = Predictions.joined([one, two])
    assert both.scores.tolist() == _floats([0.1, 0.2, 0.3]).tolist()
    assert both.classes is not None
    assert both.classes[:, 0].tolist() == both.scores.tolist()
    again = both.first(2)
    assert again.scores.tolist() == one.scores.tolist()
    assert again.classes is not None
    assert again.classes.shape == (2, 2)
    assert Predictions.joined([Predictions(one.scores), Predictions(two.scores)]).classes is None


def test_pixels_are_not_copied_for_our_own_models() -> None:
    given_pixels = np.zeros((2, 8, 8, 3), np.uint8)
    assert to_tensor(given_pixels, InputSpec()) is given_pixels


def test_normalisation_follows_the_channel_order() -> None:
    rgb = np.array([10, 20, 30], np.uint8).reshape(1, 1, 1, 3)
    spec = InputSpec(
        dtype="float32",
        layout="NCHW",
        channels="BGR",
        mean=(30.0, 10.0, 0.0),
        scale=(1.0, 2.0, 3.0),
    )
    tensor = to_tensor(rgb, spec)
    assert tensor.shape == (1, 3, 1, 1)
    assert tensor.dtype == np.float32
    assert tensor.ravel().tolist() == [0, 20, 30]
