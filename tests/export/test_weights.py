from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsfwexport.weights import TOLERANCE, LastLayer, compare_weights


def graph_of(*values: Any, biases: Any = (None, None)) -> Any:
    """Return a model with these initializers; the first ones are those of convolutions."""
    names = [str(i) for i in range(len(values))]
    tensors = [onnx.numpy_helper.from_array(v, n) for v, n in zip(values, names, strict=True)]
    nodes = []
    for name, bias in zip(names, biases, strict=False):
        if bias is not None:
            tensors.append(onnx.numpy_helper.from_array(bias, f"{name} bias"))
            nodes.append(onnx.helper.make_node("Conv", ["x", name, f"{name} bias"], ["y"]))
    return onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", [], [], tensors))


RNG = np.random.default_rng(0)
CONVOLUTION = RNG.normal(0, 1, (3, 3, 4, 6)).astype(np.float32)
DEPTHWISE = RNG.normal(0, 1, (5, 5, 6, 1)).astype(np.float32)
DENSE = RNG.normal(0, 1, (6, 2)).astype(np.float32)
BIAS, GAMMA, BETA, MEAN = RNG.normal(0, 1, (4, 6)).astype(np.float32)
VARIANCE = RNG.uniform(0.5, 2, 6).astype(np.float32)
FACTORS = GAMMA / np.sqrt(VARIANCE + np.float32(1e-3))
OFFSETS = BETA - MEAN * FACTORS
WEIGHTS = [CONVOLUTION, GAMMA, BETA, MEAN, VARIANCE, DEPTHWISE, DENSE, BIAS]
GRAPH = [
    CONVOLUTION.transpose(3, 2, 0, 1) * FACTORS[:, None, None, None],
    DEPTHWISE.transpose(2, 3, 0, 1),
    DENSE,
]
BIASES = [OFFSETS, BIAS]


def test_weights_with_folded_normalizations_are_found() -> None:
    for dense in (DENSE, DENSE.T):
        found = compare_weights(WEIGHTS, graph_of(*GRAPH[:2], dense, biases=BIASES))
        assert (found.tensors, found.found, found.complete) == (4, 4, True)
        kernels = CONVOLUTION.size + DEPTHWISE.size + DENSE.size
        assert found.values == kernels + 4 * 6 + BIAS.size  # factors, offsets, and the plain bias
        assert found.holds
        assert found.largest < 1e-6


@given(st.integers(0, 2), st.data(), st.sampled_from([0.5, 0.99, 1.0001, 1.01]))
def test_each_changed_weight_is_detected(tensor: int, data: st.DataObject, factor: float) -> None:
    index = data.draw(st.integers(0, GRAPH[tensor].size - 1))
    changed = [values.copy() for values in GRAPH]
    changed[tensor].ravel()[index] *= factor
    found = compare_weights(WEIGHTS, graph_of(*changed, biases=BIASES))
    assert (found.found, found.wrong, found.holds) == (4, 1, False)
    assert found.largest > 0.9 * abs(factor - 1) > TOLERANCE


@given(st.integers(0, 1), st.integers(0, 5), st.sampled_from([0.5, 0.99, 1.001, 1.03]))
def test_each_changed_channel_is_detected(tensor: int, channel: int, factor: float) -> None:
    kernels, biases = [v.copy() for v in GRAPH], [v.copy() for v in BIASES]
    kernels[tensor][channel] *= factor
    found = compare_weights(WEIGHTS, graph_of(*kernels, biases=biases))
    assert (found.found, found.wrong, found.holds) == (4, 1, False)
    biases[tensor][channel] *= factor
    found = compare_weights(WEIGHTS, graph_of(*GRAPH, biases=biases))
    assert not found.holds


def test_what_no_weight_explains_is_not_found() -> None:
    """The features then detect a fault, and the probabilities decide on all images."""
    for graph in (
        graph_of(GRAPH[0][:, ::-1].copy(), *GRAPH[1:], biases=BIASES),
        graph_of(1.01 * GRAPH[0], *GRAPH[1:], biases=BIASES),
        graph_of(*GRAPH, biases=[OFFSETS + 1, BIAS]),
        graph_of(*GRAPH, biases=[OFFSETS, BIAS[::-1].copy()]),
        graph_of(*[v.astype(np.float16).astype(np.float32) for v in GRAPH[:1]], *GRAPH[1:]),
    ):
        found = compare_weights(WEIGHTS, graph)
        assert (found.tensors - found.found, found.complete) == (1, False)


def test_the_bias_of_the_last_layer_is_compared() -> None:
    head = LastLayer(BIAS, 0.5)
    assert compare_weights([], graph_of(), (head, head)).holds
    for got in (0.505, 0.0):
        found = compare_weights([], graph_of(), (head, LastLayer(BIAS, got)))
        assert (found.found, found.wrong) == (1, 1)


@pytest.mark.parametrize(
    "change", [lambda k: 1.01 * k, lambda k: -k, lambda k: k[::-1], lambda k: 0 * k,
               lambda k: k.astype(np.float16), lambda k: k[:-1]]
)  # fmt: skip
def test_any_other_kernel_of_the_last_layer_is_wrong(change: Any) -> None:
    other = LastLayer(change(BIAS).astype(np.float32), 0.5)
    assert not compare_weights([], graph_of(), (LastLayer(BIAS, 0.5), other)).holds
