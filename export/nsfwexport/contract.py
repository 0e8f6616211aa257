"""What a model file of ours must be, and what of it does not hold for a given one."""

from pathlib import Path
from typing import Any

from onnx import TensorProto

from nsfwexport.errors import ConversionError
from nsfwscan import Classifier, InputSpec, OutputSpec

_STANDARD = {"", "ai.onnx"}


def violations(model: Classifier) -> list[str]:
    """List what keeps a model from being one self-contained file of ours.

    It must carry its manifest, take uint8 ``image`` [N, S, S, 3] in RGB with any N, and give
    float32 ``probability`` [N, 1]: exactly one input and one output.

    Parameters
    ----------
    model
        The model, loaded with the manifest that it carries or is given.

    Returns
    -------
    list of str
        One sentence for each rule that is broken; empty if the contract holds.
    """
    broken = []
    manifest, size = model.manifest, model.manifest.preprocess.size
    if model.manifest_origin != "embedded":
        broken.append(f"the manifest is not embedded in the file but {model.manifest_origin}")
    if manifest.input != InputSpec():
        broken.append("the manifest asks the caller for more than RGB pixels: scaling, or an order")
    if manifest.output != OutputSpec():
        broken.append("the manifest asks the caller to make a probability of the output")
    if manifest.preprocess.resize is not None:
        broken.append("the manifest crops images; ours are resized whole")
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
    """List what keeps a graph from running anywhere, from one file.

    Parameters
    ----------
    model
        An `onnx.ModelProto`.

    Returns
    -------
    list of str
        One sentence for each rule that is broken.
    """
    broken = []
    custom = sorted({node.domain for node in _nodes(model.graph)} - _STANDARD)
    if custom or model.functions:
        names = ", ".join(custom) or "functions of its own"
        broken.append(f"the graph uses operators that are not ONNX's own: {names}")
    if any(t.data_location == TensorProto.EXTERNAL for t in model.graph.initializer):
        broken.append("weights lie in another file")
    return broken


def _nodes(graph: Any) -> Any:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner)


def require(path: Path, model: Any) -> None:
    """Raise `ConversionError` unless a model file keeps all rules.

    Parameters
    ----------
    path
        The file.
    model
        The `onnx.ModelProto` in it.
    """
    broken = graph_violations(model) + violations(Classifier.load(path, device="cpu"))
    if broken:
        raise ConversionError("the converted model breaks the contract: " + "; ".join(broken))
