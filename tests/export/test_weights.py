from typing import Any

import numpy as np
import onnx
from hypothesis import given
from hypothesis import strategies as st

from nsfwexport.weights import TOLERANCE, compare_weights


def graph_of(*values: Any) -> Any:
    """Return a model that consists of initializers only."""
    tensors = [onnx.numpy_helper.from_array(v, str(i)) for i, v in enumerate(values)]
    return onnx.helper.make_model(onnx.helper.make_graph([], "g", [], [], tensors))


RNG = np.random.default_rng(0)
CONVOLUTION = RNG.normal(0, 1, (3, 3, 4, 6)).astype(np.float32)
DEPTHWISE = RNG.normal(0, 1, (5, 5, 6, 1)).astype(np.float32)
DENSE = RNG.normal(0, 1, (6, 2)).astype(np.float32)
BIAS = RNG.normal(0, 1, 6).astype(np.float32)
FACTORS = RNG.uniform(-2, 2, (6, 1, 1, 1)).astype(np.float32)
WEIGHTS = [CONVOLUTION, DEPTHWISE, DENSE, BIAS]
GRAPH = [
    CONVOLUTION.transpose(3, 2, 0, 1) * FACTORS,
    DEPTHWISE.transpose(2, 3, 0, 1) * FACTORS,
    DENSE,
    BIAS,
]


def test_weights_with_folded_normalizations_are_found() -> None:
    for dense in (DENSE, DENSE.T):
        found = compare_weights(WEIGHTS, graph_of(*GRAPH[:2], dense, BIAS))
        assert (found.tensors, found.found) == (5, 5)  # with the bias of the last layer
        assert found.values == sum(w.size for w in WEIGHTS) + 1
        assert found.holds
        assert found.largest < 1e-6


@given(st.integers(0, 3), st.data(), st.sampled_from([0.5, 0.99, 1.0001, 1.01]))
def test_each_changed_weight_is_detected(tensor: int, data: st.DataObject, factor: float) -> None:
    index = data.draw(st.integers(0, GRAPH[tensor].size - 1))
    changed = [values.copy() for values in GRAPH]
    changed[tensor].ravel()[index] *= factor
    found = compare_weights(WEIGHTS, graph_of(*changed))
    assert (found.found, found.wrong, found.holds) == (5, 1, False)
    assert found.largest > 0.9 * abs(factor - 1) > TOLERANCE


def test_other_weights_are_not_compared() -> None:
    """A permuted kernel is not found; the features detect it."""
    other = [GRAPH[0][:, ::-1], *GRAPH[1:3], BIAS + 1]
    found = compare_weights(WEIGHTS, graph_of(*other))
    assert (found.tensors, found.found, found.holds) == (4, 3, True)


def test_the_bias_of_the_last_layer_is_compared() -> None:
    assert compare_weights([], graph_of(), (0.5, 0.5)).holds
    for got in (0.505, 0.0):
        assert compare_weights([], graph_of(), (0.5, got)).wrong == 1
