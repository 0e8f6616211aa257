"""Prove that a model file gives the scores of the model that it was made from.

The weights are compared by value, once. Then there are two comparisons on every device. One feeds
both models the same tensors, and detects a wrong scaling, channel order or layer. The other starts
from the files, with the scanner itself on one side, and also detects differences in decoding or
resizing.

Generated images are far from photos, and large weights of the last layer amplify the rounding
errors on them. So on these the features decide, not the probabilities, if the model has features.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nsfwexport import modelfile, samples
from nsfwexport.comparison import (
    FEATURE_TOLERANCES,
    Comparison,
    Report,
    Tolerance,
    compare,
    usual_tolerances,
)
from nsfwexport.contract import require
from nsfwexport.errors import ParityError
from nsfwexport.head import Exposed, find_head
from nsfwexport.reference import Features, Reference, Scores
from nsfwexport.weights import compare_weights
from nsfwscan import (
    Classifier,
    ImageError,
    Manifest,
    Preprocess,
    Record,
    ScanOptions,
    Selection,
    decode,
    scan,
)
from nsfwscan.decoding.pixels import Pixels
from nsfwscan.reports.progress import Advance, Progress, no_progress
from nsfwscan.sources.entry import problem_of
from nsfwscan.util.files import atomic_path
from nsfwscan.util.parallel import available_cores, map_ahead

_BATCH = 4  # small, since a B7 is large
_ANY = 1.0  # no difference of a probability, and no share of images, is larger

Predict = Callable[[Pixels], tuple[Scores, Features | None]]


def verify(
    model: Path,
    reference: Reference,
    images: Sequence[Path],
    *,
    generated: bool = False,
    devices: Sequence[str] = ("cpu",),
    tolerances: Mapping[str, Tolerance] | None = None,
    called: Path | None = None,
    progress: Progress = no_progress,
) -> Report:
    """Compare a model file with its reference.

    Parameters
    ----------
    model
        The ONNX file with its manifest.
    reference
        The model that it was made from.
    images
        The files. At least one must be usable.
    generated
        Whether the images are generated ones.
    devices
        Keys of `TOLERANCES`.
    tolerances
        The tolerance of each device, for the probabilities and decisions of all images. None: the
        usual ones, and for generated images only that of the features, if there are features. It is
        reported, not required: see `Report.require`.
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
    graph = modelfile.read_graph(model)
    precision = modelfile.precision_of(graph)
    single = precision == "single"
    head = None if not single or reference.with_features is None else find_head(graph)
    classifiers = {device: _load(model, device) for device in devices}
    sizes = {classifier.manifest.preprocess.size for classifier in classifiers.values()}
    if sizes != {reference.preprocess.size}:
        raise ParityError(f"{name} and {reference.name} take images of different sizes")
    for classifier in classifiers.values():
        if reference.labels not in {None, classifier.manifest.labels}:
            raise ParityError(
                f"{name} calls its labels {', '.join(classifier.manifest.labels)}, "
                f"{reference.name} {', '.join(reference.labels or ())}; convert the run again"
            )
    predicts: dict[str, Predict] = {
        device: partial(without_features, classifier.predict)
        if head is None
        else Exposed(graph, head, name, **_options(device)).predict
        for device, classifier in classifiers.items()
    }
    with progress("comparing the models", len(images)) as advance:
        scored = score(reference, predicts, images, advance, features=head is not None)
    if not scored.paths:
        why = next((f"{path}: {why}" for path, why in scored.left_out.items()), "none given")
        raise ParityError(f"no image can be used to compare {name} with {reference.name}: {why}")
    expected, _ = joined(scored.reference)
    if not np.isfinite(expected).all():
        without = scored.paths[int(np.argmin(np.isfinite(expected)))]
        raise ParityError(
            f"{reference.name} has no finite score for {without}: its weights are invalid"
        )
    compared = None
    if reference.weights and single:
        both = (reference.head, head.layer) if reference.head and head else None
        compared = compare_weights(reference.weights, graph, both)
    usual = usual_tolerances(precision)
    proven = head is not None and compared is not None and compared.complete
    rounding = generated and tolerances is None and proven
    comparisons: list[Comparison] = []
    for device, classifier in classifiers.items():
        tolerance = (tolerances or usual)[device]
        with progress(f"scanning the images on {device}", len(scored.paths)) as advance:
            comparisons += _compare(
                scored, device, classifier, tolerance, advance, rounding=rounding
            )
    return Report(
        reference=reference.name,
        threshold=next(iter(classifiers.values())).manifest.threshold,
        comparisons=tuple(comparisons),
        score_range=(float(expected.min()), float(expected.max())),
        generated=generated,
        weights=compared,
        left_out=scored.left_out,
    )


