"""The result of comparing two models: differences, tolerances and the report. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nsfwexport.errors import ParityError

Scores = NDArray[np.float32]

_LEAST = 1e-6  # probabilities are clipped to [1e-6, 1 - 1e-6] before the logit
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
    """

    difference: float
    flips: float


TOLERANCES: Mapping[str, Tolerance] = {
    "cpu": Tolerance(1e-4, 0),
    "cuda": Tolerance(1e-4, 0),
    "cuda-tf32": Tolerance(5e-3, 1e-3),
}
"""Tolerances of a model in single precision, by device."""

HALF_TOLERANCES: Mapping[str, Tolerance] = dict.fromkeys(TOLERANCES, Tolerance(5e-3, 1e-3))
"""Tolerances of a model in half precision, by device."""


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
        Number of decisions that differ at the model's threshold.
    worst
        The images that differ most: path, expected score, score.
    """

    way: str
    device: str
    tolerance: Tolerance
    images: int
    probability: Difference
    logit: Difference
    flips: int
    worst: tuple[tuple[str, float, float], ...] = ()

    @property
    def holds(self) -> bool:
        """Whether the comparison is within the tolerance; never with a NaN."""
        allowed = self.tolerance
        share = self.flips / self.images
        return self.probability.largest <= allowed.difference and share <= allowed.flips


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
    left_out
        Images that could not be used, with the reason.
    """

    reference: str
    threshold: float
    comparisons: tuple[Comparison, ...]
    score_range: tuple[float, float]
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def spread(self) -> bool:
        """Whether the scores vary enough for the comparison to prove anything."""
        return self.score_range[1] - self.score_range[0] >= _SPREAD

    def facts(self) -> dict[str, Any]:
        """Return the facts for the manifest, without the paths of images."""
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
            The model file, for the message.
        hint
            A more likely cause than the general one.
        """
        broken = [comparison for comparison in self.comparisons if not comparison.holds]
        if not broken:
            return
        found = "; ".join(
            f"from the {'same ' * (c.way == 'tensors')}{c.way} on {c.device}, probabilities differ "
            f"by up to {c.probability.largest:.3g} (allowed: {c.tolerance.difference:g}) and "
            f"{c.flips} of {c.images} decisions (allowed: {c.tolerance.flips:.1%})"
            for c in broken
        )
        if all(comparison.way == "files" for comparison in broken):
            hint = "the tensors agree, so images are decoded or resized differently"
        why = hint or "the weights, the scaling or the channel order differ"
        worst = "".join(
            f"\n  {name}: expected {expected:.6f}, got {got:.6f}"
            for name, expected, got in broken[0].worst
        )
        raise ParityError(
            f"{path} does not give the scores of {self.reference}: {found}; {why}{worst}"
        )


def compare(
    way: str,
    device: str,
    tolerance: Tolerance,
    threshold: float,
    paths: Sequence[str],
    expected: Scores,
    got: Scores,
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
        flips=int(np.sum((a >= threshold) != (b >= threshold))),
        worst=tuple((paths[i], float(a[i]), float(b[i])) for i in order),
    )


def _difference(apart: NDArray[np.float64]) -> Difference:
    return Difference(float(apart.max()), float(apart.mean()), float(np.percentile(apart, 99)))


def _logit(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    kept = np.clip(probability, _LEAST, 1 - _LEAST)
    return np.log(kept / (1 - kept))
