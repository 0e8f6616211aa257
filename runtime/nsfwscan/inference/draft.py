"""Draft the manifest of a foreign model from its graph and the configurations beside it.

What neither tells stays open, as a text that says what to fill in: the scanner refuses a draft with
open fields. The configurations are those of Hugging Face: ``config.json`` has the classes (and of a
model from timm also the preprocessing), ``preprocessor_config.json`` the preprocessing.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nsfwscan.errors import ModelError
from nsfwscan.inference.graph import final_operator
from nsfwscan.inference.huggingface import CONFIG, PROCESSOR, Processing, processing_of
from nsfwscan.inference.known import BUILT_IN
from nsfwscan.inference.manifest import METADATA_KEY, OPEN, open_fields, parse_manifest
from nsfwscan.inference.modelfile import read_model
from nsfwscan.inference.session import engine, open_session
from nsfwscan.inference.signature import FLOATS, Tensor, tensors
from nsfwscan.util.escape import to_json
from nsfwscan.util.inputs import open_input

_MAX_BYTES = 1 << 20

_PROBABILITIES = {"Softmax", "Sigmoid"}
"""Final operators after which an output holds probabilities."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A manifest, mostly incomplete.

    Attributes
    ----------
    text
        JSON.
    notes
        Sentences on what is left to do.
    """

    text: str
    notes: tuple[str, ...]


def draft_of(path: Path) -> Draft:
    """Draft the manifest of a model file. One that already has a manifest keeps it.

    Raises
    ------
    ModelError
        If the file is no ONNX model, if no manifest can describe it, or if a configuration beside
        it is damaged or contradicts it.
    EngineError
        If ONNX Runtime is not installed.
    """
    data = read_model(path)
    session, _ = open_session(engine(), data, path, "cpu", 1, tf32=False)
    embedded = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if embedded is not None:
        text = parse_manifest(embedded, str(path)).to_json()
        return Draft(text, (f"{path} contains this manifest; nothing is left to fill in",))
    known = BUILT_IN.get(hashlib.sha256(data).hexdigest())
    if known is not None:
        return Draft(known.to_json(), (f"{path} is a known model; it needs no manifest file",))
    config, processor = (_read_config(path.with_name(name)) for name in (CONFIG, PROCESSOR))
    outputs = tensors(session.get_outputs())
    operators = {tensor.name: final_operator(data, tensor.name) for tensor in outputs}
    try:
        facts = draft(
            path.stem, tensors(session.get_inputs()), outputs, operators, config, processor
        )
    except ValueError as error:
        raise ModelError(f"{path} {error}") from error
    left = [f"fill in {name}: {hint}" for name, hint in open_fields(facts)]
    if not config and not processor:
        left.insert(
            0,
            f"the model has neither {CONFIG} nor {PROCESSOR} beside it; if its publisher offers "
            "these files, put them there and draft again",
        )
    left.append("the threshold is 0.5 until you measure a better one on your own images")
    return Draft(to_json(facts, indent=2), tuple(left))


def _read_config(path: Path) -> dict[str, Any]:
    """Read a configuration; without the file, it is empty."""
    if not path.exists():
        return {}
    with open_input(path, error=ModelError) as stream:
        text = stream.read(_MAX_BYTES + 1)
    try:
        found = json.loads(text) if len(text) <= _MAX_BYTES else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ModelError(f"{path} is not a JSON object; restore it or move it away")
    return found


def draft(
    name: str,
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    operators: Mapping[str, str | None],
    config: Mapping[str, Any],
    processor: Mapping[str, Any],
) -> dict[str, Any]:
    """Describe a model as far as its graph and its configurations tell.

    Parameters
    ----------
    name
        The model's name.
    inputs, outputs
        Those of the graph.
    operators
        The final operator of each output.
    config, processor
        The contents of ``config.json`` and ``preprocessor_config.json``; empty without the file.

    Returns
    -------
    dict
        The fields of a manifest. What is not known is a text that begins with `OPEN`.

    Raises
    ------
    ValueError
        If no manifest describes such a graph, or a configuration contradicts it.
    """
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        takes = ", ".join(map(str, inputs))
        raise ValueError(f"takes {takes}; a manifest describes one input of four axes")
    tensor = inputs[0]
    if tensor.dtype not in {"uint8", "float16", "float32"}:
        raise ValueError(f"takes {tensor}; a manifest describes uint8, float16 or float32")
    layout = _layout(tensor)
    processing = processing_of(_side(tensor, layout), config, processor)
    return {
        "name": name,
        "threshold": 0.5,
        "preprocess": processing.preprocess,
        "input": _input(tensor, layout, processing),
        "output": _output(outputs, operators, config),
    }


def _layout(tensor: Tensor) -> str | None:
    """Tell which axis holds the channels, by its length or its name."""
    first, last = (
        axis == 3 or (isinstance(axis, str) and "channel" in axis.lower())
        for axis in (tensor.shape[1], tensor.shape[3])
    )
    if first == last:
        return None
    return "NCHW" if first else "NHWC"


def _side(tensor: Tensor, layout: str | None) -> int | None:
    axes = tensor.shape[1:3] if layout == "NHWC" else tensor.shape[2:]
    sides = {axis for axis in axes if isinstance(axis, int)} if layout is not None else set()
    if len(sides) > 1:
        raise ValueError(f"takes {tensor}; a manifest describes square images")
    return sides.pop() if sides else None


def _input(tensor: Tensor, layout: str | None, processing: Processing) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "name": tensor.name,
        "dtype": tensor.dtype,
        "layout": layout or f"{OPEN}NHWC or NCHW",
        "channels": processing.channels or f"{OPEN}RGB or BGR",
    }
    if tensor.dtype == "uint8":
        return facts
    each = "three numbers, one for each channel: each pixel value v of 0 to 255 becomes"
    facts["mean"] = processing.mean or f"{OPEN}{each} (v - mean) * scale"
    facts["scale"] = processing.scale or f"{OPEN}{each} (v - mean) * scale"
    return facts


def _output(
    outputs: Sequence[Tensor], operators: Mapping[str, str | None], config: Mapping[str, Any]
) -> dict[str, Any]:
    usable = [one for one in outputs if one.dtype in FLOATS and len(one.shape) in {1, 2}]
    if not usable:
        gives = ", ".join(map(str, outputs))
        raise ValueError(f"gives {gives}; a manifest describes floats [N] or [N, columns]")
    classes = _classes(config)
    if len(usable) > 1:
        names = " or ".join(tensor.name for tensor in usable)
        columns, operator, name = len(classes) or None, None, f"{OPEN}{names}"
    else:
        name, operator = usable[0].name, operators[usable[0].name]
        axis = usable[0].shape[1] if len(usable[0].shape) == 2 else 1
        columns = axis if isinstance(axis, int) else len(classes) or None
    if classes and columns != len(classes):
        raise ValueError(
            f"gives {usable[0]}, and {CONFIG} beside it names {len(classes)} classes "
            f"({', '.join(classes)}): it is that of another model; move it away"
        )
    facts: dict[str, Any] = {
        "name": name,
        "activation": _activation(operator, classes, config),
    }
    if classes:
        facts["classes"] = classes
    return facts | _reduction(columns, classes)


def _classes(config: Mapping[str, Any]) -> list[str]:
    """Return the names of the classes in the order of their columns; empty if there are none."""
    names = config.get("id2label")
    if isinstance(names, dict) and all(str(key).isdecimal() for key in names):
        return [str(names[key]) for key in sorted(names, key=int)]
    names = config.get("label_names")  # of timm
    return list(map(str, names)) if isinstance(names, list) else []


def _activation(operator: str | None, classes: Sequence[str], config: Mapping[str, Any]) -> str:
    if operator in _PROBABILITIES:
        return "none"
    if operator == "LogSoftmax":
        return "softmax"  # it undoes the logarithm
    if classes:  # as the pipelines of transformers do
        alone = len(classes) == 1 or config.get("problem_type") == "multi_label_classification"
        return "sigmoid" if alone else "softmax"
    last = "" if operator is None else f" (the last operator is {operator})"
    return f"{OPEN}none if the output holds probabilities{last}, or else sigmoid or softmax"


def _reduction(columns: int | None, classes: Sequence[str]) -> dict[str, Any]:
    """Describe how the columns become the score. Which of them count, only people know."""
    if columns == 1:
        return {"column": 0}
    if len(classes) > 2:
        return {
            "counted": f"{OPEN}a list of those of the classes that make up the score",
            "reduction": f"{OPEN}sum, maximum or complement of the counted classes",
        }
    named = " or ".join(f"{index} ({name})" for index, name in enumerate(classes))
    last = "" if columns is None else f", 0 to {columns - 1}"
    return {"column": f"{OPEN}{named or f'the column of the class that counts{last}'}"}
