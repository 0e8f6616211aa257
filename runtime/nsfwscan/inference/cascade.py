"""Cascades: a fast model scores first, and its original scores again what is near a threshold."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from nsfwscan.util.digest import is_digest

_LEAST = 5e-7
"""The lowest threshold above 0 that a score of 6 decimals can be rounded up to."""


@dataclass(frozen=True, kw_only=True)
class Cascade:
    """The part of a fast model's manifest about the model that it was made from.

    Attributes
    ----------
    model
        SHA-256 of the original's file, in lower-case hex.
    band
        How far from a threshold a score of the fast model may lie to be replaced by one of the
        original, in log-odds: above 0, finite.

    Raises
    ------
    ValueError
        If `model` is no digest, or `band` is out of range.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    model: str
    band: float

    def __post_init__(self) -> None:
        """Check digest and range."""
        if not is_digest("sha256", self.model):
            raise ValueError("cascade.model must be a SHA-256: 64 digits of lower-case hex")
        if not 0 < self.band < math.inf:
            raise ValueError(f"cascade.band must be a finite number above 0, got {self.band}")

    def interval(self, thresholds: Sequence[float]) -> tuple[float, float]:
        """Return the lowest and the highest score of the fast model to be replaced.

        Parameters
        ----------
        thresholds
            One or more thresholds in [0, 1]. What lies between them is replaced, too.
        """
        return (
            _probability(log_odds(min(thresholds)) - self.band),
            _probability(log_odds(max(thresholds)) + self.band),
        )


def log_odds(score: float) -> float:
    """Return the logarithm of p / (1 - p), for p kept from 0 and 1 by half of a score's unit."""
    kept = min(max(score, _LEAST), 1 - _LEAST)
    return math.log(kept / (1 - kept))


def _probability(odds: float) -> float:
    """Return the score of log-odds: 0 or 1 where scores of 6 decimals are nothing else."""
    if abs(odds) >= log_odds(1):
        return float(odds > 0)
    return 1 / (1 + math.exp(-odds))
