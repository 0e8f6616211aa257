"""A model file in half precision: half the size, the same contract."""

import hashlib
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from onnxruntime.transformers.float16 import convert_float_to_float16

from nsfwexport import modelfile, pictures
from nsfwexport.contract import require
from nsfwexport.errors import ConversionError
from nsfwexport.parity import HALF_GATES, Gate, Report, verify
from nsfwscan import Classifier
from nsfwscan.files import beside


def half(
    path: Path,
    out: Path,
    *,
    images: Sequence[Path] | None = None,
    devices: Sequence[str] = ("cpu",),
    gates: Mapping[str, Gate] = HALF_GATES,
) -> Report:
    """Write a model file with weights and arithmetic in float16; input and output keep their types.

    Parameters
    ----------
    path
        A model file of ours, in single precision.
    out
        The new one; what was there before stays if anything fails.
    images
        Pictures to compare the two on; None makes some.
    devices, gates
        Where to compare, and what must hold.

    Returns
    -------
    Report
        Of the comparison with the file in single precision on the CPU.

    Raises
    ------
    ModelError
        If the file cannot be read, or carries no manifest.
    ConversionError
        If it is in half precision already, or cannot be converted.
    ParityError
        If the result does not say the same.
    """
    model, manifest = modelfile.read(path)
    if modelfile.is_half(model):
        raise ConversionError(f"{path} is in half precision already; name the file it came from")
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
    with beside(out) as temporary, tempfile.TemporaryDirectory() as folder:
        temporary.write_bytes(modelfile.embed(smaller, manifest))
        require(temporary, smaller)
        if images is None:
            images = pictures.make(Path(folder))
        whole = Classifier.load(path, device="cpu")
        report = verify(
            temporary, str(path), whole.predict, manifest.preprocess, images,
            devices=devices, gates=gates, called=out,
        )  # fmt: skip
        report.require(
            out, "half precision is too coarse for it, unless --max-difference allows more"
        )
        temporary.write_bytes(modelfile.embed(smaller, replace(manifest, parity=report.facts())))
    return report


def _to_half(model: Any, path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # weights too small for float16 become its smallest
            return convert_float_to_float16(model, keep_io_types=True)
    except Exception as error:
        raise ConversionError(f"{path} does not convert to half precision: {error}") from error
