"""What a scan makes of a probability: a score, and whether it is flagged.

Training and export count with the same functions, so that a count in a report is that of a scan.
"""

from collections.abc import Iterable

_DECIMALS = 6
"""Decimals of a score in a record."""


def score_of(probability: float) -> float:
    """Round a probability to the score in a record."""
    return round(probability, _DECIMALS)


def is_flagged(score: float, threshold: float) -> bool:
    """Check whether a scan flags a score."""
    return score >= threshold


def flags(probabilities: Iterable[float], threshold: float) -> list[bool]:
    """Tell of each probability whether a scan flags its score.

    Parameters
    ----------
    probabilities
        Python's numbers: those of an array's ``tolist``. NumPy rounds its own numbers differently.
    """
    return [is_flagged(score_of(probability), threshold) for probability in probabilities]
