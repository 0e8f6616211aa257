"""Which images of a report or of decisions are acted upon."""

import os
from collections.abc import Iterable
from dataclasses import dataclass

from nsfwscan.dataset.decisions import Decisions
from nsfwscan.record import Record


@dataclass(frozen=True, slots=True)
class Wanted:
    """An image to act upon.

    Attributes
    ----------
    path
        As the scan has reported it.
    location
        The path joined with the folder that it refers to.
    sha256
        Lower-case hex digest of the bytes that were scored or decided about; None: it is unknown.
    score
        In [0, 1]; None: it is unknown.
    """

    path: str
    location: str
    sha256: str | None
    score: float | None


def indecent(decisions: Decisions) -> list[Wanted]:
    """Return the images that somebody has found indecent."""
    return [
        Wanted(one.path, decisions.located(one), one.sha256, one.score)
        for one in decisions.decisions
        if one.decision == "indecent"
    ]


def flagged(records: Iterable[Record], base: str) -> list[Wanted]:
    """Return the flagged images of a report, of which relative paths refer to `base`.

    Images without a score are never among them.
    """
    return [
        Wanted(one.path, os.path.join(base, one.path), one.sha256, one.score)
        for one in records
        if one.status == "flagged"
    ]
