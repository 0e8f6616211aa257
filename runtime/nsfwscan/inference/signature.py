"""The signature of a model (its inputs and outputs), and its comparison with the manifest."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nsfwscan.errors import ModelError
from nsfwscan.inference.graph import final_operator
from nsfwscan.inference.manifest import Manifest, OutputSpec

_ACTIVATIONS = {"Sigmoid", "Softmax"}

FLOATS = {"float16", "float32", "float64"}
_NUMPY_NAMES = {"float": "float32", "double": "float64"}


@dataclass(frozen=True, slots=True)
class Tensor:
    """One input or output of a model, as ONNX Runtime reports it."""

    name: str
    dtype: str
    shape: tuple[int | str | None, ...]

    def __str__(self) -> str:
        """Return such as ``image: uint8 [N, 224, 224, 3]``."""
        axes = ", ".join(str(n) if isinstance(n, int) else "N" for n in self.shape)
        return f"{self.name}: {self.dtype} [{axes}]"


def tensors(nodes: Sequence[Any]) -> tuple[Tensor, ...]:
    """Convert ONNX Runtime's descriptions of inputs or outputs."""
    dtypes = [node.type.removeprefix("tensor(").removesuffix(")") for node in nodes]
    return tuple(
        Tensor(node.name, _NUMPY_NAMES.get(dtype, dtype), tuple(node.shape or ()))
        for node, dtype in zip(nodes, dtypes, strict=True)
    )


def check_signature(
    manifest: Manifest, inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...], path: Path
) -> int | None:
    """Check that a model's inputs and outputs match its manifest.

    Returns
    -------
    int or None
        The batch size, if the model fixes it.

    Raises
    ------
    ModelError
        If they do not match. The message describes both.
    """
    batch = _check_input(manifest, inputs, path)
    _check_output(manifest.output, outputs, path)
    return batch


def check_activation(
    data: bytes, manifest: Manifest, outputs: Sequence[Tensor], path: Path
) -> None:
    """Check that the manifest names no activation if the graph ends in one.

    Applied twice, it gives other scores, which look like probabilities.

    Parameters
    ----------
    data
        The model file.
    manifest, outputs, path
        As in `check_signature`.

    Raises
    ------
    ModelError
        If it does.
    """
    activation = manifest.output.activation
    if activation == "none":
        return
    last = final_operator(data, manifest.output.name or outputs[0].name)
    if last in _ACTIVATIONS:
        raise ModelError(
            f"{path} ends in {last} and gives probabilities, but in its manifest "
            f"output.activation is {activation}: set it to none"
        )


def _check_input(manifest: Manifest, inputs: tuple[Tensor, ...], path: Path) -> int | None:
    size, spec = manifest.preprocess.size, manifest.input
    found = inputs[0] if len(inputs) == 1 else None
    if found is None or spec.name not in {found.name, None}:
        takes = ", ".join(map(str, inputs))
        named = "" if spec.name is None else f" named {spec.name!r}"
        raise ModelError(f"{path} takes {takes}, but its manifest has one input{named}")
    axes = (size, size, 3) if spec.layout == "NHWC" else (3, size, size)
    agrees = len(found.shape) == 4 and all(
        not isinstance(actual, int) or actual == expected
        for actual, expected in zip(found.shape[1:], axes, strict=True)
    )
    if found.dtype != spec.dtype or not agrees:
        expected = Tensor(found.name, spec.dtype, ("N", *axes))
        raise ModelError(f"{path} takes {found}, but its manifest has {expected}")
    batch = found.shape[0]
    if batch == 0:
        raise ModelError(f"{path} takes {found}: its batch size is fixed at 0")
    return batch if isinstance(batch, int) else None


def _check_output(spec: OutputSpec, outputs: tuple[Tensor, ...], path: Path) -> None:
    gives = ", ".join(map(str, outputs))
    if spec.name is None and len(outputs) != 1:
        raise ModelError(f"{path} gives {gives}: its manifest must have the name of one of them")
    found = next((tensor for tensor in outputs if spec.name in {tensor.name, None}), None)
    if found is None:
        raise ModelError(
            f"{path} gives {gives}, but its manifest has an output named {spec.name!r}"
        )
    if found.dtype not in FLOATS or len(found.shape) not in {1, 2}:
        raise ModelError(f"{path} gives {found}, expected floats [N] or [N, columns]")
    columns = found.shape[1] if len(found.shape) == 2 else 1
    if isinstance(columns, int) and (complaint := spec.contradiction(columns)):
        raise ModelError(f"{path} gives {found}, but in its manifest {complaint}")
