"""Convert a model file to half precision: half the size, the same contract."""

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from onnxruntime.transformers.float16 import convert_float_to_float16

from nsfwexport import modelfile
from nsfwexport.comparison import Report, Tolerance
from nsfwexport.errors import ConversionError
from nsfwexport.parity import publish
from nsfwexport.reference import Reference
from nsfwscan import Classifier


def half(
    path: Path,
    out: Path,
    *,
    images: Sequence[Path] | None = None,
    devices: Sequence[str] = ("cpu",),
    tolerances: Mapping[str, Tolerance] | None = None,
) -> Report:
    """Convert weights and arithmetic of a model file to float16; input and output keep their types.

    Parameters
    ----------
    path
        A model file of this project, in single precision.
    out
        The new file. An existing one stays if anything fails.
    images
        Images to compare on; None generates some.
    devices, tolerances
        See `nsfwexport.parity.verify`.

    Returns
    -------
    Report
        The comparison with the file in single precision on the CPU.

    Raises
    ------
    ModelError
        If the file cannot be read or carries no manifest.
    ConversionError
        If it is already in half precision, or cannot be converted.
    ParityError
        If the scores differ by more than the tolerance.
    """
    model, manifest = modelfile.read(path)
    if modelfile.is_half(model):
        raise ConversionError(f"{path} is already in half precision; convert its original")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    smaller = _to_half(model, path)
    manifest = modelfile.with_tools(
        replace(
            manifest,
            name=f"{manifest.name}-fp16",
            source=f"{manifest.name} (SHA-256 {sha256}), converted to half precision",
            parity=None,
        ),
        "nsfwscan", "onnx", "onnxruntime",
    )  # fmt: skip
    whole = Classifier.load(path, device="cpu")
    return publish(
        smaller, manifest, out,
        Reference(name=str(path), preprocess=manifest.preprocess, score=whole.predict),
        images=images, devices=devices, tolerances=tolerances,
        hint="half precision is too coarse for this model, unless --max-difference allows more",
    )  # fmt: skip


def _to_half(model: Any, path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tiny weights become the smallest float16
            return convert_float_to_float16(model, keep_io_types=True)
    except Exception as error:
        raise ConversionError(f"cannot convert {path} to half precision: {error}") from error
