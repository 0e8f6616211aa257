"""The rules for model files of this project, and their checks."""

from pathlib import Path
from typing import Any

from onnx import TensorProto

from nsfwexport.errors import ConversionError
from nsfwscan import Classifier, InputSpec, OutputSpec

_STANDARD = {"", "ai.onnx"}


def violations(model: Classifier) -> list[str]:
    """List the rules of a self-contained model file that a model breaks, one sentence each.

    The file must carry its manifest, with a digest. It has exactly one input, uint8 ``image``
    [N, S, S, 3] in RGB with any N, and exactly one output, float32 ``probability`` [N, 1].
    """
    broken = []
    manifest, size = model.manifest, model.manifest.preprocess.size
    if model.manifest_origin != "embedded":
        broken.append(f"the manifest is not embedded in the file but {model.manifest_origin}")
    if manifest.digest is None:
        broken.append(
            "the manifest states no digest, so damage would not be noticed; convert the run again"
        )
    if manifest.input != InputSpec():
        broken.append("the manifest asks the caller to scale or reorder the RGB pixels")
    if manifest.output != OutputSpec():
        broken.append("the manifest asks the caller to convert the output to a probability")
    if manifest.preprocess.resize is not None:
        broken.append("the manifest crops images; the contract is to resize them whole")
    (given,) = model.inputs  # a classifier has one input
    if (given.name, given.dtype, given.shape[1:]) != ("image", "uint8", (size, size, 3)):
        broken.append(f"the input is {given}, not image: uint8 [N, {size}, {size}, 3]")
    if isinstance(given.shape[0], int):
        broken.append(f"the input takes batches of {given.shape[0]} only")
    outputs = ", ".join(map(str, model.outputs))
    first = model.outputs[0]
    if len(model.outputs) != 1 or (first.name, first.dtype, first.shape[1:]) != (
        "probability", "float32", (1,),
    ):  # fmt: skip
        broken.append(f"the output is {outputs}, not probability: float32 [N, 1]")
    return broken


def graph_violations(model: Any) -> list[str]:
    """List the rules of a portable, single-file graph that an `onnx.ModelProto` breaks."""
    broken = []
    custom = sorted({node.domain for node in _nodes(model.graph) if not _portable(node)})
    if custom or model.functions:
        names = ", ".join(custom) or "functions of the model"
        broken.append(f"the graph uses operators outside the ONNX standard: {names}")
    if any(t.data_location == TensorProto.EXTERNAL for t in model.graph.initializer):
        broken.append("weights are stored in another file")
    return broken


def _portable(node: Any) -> bool:
    """Return whether a node is of the ONNX standard, or an integer operator of ONNX Runtime."""
    integer = node.domain == "com.microsoft" and node.op_type.startswith("QLinear")
    return integer or node.domain in _STANDARD


def _nodes(graph: Any) -> Any:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner)


def require(path: Path, model: Any, original: Classifier | None = None) -> None:
    """Raise `ConversionError` if a model file, read as an `onnx.ModelProto`, breaks a rule.

    A file made from a model may break the rules that this `original` breaks.
    """
    broken = graph_violations(model) + violations(Classifier.load(path, device="cpu"))
    if original is not None:
        known = violations(original)
        broken = [sentence for sentence in broken if sentence not in known]
    if broken:
        raise ConversionError("the converted model breaks the contract: " + "; ".join(broken))
