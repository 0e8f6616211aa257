"""The result of comparing two models: differences, tolerances and the report. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from operator import ne
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsfwexport.errors import ParityError
from nsfwexport.modelfile import Precision
from nsfwexport.reference import Features, Scores
from nsfwexport.weights import TOLERANCE as WEIGHT_TOLERANCE
from nsfwexport.weights import WeightComparison
from nsfwscan.decision import flags

_LEAST = 1e-6  # probabilities are clipped to [1e-6, 1 - 1e-6] before the logit
_TINY = float(np.finfo(np.float32).tiny)
_WORST = 5
_SPREAD = 0.5  # a smaller range of scores proves little: a constant would pass


@dataclass(frozen=True)
class Tolerance:
    """The largest differences at which two models count as equal.

    Attributes
    ----------
    difference
        Largest absolute difference of a probability.
    flips
        Largest share of images, in [0, 1], whose decision at the threshold differs.
    features
        Largest relative error of an image's feature vector; None: they are not compared.
    mean
        Largest mean of the absolute differences of the probabilities; 1 for any.
    """

    difference: float
    flips: float
    features: float | None = None
    mean: float = 1.0


TOLERANCES: Mapping[str, Tolerance] = {
    "cpu": Tolerance(1e-4, 0),
    "cuda": Tolerance(1e-4, 0),
    "cuda-tf32": Tolerance(5e-3, 1e-3),
}
"""Tolerances of a model in single precision, by device."""

_USUAL = {
    "single": TOLERANCES,
    "half": dict.fromkeys(TOLERANCES, Tolerance(5e-3, 1e-3)),
    "int8": dict.fromkeys(TOLERANCES, Tolerance(0.25, 0.01, mean=0.01)),
    "int8 weights": dict.fromkeys(TOLERANCES, Tolerance(0.1, 0.01, mean=0.02)),
}


def usual_tolerances(precision: Precision) -> Mapping[str, Tolerance]:
    """Return the tolerances of a model in a precision, by device."""
    return _USUAL[precision]


FEATURE_TOLERANCES: Mapping[str, float] = {"cpu": 1e-3, "cuda": 1e-3, "cuda-tf32": 0.1}
"""Largest relative error of a feature vector in single precision, by device."""


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
        The device that ran the model file.
    tolerance
        The limits for `holds`.
    images
        Number of images compared.
    probability, logit
        Differences of the probabilities and of their logits.
    flips
        Number of decisions of a scan that differ at the model's threshold.
    worst
        The images that differ most: path, expected score, score.
    features
        The relative errors of the feature vectors, see `relative_errors`; None if the features are
        not compared.
    """

    way: str
    device: str
    tolerance: Tolerance
    images: int
    probability: Difference
    logit: Difference
    flips: int
    worst: tuple[tuple[str, float, float], ...] = ()
    features: Difference | None = None

    @property
    def holds(self) -> bool:
        """Whether the comparison is within the tolerance; never with a NaN."""
        return not self.failures

    @property
    def failures(self) -> dict[str, str]:
        """What exceeds its tolerance, such as ``features``, with a clause that says how far."""
        allowed, found = self.tolerance, {}
        error, limit = self.features, allowed.features
        if error is not None and limit is not None and not error.largest <= limit:
            found["features"] = (
                f"the features differ by up to {error.largest:.3g} of their size "
                f"(allowed: {limit:g})"
            )
        if not self.probability.largest <= allowed.difference:
            found["probabilities"] = (
                f"the probabilities differ by up to {self.probability.largest:.3g} "
                f"(allowed: {allowed.difference:g})"
            )
        if not self.probability.mean <= allowed.mean:
            found["mean"] = (
                f"the probabilities differ by {self.probability.mean:.3g} on average "
                f"(allowed: {allowed.mean:g})"
            )
        if not self.flips / self.images <= allowed.flips:
            found["decisions"] = (
                f"{self.flips} of {self.images} decisions differ (allowed: {allowed.flips:.1%})"
            )
        return found


