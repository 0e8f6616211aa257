from contextlib import suppress
from pathlib import Path
from typing import Literal

import onnx
import pytest
from helpers import graph_model, mean_model
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from nsfwscan import Classifier, Manifest, ModelError, OutputSpec, Preprocess
from nsfwscan.inference.graph import final_operator
from nsfwscan.inference.modelfile import default_model_path


def model(folder: Path, *last: onnx.NodeProto) -> bytes:
    """Return a graph that ends in some operators, from ``logits`` on."""
    nodes = [
        helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("GlobalMaxPool", ["floats"], ["logits"]),
    ]
    path = graph_model(
        folder / "m.onnx", *nodes, *last, dtype=TensorProto.FLOAT, shape=["N", 8, 1, 1]
    )
    return path.read_bytes()


@pytest.mark.parametrize("operator", ["Softmax", "Sigmoid", "LogSoftmax", "Relu"])
def test_the_final_operator_is_named(tmp_path: Path, operator: str) -> None:
    node = helper.make_node(operator, ["logits"], ["probability"])
    assert final_operator(model(tmp_path, node), "probability") == operator


def test_operators_that_change_no_value_are_passed_over(tmp_path: Path) -> None:
    last = [
        helper.make_node("Softmax", ["logits"], ["a"], axis=1),
        helper.make_node("Cast", ["a"], ["b"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["b"], ["c"]),
        helper.make_node("Identity", ["c"], ["probability"]),
    ]
    assert final_operator(model(tmp_path, *last), "probability") == "Softmax"


def test_a_model_with_weights_and_metadata_is_read(tmp_path: Path) -> None:
    path = mean_model(tmp_path / "m.onnx", Manifest(name="m", preprocess=Preprocess(size=8)))
    assert final_operator(path.read_bytes(), "probability") == "Gemm"
    assert final_operator(path.read_bytes(), "image") is None
    assert final_operator(default_model_path().read_bytes(), "outputs") == "Softmax"


@given(st.binary(max_size=64))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with suppress(ValueError):
        final_operator(data, "x")


@given(st.data())
def test_a_damaged_model_is_read_or_refused(data: st.DataObject) -> None:
    node = helper.make_node("Softmax", ["x"], ["y"])
    graph = helper.make_graph([node], "g", [], [])
    whole = helper.make_model(graph).SerializeToString()
    cut = data.draw(st.integers(0, len(whole) - 1))
    byte = data.draw(st.integers(0, 255))
    for damaged in (whole[:cut], whole[:cut] + bytes([byte]) + whole[cut + 1 :]):
        with suppress(ValueError):
            assert final_operator(damaged, "y") != ""


@pytest.mark.parametrize("activation", ["none", "sigmoid", "softmax"])
@pytest.mark.parametrize("operator", ["Softmax", "Sigmoid", "Relu"])
def test_an_activation_after_that_of_the_graph_is_refused(
    tmp_path: Path, operator: str, activation: Literal["none", "sigmoid", "softmax"]
) -> None:
    nodes = [
        helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("GlobalAveragePool", ["floats"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["mean"]),
        helper.make_node(operator, ["mean"], ["probability"]),
    ]
    path = graph_model(tmp_path / "m.onnx", *nodes, dtype=TensorProto.FLOAT, shape=["N", 8])
    manifest = Manifest(
        name="m", preprocess=Preprocess(size=8), output=OutputSpec(activation=activation)
    )
    if activation == "none" or operator == "Relu":
        Classifier.load(path, manifest=manifest)
        return
    with pytest.raises(ModelError, match=f"ends in {operator} and gives probabilities, .*to none"):
        Classifier.load(path, manifest=manifest)
