"""What an ONNX file says about its graph beyond its inputs and outputs, which ONNX Runtime tells.

The file is a protocol buffer. Only the few fields that are needed are read here, so that the
scanner does not depend on the package ``onnx``.
"""

from collections import deque
from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
"""Wire types of protocol buffers."""

_MODEL_GRAPH, _GRAPH_NODE, _NODE_INPUT, _NODE_OUTPUT, _NODE_OPERATOR = 7, 1, 1, 2, 4
"""Numbers of the fields in ``onnx.proto``."""

_TRANSPARENT = {"Identity", "Cast", "Reshape", "Squeeze", "Unsqueeze", "Flatten"}
"""Operators that leave values as they are."""


def final_operator(model: bytes, output: str) -> str | None:
    """Return the operator that computes an output of a graph, such as ``Softmax``.

    Operators after it that change no value are passed over.

    Parameters
    ----------
    model
        An ONNX file.
    output
        The output's name.

    Returns
    -------
    str or None
        None if no operator computes it.

    Raises
    ------
    ValueError
        If the data is not such a file.
    """
    nodes: dict[str, tuple[str, list[str]]] = {}
    for node in _fields(_only(memoryview(model), _MODEL_GRAPH), _GRAPH_NODE):
        operator = str(_only(node, _NODE_OPERATOR), "utf-8")
        inputs = [str(name, "utf-8") for name in _fields(node, _NODE_INPUT)]
        for name in _fields(node, _NODE_OUTPUT):
            nodes[str(name, "utf-8")] = operator, inputs
    while output in nodes:
        operator, inputs = nodes.pop(output)  # a cycle would end here
        if operator not in _TRANSPARENT or not inputs:
            return operator or None
        output = inputs[0]
    return None


def _only(message: memoryview, number: int) -> memoryview:
    """Return the field of a message that occurs once; of several the last, as the format says."""
    found = deque(_fields(message, number), maxlen=1)
    return found[0] if found else memoryview(b"")


def _fields(view: memoryview, number: int) -> Iterator[memoryview]:
    """Yield the fields of a message that have a number and a length, without copying them."""
    at = 0
    while at < len(view):
        key, at = _varint(view, at)
        kind, start = key & 7, at
        if kind == _VARINT:
            _, at = _varint(view, at)
        elif kind in {_FIXED64, _FIXED32}:
            at += 8 if kind == _FIXED64 else 4
        elif kind == _BYTES:
            length, start = _varint(view, at)
            at = start + length
        else:
            raise ValueError(f"a field has the unknown wire type {kind}")
        if at > len(view):
            raise ValueError("a field is longer than the data")
        if kind == _BYTES and key >> 3 == number:
            yield view[start:at]


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    """Read an integer of seven bits a byte; return it, and where the next field begins."""
    value = shift = 0
    while at < len(view):
        byte = view[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
        if shift >= 70:
            break
    raise ValueError("an integer is not complete")
