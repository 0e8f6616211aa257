"""Find the fastest file with integers that keeps the scores of a model."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from nsfwexport import samples
from nsfwexport.comparison import Report, Tolerance, usual_tolerances
from nsfwexport.errors import ConversionError, ParityError
from nsfwexport.original import Original
from nsfwexport.parity import publish
from nsfwexport.quantization.candidates import Candidate, by_speed
from nsfwexport.quantization.search import Search
from nsfwexport.tables import candidate_table
from nsfwscan import InputError
from nsfwscan.reports.progress import Progress, no_progress

_MOST = 100  # images to calibrate on: more hardly change a range

WEIGHTS_ONLY = "nsfwexport quantize --weights-only makes a small file and keeps the speed"


def quantize(
    path: Path,
    out: Path,
    images: Sequence[Path],
    *,
    manifest: Path | None = None,
    devices: Sequence[str] = ("cpu",),
    tolerances: Mapping[str, Tolerance] | None = None,
    progress: Progress = no_progress,
) -> tuple[Report, list[Candidate]]:
    """Convert a model to integers in several ways, and write the fastest that keeps the scores.

    One half of the images, by the hash of their bytes, calibrates the ranges of the activations.
    The others judge. If no way holds, the layers that change the scores most stay in floats.

    Parameters
    ----------
    path
        A model file in single precision, also of another project.
    out
        The new file, which carries its manifest. An existing one stays if anything fails.
    images
        Images of both labels, such as the model will score.
    manifest
        As in `nsfwscan.Classifier.load`.
    devices, tolerances
        See `nsfwexport.parity.verify`. The usual tolerances are those of ``int8``.

    Returns
    -------
    tuple
        The comparison with the original on the images that were not calibrated on, and all
        candidates that were measured.

    Raises
    ------
    ConversionError
        If the file is not in single precision, or cannot be converted.
    InputError
        If there are too few images.
    ParityError
        If no candidate is within the tolerance.
    """
    original = Original.load(path, manifest)
    calibration, held_out = divide(images)
    limits = tolerances or usual_tolerances("int8")
    search = Search(original, calibration, held_out, limits["cpu"], progress)
    if not search.layers:
        raise ConversionError(f"{path} has no layer to convert to integers; {WEIGHTS_ONLY}")
    measured: list[Candidate] = []
    refusal: ParityError | None = None
    for candidates in search.rounds():
        measured += candidates
        for candidate in by_speed(candidates):
            try:
                report = publish(
                    search.converted(candidate.recipe),
                    original.derived("int8", f"converted to INT8 ({candidate.recipe})"),
                    out,
                    original.reference,
                    images=held_out, devices=devices, tolerances=tolerances,
                    original=original.classifier, hint=WEIGHTS_ONLY, progress=progress,
                )  # fmt: skip
            except ParityError as error:  # scanned from the files, or on another device
                refusal = error
            else:
                return report, measured
    raise refusal or _refused(path, measured)


def _refused(path: Path, measured: Sequence[Candidate]) -> ParityError:
    closest = min(measured, key=lambda candidate: candidate.comparison.probability.mean)
    return ParityError(
        f"INT8 does not keep the scores of {path}: even in the closest of {len(measured)} ways "
        f"({closest.recipe}), {' and '.join(closest.comparison.failures.values())}; "
        f"{WEIGHTS_ONLY}\n{candidate_table(measured)}"
    )


def divide(images: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Divide images, by the hash of their bytes, into those to calibrate on and the others.

    Of files with the same bytes one is used.

    Raises
    ------
    InputError
        If one cannot be read, or there are fewer than 16 different ones.
    """
    try:
        unique = {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in images}
    except OSError as error:
        why = f"cannot read {error.filename}: {error.strerror}; remove it, or allow to read it"
        raise InputError(why) from error
    samples.require_enough(len(unique), "to calibrate and to compare on")
    ordered = [path for _, path in sorted(unique.items())]
    count = min(_MOST, len(ordered) // 2)
    return ordered[:count], ordered[count:]