def _compare(
    scored: "Scored",
    device: str,
    classifier: Classifier,
    tolerance: Tolerance,
    advance: Advance,
    *,
    rounding: bool,
) -> tuple[Comparison, Comparison]:
    """Compare the same tensors, and the files.

    With `rounding`, differences of probabilities from the same tensors are allowed as far as the
    features agree, and the scores of the files must be those that the model file itself gives from
    the tensors.
    """
    threshold = classifier.manifest.threshold
    expected, features = joined(scored.reference)
    got, computed = joined(scored.tensors[device])
    both = None if features is None or computed is None else (features, computed)
    of_tensors = (
        tolerance if both is None else replace(tolerance, features=FEATURE_TOLERANCES[device])
    )
    if rounding:
        of_tensors = replace(of_tensors, difference=_ANY, flips=_ANY)
    files = _scan(classifier, scored.paths, advance)
    return (
        compare("tensors", device, of_tensors, threshold, scored.paths, expected, got, both),
        compare(
            "files",
            device,
            tolerance,
            threshold,
            scored.paths,
            got if rounding else expected,
            files,
        ),
    )


Batch = tuple[Scores, Features | None]


@dataclass
class Scored:
    """The images that could be used, their results in batches, and the images left out."""

    paths: list[str] = field(default_factory=list)
    reference: list[Batch] = field(default_factory=list)
    tensors: dict[str, list[Batch]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def score(
    reference: Reference,
    predicts: Mapping[str, Predict],
    images: Sequence[Path],
    advance: Advance,
    *,
    features: bool,
) -> Scored:
    """Return the results of a reference and of models from the same tensors.

    Parameters
    ----------
    reference
        The model to compare with.
    predicts
        The models, by any name.
    images
        The files. Those that cannot be decoded are left out.
    features
        Whether the reference returns features.
    """
    expect = reference.with_features if features else None
    expected: Predict = expect or partial(without_features, reference.score)
    scored = Scored(tensors={device: [] for device in predicts})
    chunks = [images[i : i + _BATCH] for i in range(0, len(images), _BATCH)]
    load = partial(load_images, preprocess=reference.preprocess)
    with closing(map_ahead(load, chunks, workers=available_cores(), window=4)) as loaded:
        for paths, pixels, failed in loaded:
            scored.left_out |= failed
            if pixels is not None:
                scored.paths += paths
                scored.reference.append(expected(pixels))
                for device, predict in predicts.items():
                    scored.tensors[device].append(predict(pixels))
            advance(len(scored.paths) + len(scored.left_out))
    return scored


def without_features(score: Callable[[Pixels], Scores], pixels: Pixels) -> Batch:
    """Score pixels with a model that has no features."""
    return score(pixels), None


def joined(batches: Sequence[Batch]) -> Batch:
    """Join the results of batches."""
    scores = np.concatenate([scores for scores, _ in batches])
    features = [found for _, found in batches if found is not None]
    return scores, np.concatenate(features) if features else None


def _options(device: str) -> dict[str, Any]:
    name, _, tf32 = device.partition("-")
    return {"device": name, "tf32": bool(tf32), "intra_op_threads": available_cores()}


def _load(model: Path, device: str) -> Classifier:
    return Classifier.load(model, **_options(device))


def load_images(
    paths: Sequence[Path], preprocess: Preprocess
) -> tuple[list[str], Pixels | None, dict[str, str]]:
    """Decode files; return those used, their pixels, and why the others are not used."""
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


def _scan(classifier: Classifier, paths: Sequence[str], advance: Advance) -> Scores:
    """Return the scores of a scan of the first frames, with NaN for an image without one."""
    records = scan_files(classifier, paths, advance, ScanOptions(frames=1, views=0))
    scores = (records[path].score if path in records else None for path in paths)
    return np.array([np.nan if score is None else score for score in scores], np.float32)


def scan_files(
    classifier: Classifier,
    paths: Sequence[str],
    advance: Advance,
    options: ScanOptions | None = None,
) -> dict[str, Record]:
    """Scan files, also those that a scan of their folder would ignore; return records by path."""
    found: dict[str, Record] = {}
    selection = Selection(ignore=False)
    for record in scan(paths, classifier, options=options, selection=selection):
        found[record.path] = record
        advance(len(found))
    return found


def publish(
    model: Any,
    manifest: Manifest,
    out: Path,
    reference: Reference,
    *,
    images: Sequence[Path] | None,
    devices: Sequence[str],
    tolerances: Mapping[str, Tolerance] | None,
    original: Classifier | None = None,
    hint: str | None = None,
    progress: Progress = no_progress,
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
    reference, devices, tolerances
        See `verify`.
    images
        The images to compare on; None generates some.
    original
        The model that it was made from. The file may break the rules that this one breaks.
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
        require(temporary, model, original)
        report = verify(
            temporary, reference, images or samples.make(Path(folder)), generated=not images,
            devices=devices, tolerances=tolerances, called=out, progress=progress,
        )  # fmt: skip
        report.require(out, hint)
        temporary.write_bytes(modelfile.embed(model, replace(manifest, parity=report.facts())))
    return report
