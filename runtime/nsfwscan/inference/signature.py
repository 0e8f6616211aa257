"""A model's graph from outside: its inputs and outputs, and whether a manifest fits them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nsfwscan.errors import ModelError
from nsfwscan.inference.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input or output of a graph, as ONNX Runtime reports it."""

    name: str
    dtype: str
    shape: tuple[int | str | None, ...]

    def __str__(self) -> str:
        """Write it as ``image: uint8 [N, 224, 224, 3]``."""
        axes = ", ".join(str(n) if isinstance(n, int) else "N" for n in self.shape)
        return f"{self.name}: {self.dtype} [{axes}]"


def tensors(nodes: Sequence[Any]) -> tuple[Tensor, ...]:
    """Turn what ONNX Runtime says of inputs or outputs into `Tensor`."""
    names = {"float": "float32", "double": "float64"}
    found = []
    for node in nodes:
        dtype = node.type.removeprefix("tensor(").removesuffix(")")
        found.append(Tensor(node.name, names.get(dtype, dtype), tuple(node.shape or ())))
    return tuple(found)


def check_graph(
    manifest: Manifest, inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...], path: Path
) -> int | None:
    """Compare a graph with a manifest.

    Returns
    -------
    int or None
        The batch size, if the graph fixes one.

    Raises
    ------
    ModelError
        If they do not fit together. The message says what the one has and the other wants.
    """
    size, spec = manifest.preprocess.size, manifest.input
    if len(inputs) != 1 or inputs[0].name != spec.name:
        names = ", ".join(str(tensor) for tensor in inputs)
        raise ModelError(f"{path} takes {names}, its manifest says one input named {spec.name!r}")
    given = inputs[0]
    axes = (size, size, 3) if spec.layout == "NHWC" else (3, size, size)
    wanted = Tensor(spec.name, spec.dtype, ("N", *axes))
    fits = len(given.shape) == 4 and all(
        not isinstance(has, int) or has == wants
        for has, wants in zip(given.shape[1:], axes, strict=True)
    )
    if given.dtype != spec.dtype or not fits:
        raise ModelError(f"{path} takes {given}, its manifest says {wanted}")
    found = [tensor for tensor in outputs if tensor.name == manifest.output.name]
    if not found:
        names = ", ".join(str(tensor) for tensor in outputs)
        raise ModelError(
            f"{path} gives {names}, its manifest says an output named {manifest.output.name!r}"
        )
    shape = found[0].shape
    columns = shape[1] if len(shape) > 1 else 1
    if found[0].dtype not in {"float32", "float16", "float64"} or len(shape) not in {1, 2}:
        raise ModelError(f"{path} gives {found[0]}, expected floats [N] or [N, columns]")
    if isinstance(columns, int) and manifest.output.column >= columns:
        raise ModelError(
            f"{path} gives {found[0]}, its manifest says column {manifest.output.column}"
        )
    batch = given.shape[0]
    if batch == 0:
        raise ModelError(f"{path} takes {given}: batches of nothing")
    return batch if isinstance(batch, int) else None
