"""Convert a model file to half precision: half the size, the same contract."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from onnxruntime.transformers.float16 import convert_float_to_float16

from nsfwexport.comparison import Report, Tolerance
from nsfwexport.errors import ConversionError
from nsfwexport.original import Original
from nsfwexport.parity import publish
from nsfwscan.reports.progress import Progress, no_progress


def half(
    path: Path,
    out: Path,
    *,
    images: Sequence[Path] | None = None,
    devices: Sequence[str] = ("cpu",),
    tolerances: Mapping[str, Tolerance] | None = None,
    progress: Progress = no_progress,
) -> Report:
    """Convert weights and arithmetic of a model file to float16; input and output keep their types.

    Parameters
    ----------
    path
        A model file in single precision.
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
        If the file cannot be read.
    ConversionError
        If it is not in single precision, or cannot be converted.
    ParityError
        If the scores differ by more than the tolerance.
    """
    original = Original.load(path)
    with progress("converting to half precision", None):
        smaller = _to_half(original.model, path)
    return publish(
        smaller, original.derived("fp16", "converted to half precision"), out, original.reference,
        images=images, devices=devices, tolerances=tolerances, original=original.classifier,
        hint="half precision is too coarse for this model, unless --max-difference allows more",
        progress=progress,
    )  # fmt: skip


def _to_half(model: Any, path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tiny weights become the smallest float16
            return convert_float_to_float16(model, keep_io_types=True)
    except Exception as error:
        raise ConversionError(f"cannot convert {path} to half precision: {error}") from error
