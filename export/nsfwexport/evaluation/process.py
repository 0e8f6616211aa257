"""Measure one model in a process of its own, so that its memory is that of the model."""

import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from nsfwscan import Classifier, Manifest, decode

_STATUS = Path("/proc/self/status")  # see proc_pid_status(5)
_KILOBYTE = 1024
_MEGABYTE = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a process found out about a model.

    Attributes
    ----------
    scores
        The score of each image.
    images_per_second
        Of the whole scan on all cores: reading, decoding, scoring.
    peak_megabytes
        Largest memory of a process that loads the model and scores images one by one, in MB. None
        where the system does not tell.
    """

    scores: tuple[float, ...]
    images_per_second: float
    peak_megabytes: float | None


def measure(
    model: Path, manifest: Manifest, images: Sequence[tuple[str, int]], probe: Sequence[str]
) -> Measured:
    """Measure a model in a new process.

    Parameters
    ----------
    model
        The ONNX file.
    manifest
        Its manifest.
    images
        The images and their labels.
    probe
        Images to score one by one for the measurement of memory. They can be decoded.

    Raises
    ------
    CalibrationError
        If an image cannot be scored, or a label has no image.
    NsfwScanError
        If the model cannot be used.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_measure, model, manifest, images, probe).result()


def _measure(
    model: Path, manifest: Manifest, images: Sequence[tuple[str, int]], probe: Sequence[str]
) -> Measured:
    classifier = Classifier.load(model, manifest=manifest, device="cpu")
    for path in probe:
        pixels = decode(Path(path).read_bytes(), classifier.manifest.preprocess).pixels
        classifier.predict(pixels)
    peak = peak_megabytes()
    from nsfwexport.calibrate import score  # its libraries would count

    begun = time.perf_counter()
    _, scores = score(classifier, images)
    return Measured(
        scores=tuple(scores.tolist()),
        images_per_second=len(scores) / (time.perf_counter() - begun),
        peak_megabytes=peak,
    )


def peak_megabytes() -> float | None:
    """Return the largest memory of this process so far in MB; None except on Linux."""
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return None
    (line,) = (line for line in lines if line.startswith("VmHWM:"))
    return int(line.split()[1]) * _KILOBYTE / _MEGABYTE
