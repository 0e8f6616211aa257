"""Read and write ONNX files with an embedded manifest."""

from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError

from nsfwscan import Manifest, ManifestError, ModelError
from nsfwscan.inference.manifest import METADATA_KEY, parse_manifest
from nsfwscan.inference.modelfile import read_model


def read_graph(path: Path) -> Any:
    """Read an `onnx.ModelProto`.

    Raises
    ------
    ModelError
        If it cannot be read or is not an ONNX model.
    """
    try:
        return onnx.load_from_string(read_model(path))
    except DecodeError as error:
        raise ModelError(f"{path} is not an ONNX model") from error


def read(path: Path) -> tuple[Any, Manifest]:
    """Read a model file with a manifest.

    Returns
    -------
    tuple
        The `onnx.ModelProto` and its embedded manifest.

    Raises
    ------
    ModelError
        If it cannot be read or is not an ONNX model.
    ManifestError
        If it carries no manifest, or an invalid one.
    """
    model = read_graph(path)
    found = [entry.value for entry in model.metadata_props if entry.key == METADATA_KEY]
    if not found:
        raise ManifestError(f"{path} carries no manifest; pass a file that nsfwexport has written")
    return model, parse_manifest(found[0], str(path))


def is_half(model: Any) -> bool:
    """Return whether an `onnx.ModelProto` has weights in float16."""
    return any(t.data_type == onnx.TensorProto.FLOAT16 for t in model.graph.initializer)


def embed(model: Any, manifest: Manifest) -> bytes:
    """Return the bytes of a model file with an embedded manifest."""
    others = {e.key: e.value for e in model.metadata_props if e.key != METADATA_KEY}
    onnx.helper.set_model_props(model, others | {METADATA_KEY: manifest.to_json()})
    data: bytes = model.SerializeToString()
    return data


def with_tools(manifest: Manifest, *packages: str) -> Manifest:
    """Add the versions of the packages that made a file."""
    return replace(manifest, tools=manifest.tools | {name: version(name) for name in packages})
