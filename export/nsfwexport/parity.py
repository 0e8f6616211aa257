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
    HALF_TOLERANCES,
    TOLERANCES,
    Comparison,
    Report,
    Tolerance,
    compare,
)
from nsfwexport.contract import require
from nsfwexport.errors import ParityError
from nsfwexport.head import Exposed, find_head
from nsfwexport.reference import Features, Reference, Scores
from nsfwexport.weights import compare_weights
from nsfwscan import Classifier, ImageError, Manifest, Preprocess, Selection, decode, scan
from nsfwscan.decoding.pixels import Pixels
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
    half = modelfile.is_half(graph)
    head = None if half or reference.with_features is None else find_head(graph)
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
        device: partial(_without_features, classifier.predict)
        if head is None
        else Exposed(graph, head, name, **_options(device)).predict
        for device, classifier in classifiers.items()
    }
    scored = _score(reference, predicts, images, features=head is not None)
    if not scored.paths:
        why = next((f"{path}: {why}" for path, why in scored.left_out.items()), "none given")
        raise ParityError(f"no image can be used to compare {name} with {reference.name}: {why}")
    expected, _ = _joined(scored.reference)
    if not np.isfinite(expected).all():
        without = scored.paths[int(np.argmin(np.isfinite(expected)))]
        raise ParityError(
            f"{reference.name} has no finite score for {without}: its weights are invalid"
        )
    compared = None
    if reference.weights and not half:
        both = (reference.head, head.layer) if reference.head and head else None
        compared = compare_weights(reference.weights, graph, both)
    usual = HALF_TOLERANCES if half else TOLERANCES
    proven = head is not None and compared is not None and compared.complete
    rounding = generated and tolerances is None and proven
    comparisons: list[Comparison] = []
    for device, classifier in classifiers.items():
        comparisons += _compare(
            scored, device, classifier, (tolerances or usual)[device], rounding=rounding
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
    scored: "_Scored", device: str, classifier: Classifier, tolerance: Tolerance, *, rounding: bool
) -> tuple[Comparison, Comparison]:
    """Compare the same tensors, and the files.

    With `rounding`, differences of probabilities from the same tensors are allowed as far as the
    features agree, and the scores of the files must be those that the model file itself gives from
    the tensors.
    """
    threshold = classifier.manifest.threshold
    expected, features = _joined(scored.reference)
    got, computed = _joined(scored.tensors[device])
    both = None if features is None or computed is None else (features, computed)
    of_tensors = (
        tolerance if both is None else replace(tolerance, features=FEATURE_TOLERANCES[device])
    )
    if rounding:
        of_tensors = replace(of_tensors, difference=_ANY, flips=_ANY)
    files = _scan(classifier, scored.paths)
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
class _Scored:
    """The images that could be used, their results in batches, and the images left out."""

    paths: list[str] = field(default_factory=list)
    reference: list[Batch] = field(default_factory=list)
    tensors: dict[str, list[Batch]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def _score(
    reference: Reference,
    predicts: Mapping[str, Predict],
    images: Sequence[Path],
    *,
    features: bool,
) -> _Scored:
    """Return the results of the reference and of the model file from the same tensors."""
    expect = reference.with_features if features else None
    expected: Predict = expect or partial(_without_features, reference.score)
    scored = _Scored(tensors={device: [] for device in predicts})
    chunks = [images[i : i + _BATCH] for i in range(0, len(images), _BATCH)]
    load = partial(_load_images, preprocess=reference.preprocess)
    with closing(map_ahead(load, chunks, workers=available_cores(), window=4)) as loaded:
        for paths, pixels, failed in loaded:
            scored.left_out |= failed
            if pixels is not None:
                scored.paths += paths
                scored.reference.append(expected(pixels))
                for device, predict in predicts.items():
                    scored.tensors[device].append(predict(pixels))
    return scored


def _without_features(score: Callable[[Pixels], Scores], pixels: Pixels) -> Batch:
    return score(pixels), None


def _joined(batches: Sequence[Batch]) -> Batch:
    scores = np.concatenate([scores for scores, _ in batches])
    features = [found for _, found in batches if found is not None]
    return scores, np.concatenate(features) if features else None


def _options(device: str) -> dict[str, Any]:
    name, _, tf32 = device.partition("-")
    return {"device": name, "tf32": bool(tf32), "intra_op_threads": available_cores()}


def _load(model: Path, device: str) -> Classifier:
    return Classifier.load(model, **_options(device))


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
        for record in scan(paths, classifier, frames=1, views=0, selection=Selection(ignore=False))
        if record.score is not None
    }
    return np.array([found.get(path, np.nan) for path in paths], np.float32)


def publish(
    model: Any,
    manifest: Manifest,
    out: Path,
    reference: Reference,
    *,
    images: Sequence[Path] | None,
    devices: Sequence[str],
    tolerances: Mapping[str, Tolerance] | None,
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
    reference, devices, tolerances
        See `verify`.
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
            temporary, reference, images or samples.make(Path(folder)), generated=not images,
            devices=devices, tolerances=tolerances, called=out,
        )  # fmt: skip
        report.require(out, hint)
        temporary.write_bytes(modelfile.embed(model, replace(manifest, parity=report.facts())))
    return report
