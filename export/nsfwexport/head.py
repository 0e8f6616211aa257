"""The last layer of a model file, ``Dense(1, sigmoid)``, and the features that it takes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper, numpy_helper

from nsfwexport.reference import Features, Scores
from nsfwexport.weights import LastLayer
from nsfwscan.decoding.pixels import Pixels
from nsfwscan.inference.session import engine, open_session


@dataclass(frozen=True)
class Head:
    """The last layer of a graph, and the name of the tensor that it takes, float32 (N, F)."""

    features: str
    layer: LastLayer


def find_head(model: Any) -> Head | None:
    """Return the last layer of an `onnx.ModelProto`; None if it is not a ``Dense(1, sigmoid)``."""
    makers = {name: node for node in model.graph.node for name in node.output}
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer
              if len(tensor.dims) < 3}  # fmt: skip
    node = makers.get(model.graph.output[0].name)
    while node is not None and node.op_type == "Identity":
        node = makers.get(node.input[0])
    if node is None or node.op_type != "Sigmoid":
        return None
    node, bias = makers.get(node.input[0]), 0.0
    if node is not None and node.op_type == "Add" and node.input[1] in values:
        added, node = values[node.input[1]], makers.get(node.input[0])
        if added.size != 1:
            return None
        bias = float(added.item())
    if node is None or node.op_type not in {"MatMul", "Gemm"} or node.input[1] not in values:
        return None
    options = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    kernel = options.get("alpha", 1.0) * values[node.input[1]]
    if options.get("transA") or kernel.size != max(kernel.shape):
        return None
    for name in node.input[2:]:
        if name not in values or values[name].size != 1:
            return None
        bias += options.get("beta", 1.0) * float(values[name].item())
    return Head(node.input[0], LastLayer(kernel.ravel(), bias))


class Exposed:
    """A copy of a model file that also returns the features.

    A model file has one output. The copy exists in memory only.

    Parameters
    ----------
    model
        An `onnx.ModelProto` with the input ``image`` of a model file of this project.
    head
        Its last layer.
    path
        The model file, for messages.
    device, tf32, intra_op_threads
        As in `nsfwscan.Classifier.load`.
    """

    def __init__(
        self, model: Any, head: Head, path: Path, *, device: str, tf32: bool, intra_op_threads: int
    ) -> None:
        self._input = model.graph.input[0].name
        self._outputs = [model.graph.output[0].name, head.features]
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        exposed = helper.make_tensor_value_info(head.features, TensorProto.FLOAT, None)
        copy.graph.output.append(exposed)
        data = copy.SerializeToString()
        self._session, _ = open_session(engine(), data, path, device, intra_op_threads, tf32=tf32)

    def predict(self, pixels: Pixels) -> tuple[Scores, Features]:
        """Return the probabilities, float32 (N,), and the features, float32 (N, F)."""
        scores, features = self._session.run(self._outputs, {self._input: pixels})
        return scores[:, 0], features