@dataclass(frozen=True, kw_only=True)
class Report:
    """All comparisons of a model file with its reference.

    Attributes
    ----------
    reference
        The name of the model that it was compared with.
    threshold
        The threshold of the decisions.
    comparisons
        One for each way and device.
    score_range
        Least and largest score of the reference.
    generated
        Whether the images are generated ones.
    weights
        The comparison of the weights; None if they are not compared.
    left_out
        Images that could not be used, with the reason.
    """

    reference: str
    threshold: float
    comparisons: tuple[Comparison, ...]
    score_range: tuple[float, float]
    generated: bool = False
    weights: WeightComparison | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def spread(self) -> bool:
        """Whether the scores vary enough for the comparison to prove anything."""
        return self.score_range[1] - self.score_range[0] >= _SPREAD

    def facts(self) -> dict[str, Any]:
        """Return the facts for the manifest, without paths of this machine."""
        comparisons = []
        for comparison in self.comparisons:
            entry = asdict(comparison)
            del entry["worst"]
            comparisons.append(entry)
        return {
            "reference": Path(self.reference).name,
            "threshold": self.threshold,
            "score_range": list(self.score_range),
            "comparisons": comparisons,
            "generated": self.generated,
            "weights": None if self.weights is None else asdict(self.weights),
        }

    def require(self, path: Path, hint: str | None = None) -> None:
        """Raise `ParityError` unless the weights agree and every comparison holds.

        Parameters
        ----------
        path
            The model file, for the message.
        hint
            What to do, in place of the general advice.
        """
        broken = [comparison for comparison in self.comparisons if not comparison.holds]
        wrong = self.weights is not None and not self.weights.holds
        if not broken and not wrong:
            return
        on = " (generated images)" if self.generated else ""
        found = [
            f"from the {'same ' * (c.way == 'tensors')}{c.way} on {c.device}{on}, "
            + " and ".join(c.failures.values())
            for c in broken
        ]
        if self.weights is not None and wrong:
            found.insert(0, _describe(self.weights))
        worst = "".join(
            f"\n  {self._image(path)}: expected {expected:.6f}, got {got:.6f}"
            for path, expected, got in (broken[0].worst if broken else ())
        )
        raise ParityError(
            f"{path} does not give the scores of {self.reference}: {'; '.join(found)}; "
            f"{hint or self._cause(broken)}{worst}"
        )

    def _image(self, path: str) -> str:
        return f"generated image {Path(path).stem}" if self.generated else path

    def _cause(self, broken: Sequence[Comparison]) -> str:
        """Return the cause that the failures have in common, and what to do."""
        if self.weights is not None and not self.weights.holds:
            return "the file was changed or made from another run; convert the run again"
        if all(comparison.way == "files" for comparison in broken):
            return "the tensors agree, so images are decoded or resized differently"
        tensors = [c for c in self.comparisons if c.way == "tensors"]
        if any(c.features is None or "features" in c.failures for c in tensors):
            return "the weights, the scaling or the channel order differ; convert the run again"
        return (
            "weights and features agree, so this is rounding, which the large weights of the last "
            "layer amplify; compare on photos with --images, allow more with --max-difference and "
            "--max-flips, or train with a stronger regularization"
        )


def _describe(weights: WeightComparison) -> str:
    return (
        f"{weights.wrong:,} of {weights.values:,} weights differ by up to {weights.largest:.3g} of "
        f"their value (allowed: {WEIGHT_TOLERANCE:g})"
    )


def compare(
    way: str,
    device: str,
    tolerance: Tolerance,
    threshold: float,
    paths: Sequence[str],
    expected: Scores,
    got: Scores,
    features: tuple[Features, Features] | None = None,
) -> Comparison:
    """Compare two lists of scores.

    Parameters
    ----------
    way, device, tolerance
        See `Comparison`.
    threshold
        Lowest score that is flagged.
    paths
        The images.
    expected, got
        float32 (N,) in [0, 1], N at least 1. NaN means no score and exceeds every tolerance.
    features
        The expected and the computed features, float32 (N, F).
    """
    a, b = expected.astype(np.float64), got.astype(np.float64)
    apart = np.abs(a - b)
    order = np.argsort(-np.nan_to_num(apart, nan=np.inf), kind="stable")[:_WORST]
    return Comparison(
        way=way,
        device=device,
        tolerance=tolerance,
        images=len(paths),
        probability=_difference(apart),
        logit=_difference(np.abs(_logit(a) - _logit(b))),
        flips=sum(map(ne, flags(a.tolist(), threshold), flags(b.tolist(), threshold))),
        worst=tuple((paths[i], float(a[i]), float(b[i])) for i in order),
        features=None if features is None else _difference(relative_errors(*features)),
    )


def relative_errors(expected: Features, got: Features) -> NDArray[np.float64]:
    """Return |got - expected| / |expected| of each feature vector, in the Euclidean norm."""
    a, b = expected.astype(np.float64), got.astype(np.float64)
    size = np.linalg.norm(a, axis=1)
    errors: NDArray[np.float64] = np.linalg.norm(b - a, axis=1) / np.maximum(size, _TINY)
    return errors


def _difference(apart: NDArray[np.float64]) -> Difference:
    return Difference(float(apart.max()), float(apart.mean()), float(np.percentile(apart, 99)))


def _logit(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    kept = np.clip(probability, _LEAST, 1 - _LEAST)
    return np.log(kept / (1 - kept))
