import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from nsfwscan import InputSpec, OutputSpec
from nsfwscan.inference.tensors import to_probability, to_tensor

logits = st_numpy.arrays(
    np.float32,
    st.tuples(st.integers(1, 5), st.integers(1, 4)),
    elements=st.floats(-1e4, 1e4, width=32),
)


@given(logits, st.sampled_from(["sigmoid", "softmax"]))
def test_activations_give_probabilities(
    out: np.ndarray[tuple[int, ...], np.dtype[np.float32]], activation: str
) -> None:
    spec = OutputSpec(column=out.shape[1] - 1, activation=activation)  # type: ignore[arg-type]
    scores = to_probability(out, spec)
    assert scores.dtype == np.float32
    assert scores.shape == (len(out),)
    assert np.all((scores >= 0) & (scores <= 1))


def test_a_one_dimensional_output_is_one_column() -> None:
    assert to_probability(np.array([0.25, 0.5]), OutputSpec()) == pytest.approx([0.25, 0.5])


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
