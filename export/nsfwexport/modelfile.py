"""An ONNX file and the manifest in it: read, embed, write."""

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
        If it cannot be read or is no ONNX.
    """
    try:
        return onnx.load_from_string(read_model(path))
    except DecodeError as error:
        raise ModelError(f"{path} is no ONNX model") from error


def read(path: Path) -> tuple[Any, Manifest]:
    """Read a model file of ours.

    Returns
    -------
    tuple
        The `onnx.ModelProto`, and the manifest that it carries.

    Raises
    ------
    ModelError
        If it cannot be read or is no ONNX.
    ManifestError
        If it carries no manifest, or one that does not hold.
    """
    model = read_graph(path)
    found = [entry.value for entry in model.metadata_props if entry.key == METADATA_KEY]
    if not found:
        raise ManifestError(f"{path} carries no manifest; name a file that nsfwexport has made")
    return model, parse_manifest(found[0], str(path))


def is_half(model: Any) -> bool:
    """Tell whether an `onnx.ModelProto` has weights in float16."""
    return any(t.data_type == onnx.TensorProto.FLOAT16 for t in model.graph.initializer)


def embed(model: Any, manifest: Manifest) -> bytes:
    """Give the bytes of a model file with its manifest in it."""
    others = {e.key: e.value for e in model.metadata_props if e.key != METADATA_KEY}
    onnx.helper.set_model_props(model, others | {METADATA_KEY: manifest.to_json()})
    data: bytes = model.SerializeToString()
    return data


def with_tools(manifest: Manifest, *packages: str) -> Manifest:
    """Add the versions of packages that had a part in making a file."""
    return replace(manifest, tools=manifest.tools | {name: version(name) for name in packages})
