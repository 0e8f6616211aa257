"""Prove that a model file gives the scores of the model that it was made from.

There are two comparisons on every device. One feeds both models the same tensors, and detects wrong
weights, scaling or channels. The other starts from the files, with the scanner itself on one side,
and also detects differences in decoding or resizing.
"""

import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nsfwexport import modelfile, samples
from nsfwexport.comparison import TOLERANCES, Report, Scores, Tolerance, compare
from nsfwexport.contract import require
from nsfwexport.errors import ParityError
from nsfwscan import Classifier, ImageError, Manifest, Preprocess, Selection, decode, scan
from nsfwscan.decoding.pixels import Pixels
from nsfwscan.sources.entry import problem_of
from nsfwscan.util.files import atomic_path
from nsfwscan.util.parallel import available_cores, map_ahead

_BATCH = 4  # small, since a B7 is large


def verify(
    model: Path,
    reference: str,
    score: Callable[[Pixels], Scores],
    preprocess: Preprocess,
    images: Sequence[Path],
    *,
    devices: Sequence[str] = ("cpu",),
    tolerances: Mapping[str, Tolerance] = TOLERANCES,
    called: Path | None = None,
) -> Report:
    """Compare the scores of a model file with those of its reference.

    Parameters
    ----------
    model
        The ONNX file with its manifest.
    reference
        The name of the reference, for messages.
    score
        The reference: from uint8 (N, S, S, 3) to probabilities, float32 (N,).
    preprocess
        The preprocessing of the reference.
    images
        The files. At least one must be usable.
    devices
        Keys of `TOLERANCES`.
    tolerances
        The tolerance of each device. It is reported, not required: see `Report.require`.
    called
        The path of the model file in messages; by default `model`.

    Raises
    ------
    ParityError
        If no image can be used, the image sizes differ, or a reference score is not finite.
    NsfwScanError
        If the model file or a device cannot be used.
    """
    name = called or model
    classifiers = {device: _load(model, device) for device in devices}
    sizes = {classifier.manifest.preprocess.size for classifier in classifiers.values()}
    if sizes != {preprocess.size}:
        raise ParityError(f"{name} and {reference} take images of different sizes")
    scored = _score(score, preprocess, classifiers, images)
    if not scored.paths:
        why = next((f"{path}: {why}" for path, why in scored.left_out.items()), "none given")
        raise ParityError(f"no image can be used to compare {name} with {reference}: {why}")
    expected = np.concatenate(scored.reference)
    if not np.isfinite(expected).all():
        without = scored.paths[int(np.argmin(np.isfinite(expected)))]
        raise ParityError(f"{reference} has no finite score for {without}: its weights are invalid")
    threshold = next(iter(classifiers.values())).manifest.threshold
    comparisons = []
    for device, classifier in classifiers.items():
        tensors, files = np.concatenate(scored.tensors[device]), _scan(classifier, scored.paths)
        for way, got in (("tensors", tensors), ("files", files)):
            comparisons.append(
                compare(way, device, tolerances[device], threshold, scored.paths, expected, got)
            )
    return Report(
        reference=reference,
        threshold=threshold,
        comparisons=tuple(comparisons),
        score_range=(float(expected.min()), float(expected.max())),
        left_out=scored.left_out,
    )


@dataclass
class _Scored:
    """The images that could be used, their scores in batches, and the images left out."""

    paths: list[str] = field(default_factory=list)
    reference: list[Scores] = field(default_factory=list)
    tensors: dict[str, list[Scores]] = field(default_factory=lambda: defaultdict(list))
    left_out: dict[str, str] = field(default_factory=dict)


def _score(
    score: Callable[[Pixels], Scores],
    preprocess: Preprocess,
    classifiers: Mapping[str, Classifier],
    images: Sequence[Path],
) -> _Scored:
    """Return the scores of the reference and of the model file from the same tensors."""
    scored = _Scored()
    chunks = [images[i : i + _BATCH] for i in range(0, len(images), _BATCH)]
    load = partial(_load_images, preprocess=preprocess)
    with closing(map_ahead(load, chunks, workers=available_cores(), window=4)) as loaded:
        for paths, pixels, failed in loaded:
            scored.left_out |= failed
            if pixels is not None:
                scored.paths += paths
                scored.reference.append(score(pixels))
                for device, classifier in classifiers.items():
                    scored.tensors[device].append(classifier.predict(pixels))
    return scored


def _load(model: Path, device: str) -> Classifier:
    name, _, tf32 = device.partition("-")
    return Classifier.load(model, device=name, tf32=bool(tf32), intra_op_threads=available_cores())


def _load_images(
    paths: Sequence[Path], preprocess: Preprocess
) -> tuple[list[str], Pixels | None, dict[str, str]]:
    used, pixels, failed = [], [], {}
    for path in paths:
        try:
            pixels.append(decode(path.read_bytes(), preprocess).pixels)
            used.append(str(path))
        except OSError as error:
            failed[str(path)] = problem_of(str(path), error, explicit=True).detail
        except ImageError as error:
            failed[str(path)] = error.detail
    return used, np.concatenate(pixels) if pixels else None, failed


def _scan(classifier: Classifier, paths: Sequence[str]) -> Scores:
    """Return the scores of a scan, with NaN for an image without one."""
    found = {
        record.path: record.score
        for record in scan(paths, classifier, frames=1, selection=Selection(ignore=False))
        if record.score is not None
    }
    return np.array([found.get(path, np.nan) for path in paths], np.float32)


def publish(
    model: Any,
    manifest: Manifest,
    out: Path,
    reference: str,
    score: Callable[[Pixels], Scores],
    *,
    images: Sequence[Path] | None,
    devices: Sequence[str],
    tolerances: Mapping[str, Tolerance],
    hint: str | None = None,
) -> Report:
    """Write a model file under a temporary name, check and compare it, then rename it.

    Parameters
    ----------
    model
        An `onnx.ModelProto`.
    manifest
        Its manifest. The comparison is added to it.
    out
        The file. An existing one stays if anything fails.
    reference, score, devices, tolerances
        See `verify`. The preprocessing is that of the manifest.
    images
        The images to compare on; None generates some.
    hint
        See `Report.require`.

    Raises
    ------
    ConversionError
        If the file breaks the contract.
    ParityError
        If its scores differ from those of the reference.
    OutputError
        If it cannot be written.
    """
    with atomic_path(out) as temporary, tempfile.TemporaryDirectory() as folder:
        temporary.write_bytes(modelfile.embed(model, manifest))
        require(temporary, model)
        report = verify(
            temporary, reference, score, manifest.preprocess,
            images or samples.make(Path(folder)),
            devices=devices, tolerances=tolerances, called=out,
        )  # fmt: skip
        report.require(out, hint)
        temporary.write_bytes(modelfile.embed(model, replace(manifest, parity=report.facts())))
    return report
