"""Prove that a model file says what the model it was made from says.

Two comparisons, on every device asked for: from the same tensors, and from the files, where the
one side is the scanner itself, path to score. The first sees wrong weights, scaling or channels;
the second also sees another way of decoding or resizing.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsfwexport import modelfile, samples
from nsfwexport.contract import require
from nsfwexport.errors import ParityError
from nsfwscan import Classifier, ImageError, Manifest, Preprocess, Selection, decode, scan
from nsfwscan.decoding.pixels import Pixels
from nsfwscan.sources.entry import problem_of
from nsfwscan.util.files import atomic_path
from nsfwscan.util.parallel import available_cores, map_ahead

Scores = NDArray[np.float32]

_LEAST = 1e-6  # probabilities are kept that far from 0 and 1 where a logit is taken
_BATCH = 4  # few, since a B7 is large
_WORST = 5
_SPREAD = 0.5  # scores that span less prove little: a constant would pass


@dataclass(frozen=True)
class Gate:
    """How far two models may differ and still say the same.

    Attributes
    ----------
    difference
        Largest absolute difference of a probability.
    flips
        Largest share of images, in [0, 1], whose decision at the threshold differs.
    """

    difference: float
    flips: float


GATES: Mapping[str, Gate] = {
    "cpu": Gate(1e-4, 0),
    "cuda": Gate(1e-4, 0),
    "cuda-tf32": Gate(5e-3, 1e-3),
}
"""By device: what must hold of a model in single precision."""

HALF_GATES: Mapping[str, Gate] = dict.fromkeys(GATES, Gate(5e-3, 1e-3))
"""The same of a model in half precision."""


@dataclass(frozen=True)
class Difference:
    """Largest, mean and 99th-percentile absolute difference."""

    largest: float
    mean: float
    p99: float


@dataclass(frozen=True)
class Comparison:
    """One way of comparing two models, on one device.

    Attributes
    ----------
    way
        ``tensors`` or ``files``.
    device
        Where the model file ran.
    gate
        What must hold.
    images
        How many were compared.
    probability, logit
        How far apart the two were.
    flips
        How many decisions differ at the shipped threshold.
    worst
        The images that differ most: path, expected score, score.
    """

    way: str
    device: str
    gate: Gate
    images: int
    probability: Difference
    logit: Difference
    flips: int
    worst: tuple[tuple[str, float, float], ...] = ()

    @property
    def holds(self) -> bool:
        """Whether it is inside the gate; a NaN never is."""
        share = self.flips / self.images
        return self.probability.largest <= self.gate.difference and share <= self.gate.flips


@dataclass(frozen=True, kw_only=True)
class Report:
    """All comparisons of a model file with what it was made from.

    Attributes
    ----------
    reference
        What it was compared with.
    threshold
        At which decisions were counted.
    comparisons
        One for each way and device.
    score_range
        Least and largest score of the reference.
    left_out
        Images that could not be used, and why.
    """

    reference: str
    threshold: float
    comparisons: tuple[Comparison, ...]
    score_range: tuple[float, float]
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def spread(self) -> bool:
        """Whether the scores differ enough from image to image to prove anything."""
        return self.score_range[1] - self.score_range[0] >= _SPREAD

    def facts(self) -> dict[str, Any]:
        """Give what a manifest keeps: all but the names of images."""
        comparisons = []
        for comparison in self.comparisons:
            entry = asdict(comparison)
            del entry["worst"]
            comparisons.append(entry)
        return {
            "reference": self.reference,
            "threshold": self.threshold,
            "score_range": list(self.score_range),
            "comparisons": comparisons,
        }

    def require(self, path: Path, hint: str | None = None) -> None:
        """Raise `ParityError` unless every comparison holds.

        Parameters
        ----------
        path
            What to call the model file.
        hint
            Why it may be so, where the caller knows better than the comparisons tell.
        """
        broken = [comparison for comparison in self.comparisons if not comparison.holds]
        if not broken:
            return
        said = "; ".join(
            f"from the {'same ' * (c.way == 'tensors')}{c.way} on {c.device}, probabilities differ "
            f"by up to {c.probability.largest:.3g} (allowed: {c.gate.difference:g}) and {c.flips} "
            f"of {c.images} decisions (allowed: {c.gate.flips:.1%})"
            for c in broken
        )
        if all(comparison.way == "files" for comparison in broken):
            hint = "the tensors agree, so images are decoded or resized in another way"
        why = hint or "weights, scaling or the order of channels are not the same"
        worst = "".join(
            f"\n  {name}: {expected:.6f} became {got:.6f}"
            for name, expected, got in broken[0].worst
        )
        raise ParityError(f"{path} does not say what {self.reference} says: {said}; {why}{worst}")


def compare(
    way: str,
    device: str,
    gate: Gate,
    threshold: float,
    paths: Sequence[str],
    expected: Scores,
    got: Scores,
) -> Comparison:
    """Compare two lists of scores.

    Parameters
    ----------
    way, device, gate
        See `Comparison`.
    threshold
        Score from which an image is flagged.
    paths
        Of the images.
    expected, got
        float32 (N,) in [0, 1], N at least 1; NaN where there is no score, which never holds.
    """
    a, b = expected.astype(np.float64), got.astype(np.float64)
    apart = np.abs(a - b)
    order = np.argsort(-np.nan_to_num(apart, nan=np.inf), kind="stable")[:_WORST]
    return Comparison(
        way=way,
        device=device,
        gate=gate,
        images=len(paths),
        probability=_difference(apart),
        logit=_difference(np.abs(_logit(a) - _logit(b))),
        flips=int(np.sum((a >= threshold) != (b >= threshold))),
        worst=tuple((paths[i], float(a[i]), float(b[i])) for i in order),
    )


def _difference(apart: NDArray[np.float64]) -> Difference:
    return Difference(float(apart.max()), float(apart.mean()), float(np.percentile(apart, 99)))


def _logit(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    kept = np.clip(probability, _LEAST, 1 - _LEAST)
    return np.log(kept / (1 - kept))


def verify(
    model: Path,
    reference: str,
    score: Callable[[Pixels], Scores],
    preprocess: Preprocess,
    images: Sequence[Path],
    *,
    devices: Sequence[str] = ("cpu",),
    gates: Mapping[str, Gate] = GATES,
    called: Path | None = None,
) -> Report:
    """Compare a model file with what it was made from, on images.

    Parameters
    ----------
    model
        The ONNX file, its manifest in it.
    reference
        What to call the other side.
    score
        The other side: from uint8 (N, S, S, 3) to probabilities.
    preprocess
        How the other side's images are prepared.
    images
        The files, at least one of which can be used.
    devices
        Keys of `GATES`.
    gates
        What must hold, by device; it is reported, not required: see `Report.require`.
    called
        What to call the model file in messages; None is its own name.

    Raises
    ------
    ParityError
        If no image can be used, or the scanner and this function disagree on which can.
    NsfwScanError
        If the model file or a device cannot be used.
    """
    classifiers = {name: _load(model, name) for name in devices}
    threshold = next(iter(classifiers.values())).manifest.threshold
    fits = {
        name: classifier.manifest.preprocess.size == preprocess.size
        for name, classifier in classifiers.items()
    }
    if not all(fits.values()):
        raise ParityError(
            f"{called or model} takes images of another size than {reference}: another model"
        )
    expected: list[Scores] = []
    tensors: dict[str, list[Scores]] = {name: [] for name in devices}
    used: list[str] = []
    left_out: dict[str, str] = {}
    chunks = [images[i : i + _BATCH] for i in range(0, len(images), _BATCH)]
    load = partial(_load_images, preprocess=preprocess)
    with closing(map_ahead(load, chunks, workers=available_cores(), window=4)) as loaded:
        for paths, pixels, failed in loaded:
            left_out |= failed
            if pixels is not None:
                used += paths
                expected.append(score(pixels))
                for name, classifier in classifiers.items():
                    tensors[name].append(classifier.predict(pixels))
    if not used:
        why = next((f"{path}: {said}" for path, said in left_out.items()), "there is none")
        raise ParityError(
            f"no image can be used to compare {called or model} with {reference}: {why}"
        )
    reference_scores = np.concatenate(expected)
    if not np.isfinite(reference_scores).all():
        without = used[int(np.argmin(np.isfinite(reference_scores)))]
        raise ParityError(f"{reference} gives no number for {without}: its weights do not hold")
    comparisons = []
    for name, classifier in classifiers.items():
        from_files = _scan(classifier, used)
        for way, scores in (("tensors", np.concatenate(tensors[name])), ("files", from_files)):
            comparisons.append(
                compare(way, name, gates[name], threshold, used, reference_scores, scores)
            )
    return Report(
        reference=reference,
        threshold=threshold,
        comparisons=tuple(comparisons),
        score_range=(float(reference_scores.min()), float(reference_scores.max())),
        left_out=left_out,
    )


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
    """Give the scanner's own scores; NaN where it has none."""
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
    gates: Mapping[str, Gate],
    hint: str | None = None,
) -> Report:
    """Write a model file beside its name, check and compare it, and only then give it the name.

    Parameters
    ----------
    model
        An `onnx.ModelProto`.
    manifest
        Its manifest; the comparison is added to it.
    out
        The file; what was there before stays if anything fails.
    reference, score, devices, gates
        See `verify`; images are prepared as the manifest says.
    images
        Images to compare on; None makes some.
    hint
        See `Report.require`.

    Raises
    ------
    ConversionError
        If the file breaks the contract.
    ParityError
        If it does not say what the reference says.
    OutputError
        If it cannot be written.
    """
    with atomic_path(out) as temporary, tempfile.TemporaryDirectory() as folder:
        temporary.write_bytes(modelfile.embed(model, manifest))
        require(temporary, model)
        report = verify(
            temporary, reference, score, manifest.preprocess,
            images or samples.make(Path(folder)), devices=devices, gates=gates, called=out,
        )  # fmt: skip
        report.require(out, hint)
        temporary.write_bytes(modelfile.embed(model, replace(manifest, parity=report.facts())))
    return report
