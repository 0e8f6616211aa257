"""Prepare a graph for integers, and list its layers."""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import onnx
from onnxruntime.quantization.shape_inference import quant_pre_process

from nsfwexport.errors import ConversionError

OPSET = 13
"""The first version of ONNX's operators with one scale per channel."""

_WITH_WEIGHTS = {"Conv", "Gemm", "MatMul"}


@contextmanager
def quiet() -> Iterator[None]:
    """Discard what the quantizer prints and logs: failures raise exceptions."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stdout(StringIO()):
            yield
    finally:
        logging.disable(before)


def with_scales(model: Any) -> Any:
    """Return an `onnx.ModelProto` in a version of the operators that has scales per channel."""
    version = next(o.version for o in model.opset_import if o.domain in {"", "ai.onnx"})
    return model if version >= OPSET else onnx.version_converter.convert_version(model, OPSET)


def prepare(model: Any, name: Path) -> Any:
    """Fold batch normalizations into convolutions, and infer the shapes.

    Parameters
    ----------
    model
        An `onnx.ModelProto`.
    name
        Its file, for messages.

    Raises
    ------
    ConversionError
        If ONNX Runtime cannot do it.
    """
    try:
        with tempfile.TemporaryDirectory() as folder, quiet():
            given, prepared = Path(folder) / "given.onnx", Path(folder) / "prepared.onnx"
            given.write_bytes(model.SerializeToString())
            quant_pre_process(given, prepared, skip_symbolic_shape=True)
            found = onnx.shape_inference.infer_shapes(with_scales(onnx.load(prepared)))
    except Exception as error:
        raise ConversionError(f"cannot prepare {name} for integers: {error}") from error
    tidy(found)
    for i, node in enumerate(found.graph.node):
        node.name = node.name or f"{node.op_type} {i}"  # nodes are chosen by name
    return found


def tidy(model: Any) -> None:
    """Remove the operator sets that no node uses, and the notes of the quantizer."""
    used = {node.domain for node in model.graph.node} | {""}
    kept = [o for o in model.opset_import if o.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    notes = [e for e in model.metadata_props if not e.key.startswith("onnx.")]
    del model.metadata_props[:]
    model.metadata_props.extend(notes)


def with_weights(model: Any) -> list[str]:
    """Return the names of the nodes with weights, in order."""
    initializers = {tensor.name for tensor in model.graph.initializer}
    return [
        node.name
        for node in model.graph.node
        if node.op_type in _WITH_WEIGHTS and initializers.intersection(node.input)
    ]


def layers(model: Any) -> list[str]:
    """Return the names of the layers to convert, in order: all with weights but the last one.

    A classifier's last layer is small, and its weights are large: their rounding errors decide.
    """
    return with_weights(model)[:-1]
