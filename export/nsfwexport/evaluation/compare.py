"""Compare models on labelled images: size, speed, memory, quality, and where they differ."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from nsfwexport import modelfile
from nsfwexport.calibrate import check_labels, learned_from
from nsfwexport.errors import CalibrationError
from nsfwexport.evaluation.metrics import (
    Disagreement,
    Estimate,
    Labels,
    Scores,
    disagreements,
    estimate,
)
from nsfwexport.evaluation.process import measure
from nsfwexport.speed import durations
from nsfwscan import Classifier, ImageError, InputError, decode
from nsfwscan.dataset.labels import Part
from nsfwscan.decoding.pixels import Pixels
from nsfwscan.reports.progress import Progress, no_progress

_PROBED = 16  # images whose time and memory are measured
_ROUNDS = 40
_MEGABYTE = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """One model, as measured.

    Attributes
    ----------
    name
        Its file, as far as needed to tell the models apart.
    sha256
        Of the file.
    precision
        As `nsfwexport.modelfile.precision_of` says.
    megabytes
        Size of the file.
    parameters
        Number of weights.
    milliseconds, milliseconds_95
        Median and 95th percentile of the time of one image on one thread.
    images_per_second, peak_megabytes
        As in `nsfwexport.evaluation.process.Measured`.
    threshold
        Its own.
    scores
        One for each image.
    quality
        The measures by name, see `nsfwexport.evaluation.metrics.METRICS`.
    """

    name: str
    sha256: str
    precision: str
    megabytes: float
    parameters: int
    milliseconds: float
    milliseconds_95: float
    images_per_second: float
    peak_megabytes: float | None
    threshold: float
    scores: Scores
    quality: dict[str, Estimate]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Several models on the same images.

    Attributes
    ----------
    models
        The models; the reference, if there is one, is the first.
    paths, labels
        The images.
    label_names
        The names of label 0 and label 1.
    where
        The origin of the images.
    differing
        The images on which the models decide differently.
    reference
        Whether the first model is the one that the others are compared with.
    """

    models: tuple[Evaluated, ...]
    paths: tuple[str, ...]
    labels: Labels
    label_names: tuple[str, str]
    where: str
    differing: tuple[Disagreement, ...]
    reference: bool

    def changed(self, model: int, *, flagged: bool) -> list[Disagreement]:
        """List the images that a model newly flags, or newly leaves safe, by its number."""
        return [
            one for one in self.differing
            if one.flagged[model] is flagged and one.flagged[0] is not flagged
        ]  # fmt: skip


def names_of(paths: Sequence[Path]) -> list[str]:
    """Name files by as many of their last folders as it takes to tell them apart."""
    parts = [path.absolute().parts for path in paths]
    for depth in range(1, max(map(len, parts))):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return [os.fspath(path) for path in paths]


def compare(
    paths: Sequence[Path],
    images: Sequence[tuple[str, int]],
    where: str,
    *,
    manifests: Mapping[Path, Path] = MappingProxyType({}),
    reference: Path | None = None,
    part: Part | None = None,
    progress: Progress = no_progress,
) -> Evaluation:
    """Measure models on labelled images, exactly as scans with their own thresholds.

    Parameters
    ----------
    paths
        The model files.
    images
        Paths and labels. No model has learned from them.
    where
        Their origin, for the report.
    manifests
        Those of models that carry none, by the model file, as in `nsfwscan.Classifier.load`.
    reference
        The model that the others are compared with; None for none.
    part
        The part of a split that the images are; None for other images.

    Raises
    ------
    InputError
        If a model is listed twice, a manifest is for no listed model, or an image cannot be read
        or decoded.
    CalibrationError
        If an image cannot be scored, a label has no image, or a model has learned from the part.
    NsfwScanError
        If a model cannot be used.
    """
    check_labels({label for _, label in images}, "among them")
    files = [path for path in paths if reference is None or not _same(path, reference)]
    files = files if reference is None else [reference, *files]
    for i, file in enumerate(files):
        if any(_same(file, other) for other in files[:i]):
            raise InputError(f"{file} is listed twice; list each model once")
    names = names_of(files)
    given = {_listed(file, files): manifest for file, manifest in manifests.items()}
    loaded = {
        name: Classifier.load(file, manifest=given.get(file), device="cpu")
        for name, file in zip(names, files, strict=True)
    }
    for name, model in loaded.items():
        if part in learned_from(model.manifest):
            raise CalibrationError(
                f"{name} has learned from the part {part} of its collection; choose another part "
                "with --part, or other images with --labels"
            )
    listed = [path for path, _ in images]
    probe = listed[:: max(1, len(listed) // _PROBED)][:_PROBED]
    pixels = {name: _decoded(model, probe) for name, model in loaded.items()}
    _read_once(listed, progress)
    with progress("measuring the time", None):
        times = durations(loaded, pixels, _ROUNDS)
    labels = np.array([label for _, label in images], np.int64)
    found = []
    for name, model in loaded.items():
        with progress(f"scanning with {name}", None):
            measured = measure(model.path, model.manifest, list(images), probe)
        scores = np.array(measured.scores)
        graph = modelfile.read_graph(model.path)
        with progress(f"computing the intervals of {name}", None):
            quality = estimate(labels, scores, model.manifest.threshold)
        found.append(
            Evaluated(
                name=name,
                sha256=model.sha256,
                precision=modelfile.precision_of(graph),
                megabytes=model.path.stat().st_size / _MEGABYTE,
                parameters=modelfile.parameters(graph),
                milliseconds=float(np.median(times[name])),
                milliseconds_95=float(np.percentile(times[name], 95)),
                images_per_second=measured.images_per_second,
                peak_megabytes=measured.peak_megabytes,
                threshold=model.manifest.threshold,
                scores=scores,
                quality=quality,
            )
        )
    differing = disagreements(
        listed, labels, [one.scores for one in found], [one.threshold for one in found]
    )
    return Evaluation(
        models=tuple(found),
        paths=tuple(listed),
        labels=labels,
        label_names=next(iter(loaded.values())).manifest.labels,
        where=where,
        differing=tuple(differing),
        reference=reference is not None,
    )


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()


def _listed(file: Path, files: Sequence[Path]) -> Path:
    for listed in files:
        if _same(file, listed):
            return listed
    raise InputError(f"--manifest names {file}, which is not among the compared models")


def _decoded(model: Classifier, paths: Sequence[str]) -> Pixels:
    found = []
    for path in paths:
        try:
            found.append(decode(Path(path).read_bytes(), model.manifest.preprocess).pixels)
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror}; correct the list") from error
        except ImageError as error:
            raise InputError(
                f"{path} has no score ({error.detail}); repair or remove it"
            ) from error
    return np.concatenate(found)


def _read_once(paths: Sequence[str], progress: Progress) -> None:
    """Read the files, so that the first model does not wait for the disk longer than the others."""
    with progress("reading the images", len(paths)) as advance:
        for number, path in enumerate(paths, 1):
            try:
                Path(path).read_bytes()
            except OSError as error:
                why = f"cannot read {path}: {error.strerror}; correct the list"
                raise InputError(why) from error
            advance(number)
