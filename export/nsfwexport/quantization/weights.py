"""Store the weights of a model as 8-bit integers, and compute in floats."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from nsfwexport.comparison import Report, Tolerance
from nsfwexport.errors import ConversionError
from nsfwexport.modelfile import SCALES
from nsfwexport.original import Original
from nsfwexport.parity import publish
from nsfwscan.reports.progress import Progress, no_progress

_LEAST = 10_000
"""Smaller tensors stay in floats: they hardly count, and a last layer's rounding errors decide."""

_LARGEST = 127


def weights_only(
    path: Path,
    out: Path,
    *,
    images: Sequence[Path] | None = None,
    manifest: Path | None = None,
    devices: Sequence[str] = ("cpu",),
    tolerances: Mapping[str, Tolerance] | None = None,
    progress: Progress = no_progress,
) -> Report:
    """Store the weights as 8-bit integers with one scale per channel: a quarter of the size.

    The file takes as much time and memory as before: engines convert the weights when they load it.

    Parameters
    ----------
    path, out, manifest, devices, tolerances
        As in `nsfwexport.quantization.quantize.quantize`. The usual tolerances are those of
        ``int8 weights``.
    images
        Images to compare on; None generates some.

    Raises
    ------
    ConversionError
        If the file is not in single precision, or has no large weights.
    ParityError
        If the scores differ by more than the tolerance.
    """
    original = Original.load(path, manifest)
    smaller = store_as_integers(original.model)
    if smaller is None:
        raise ConversionError(f"{path} has no weights of {_LEAST:,} values or more")
    return publish(
        smaller, original.derived("int8-weights", "weights stored as INT8"), out,
        original.reference,
        images=images, devices=devices, tolerances=tolerances, original=original.classifier,
        hint="8 bits are too coarse for the weights of this model, unless --max-difference allows "
        "more; nsfwexport half makes a file of half the size",
        progress=progress,
    )  # fmt: skip


def store_as_integers(model: Any) -> Any | None:
    """Replace the large weights of an `onnx.ModelProto` by integers, converted back by two nodes.

    Engines compute these nodes (Cast, Mul) once, when they load the file. ONNX Runtime keeps
    DequantizeLinear in the graph and computes it for every image, which takes up to twice the time.

    Returns
    -------
    onnx.ModelProto or None
        A copy. None if there are no large weights.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    axes = _channel_axes(graph)
    kept, nodes = [], []
    for tensor in graph.initializer:
        axis = axes.get(tensor.name)
        if axis is None or np.prod(tensor.dims) < _LEAST:
            kept.append(tensor)
            continue
        name = tensor.name
        integers, scales = to_integers(numpy_helper.to_array(tensor), axis)
        kept.append(numpy_helper.from_array(integers, f"{name}:int8"))
        kept.append(numpy_helper.from_array(scales, f"{name}{SCALES}"))
        to = onnx.TensorProto.FLOAT
        nodes.append(helper.make_node("Cast", [f"{name}:int8"], [f"{name}:float"], to=to))
        nodes.append(helper.make_node("Mul", [f"{name}:float", f"{name}{SCALES}"], [name]))
    if not nodes:
        return None
    nodes += graph.node
    for field, values in ((graph.initializer, kept), (graph.node, nodes)):
        copies = [type(value).FromString(value.SerializeToString()) for value in values]
        del field[:]
        field.extend(copies)
    return copy


def _channel_axes(graph: Any) -> dict[str, int]:
    """Return the axis of the output channels of each weight in floats, by name."""
    found = {}
    sizes = {t.name: t for t in graph.initializer if t.data_type == onnx.TensorProto.FLOAT}
    for node in graph.node:
        tensor = sizes.get(node.input[1]) if len(node.input) > 1 else None
        if tensor is None:
            continue
        if node.op_type == "Conv":
            found[tensor.name] = 0
        elif node.op_type == "MatMul":
            found[tensor.name] = len(tensor.dims) - 1
        elif node.op_type == "Gemm":
            transposed = any(a.name == "transB" and a.i for a in node.attribute)
            found[tensor.name] = 0 if transposed else 1
    return found


def to_integers(
    weights: NDArray[np.float32], axis: int
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Round weights to multiples of a scale, one for each channel.

    Parameters
    ----------
    weights
        float32, of any shape.
    axis
        The axis of the channels.

    Returns
    -------
    integers, scales
        int8 in [-127, 127], of the same shape; float32, broadcastable to it. Their product differs
        from the weights by at most half a scale.
    """
    others = tuple(i for i in range(weights.ndim) if i != axis % weights.ndim)
    largest = np.abs(weights).max(axis=others, keepdims=True)
    scales = (largest / _LARGEST).astype(np.float32)
    scales[scales == 0] = 1
    integers = np.rint(weights / scales).clip(-_LARGEST, _LARGEST).astype(np.int8)
    return integers, scales
