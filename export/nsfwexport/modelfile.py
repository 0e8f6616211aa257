"""Read and write ONNX files with an embedded manifest."""

import math
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import onnx
from google.protobuf.message import DecodeError

from nsfwscan import Manifest, ManifestError, ModelError
from nsfwscan.inference.manifest import METADATA_KEY, parse_manifest
from nsfwscan.inference.modelfile import check_digest, content_digest, read_model

SCALES = ":scales"
"""The end of the names of scales that `nsfwexport.quantization.weights` adds."""

_NO_DIGEST = "0" * 64
_WEIGHT_TYPES = {
    onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.INT8,
    onnx.TensorProto.UINT8, onnx.TensorProto.INT32,
}  # fmt: skip


def read_graph(path: Path) -> Any:
    """Read an `onnx.ModelProto`.

    Raises
    ------
    ModelError
        If it cannot be read or is not an ONNX model.
    """
    return _parse(read_model(path), path)


def _parse(data: bytes, path: Path) -> Any:
    try:
        return onnx.load_from_string(data)
    except DecodeError as error:
        raise ModelError(f"{path} is not an ONNX model") from error


def read(path: Path) -> tuple[Any, Manifest]:
    """Read a model file with a manifest, and compare its digest.

    Returns
    -------
    tuple
        The `onnx.ModelProto` and its embedded manifest.

    Raises
    ------
    ModelError
        If it cannot be read, is not an ONNX model, or has another digest than its manifest.
    ManifestError
        If it carries no manifest, or an invalid one.
    """
    data = read_model(path)
    model = _parse(data, path)
    found = [entry.value for entry in model.metadata_props if entry.key == METADATA_KEY]
    if not found:
        raise ManifestError(f"{path} carries no manifest; pass a file that nsfwexport has written")
    manifest = parse_manifest(found[0], str(path))
    check_digest(data, manifest.digest, path)
    return model, manifest


Precision = Literal["single", "half", "int8", "int8 weights"]


def precision_of(model: Any) -> Precision:
    """Return the precision of an `onnx.ModelProto`.

    ``int8`` computes with integers, ``int8 weights`` only stores the weights as integers.
    """
    if any(node.op_type in {"QLinearConv", "QuantizeLinear"} for node in model.graph.node):
        return "int8"
    types = {t.data_type for t in model.graph.initializer}
    if onnx.TensorProto.INT8 in types:
        return "int8 weights"
    return "half" if onnx.TensorProto.FLOAT16 in types else "single"


def parameters(model: Any) -> int:
    """Count the weights of an `onnx.ModelProto`, without the scales of its integers."""
    scales = set[str]()
    for node in model.graph.node:
        if node.op_type in {"QuantizeLinear", "DequantizeLinear"}:
            scales.update(node.input[1:])
        elif node.op_type.startswith("QLinear"):
            at = (1, 2, 4, 5, 6, 7) if node.op_type == "QLinearConv" else range(1, len(node.input))
            scales.update(node.input[i] for i in at)
    return sum(
        math.prod(t.dims)
        for t in model.graph.initializer
        if t.data_type in _WEIGHT_TYPES and t.name not in scales and not t.name.endswith(SCALES)
    )


def embed(model: Any, manifest: Manifest, *, proven: bool = True) -> bytes:
    """Return the bytes of a model file with an embedded manifest.

    Parameters
    ----------
    model
        An `onnx.ModelProto`.
    manifest
        Its manifest, whose digest is computed anew.
    proven
        Whether the file gets a digest. One that had none, and may be damaged, must not get one.
    """
    others = {e.key: e.value for e in model.metadata_props if e.key != METADATA_KEY}
    without = replace(manifest, digest=_NO_DIGEST if proven else None)
    onnx.helper.set_model_props(model, others | {METADATA_KEY: without.to_json()})
    data: bytes = model.SerializeToString()
    if not proven:
        return data
    at, view = data.rfind(_NO_DIGEST.encode()), memoryview(data)
    digest = content_digest(data, _NO_DIGEST).encode()
    return b"".join([view[:at], digest, view[at + len(digest) :]])


def with_tools(manifest: Manifest, *packages: str) -> Manifest:
    """Add the versions of the packages that made a file."""
    return replace(manifest, tools=manifest.tools | {name: version(name) for name in packages})
