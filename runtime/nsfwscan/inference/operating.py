"""Operating points: what a threshold finds and what it flags by mistake, as measured."""

import re
from dataclasses import dataclass
from datetime import date
from typing import Any, ClassVar, Literal, get_args

Level = Literal["sensitive", "balanced", "strict"]
"""The names by which a user chooses a threshold."""

LEVELS: tuple[Level, ...] = get_args(Level)
"""The names by ascending threshold."""

_DATE = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class OperatingPoint:
    """A threshold with its measured rates.

    Attributes
    ----------
    threshold
        Lowest score of a flagged image, in [0, 1].
    name
        ``sensitive`` finds most and flags more by mistake, ``strict`` the opposite, and
        ``balanced`` lies between them. None: no name chooses this point.
    recall
        Share of the images of label 1 that are flagged, in [0, 1]. None if it is unknown.
    false_positive_rate
        Share of the images of label 0 that are flagged, in [0, 1]. None if it is unknown.
    measured_on
        The images.
    by
        Who measured, or where the figures are published.
    date
        When, in ISO 8601: ``2026``, ``2026-10`` or ``2026-10-31``. None if it is unknown.

    Raises
    ------
    ValueError
        If a number is not in [0, 1], or the date is none.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    threshold: float
    name: Level | None = None
    recall: float | None = None
    false_positive_rate: float | None = None
    measured_on: str
    by: str
    date: str | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("threshold", "recall", "false_positive_rate"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ValueError(f"{name} must be in [0, 1], got {value}")
        if self.date is not None and not _is_date(self.date):
            raise ValueError(f"date must be such as 2026-10-31, got {self.date!r}")

    def precision(self, prevalence: float) -> float | None:
        """Return the share of flagged images that are of label 1, by Bayes' theorem.

        Parameters
        ----------
        prevalence
            Share of all images that are of label 1, in [0, 1].

        Returns
        -------
        float or None
            In [0, 1]. None if a rate is unknown, or nothing is flagged.
        """
        if self.recall is None or self.false_positive_rate is None:
            return None
        found = self.recall * prevalence
        flagged = found + self.false_positive_rate * (1 - prevalence)
        return found / flagged if flagged else None


def _is_date(text: str) -> bool:
    match = _DATE.fullmatch(text)
    if match is None:
        return False
    try:
        date(*(int(part or 1) for part in match.groups()))
    except ValueError:
        return False
    return True
