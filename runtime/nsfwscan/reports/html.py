"""The report as a web page: one file that loads nothing and runs nothing."""

import hashlib
import math
from base64 import b64encode
from dataclasses import dataclass
from datetime import timedelta
from importlib.resources import files
from typing import TextIO

import jinja2

from nsfwscan.record import Record
from nsfwscan.reports.about import About
from nsfwscan.reports.report import Report
from nsfwscan.reports.summary import Summary
from nsfwscan.util.escape import printable

BINS = 40
"""Bars of the histogram."""

_MILLION = 10**6
"""Scores have six decimals."""

_HEIGHT = 160
"""Pixels of the highest bar."""

_LEAST = 2
"""Pixels of the lowest bar: one image must be visible beside a million."""


def _finalized(value: object) -> object:
    """Make text printable before the template escapes it."""
    return printable(value) if type(value) is str else value


_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("nsfwscan.reports"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    finalize=_finalized,
)
_STYLE = files("nsfwscan.reports") / "templates" / "report.css"


class HtmlReport(Report):
    """Counts, a histogram of the scores, and the findings, written at the end.

    Memory holds the findings, and none of the safe images. With `show_allowed`, allowed images
    have a table of their own.
    """

    def __init__(self, out: TextIO, about: About, *, show_allowed: bool) -> None:
        super().__init__(out)
        self._about = about
        self._show_allowed = show_allowed
        self._flagged: list[Record] = []
        self._allowed: list[Record] = []
        self._errors: list[Record] = []
        self._histogram = Histogram(about.threshold)

    def add(self, record: Record) -> None:
        """Count a record, and keep it for `close` if it is a finding."""
        if record.score is not None:
            self._histogram.add(record.score)
        if record.status == "flagged":
            self._flagged.append(record)
        elif record.status == "error":
            self._errors.append(record)
        elif record.allowed is not None and self._show_allowed:
            self._allowed.append(record)

    def close(self, summary: Summary) -> None:
        """Write the page."""
        css = _STYLE.read_text(encoding="utf-8")
        page = _TEMPLATES.get_template("report.html.j2").generate(
            about=self._about,
            summary=summary,
            took=_duration(summary.seconds),
            rate=summary.rate,
            histogram=self._histogram,
            full=_HEIGHT,
            flagged=sorted(self._flagged, key=_by_score),
            allowed=sorted(self._allowed, key=_by_score),
            errors=sorted(self._errors, key=lambda record: (str(record.reason), record.path)),
            css=css,
            css_hash=b64encode(hashlib.sha256(css.encode()).digest()).decode(),
        )
        for piece in page:
            self._out.write(piece)
        super().close(summary)


def _by_score(record: Record) -> tuple[float, str]:
    return -(record.score or 0.0), record.path


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else f"{timedelta(seconds=round(seconds))} h"


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of the histogram.

    Attributes
    ----------
    start, end
        The scores that it counts: from `start` to below `end`, the last one including 1.
    count
        How many images have them, at least 1.
    height
        Pixels.
    reached
        Whether the scores reach the threshold.
    """

    start: float
    end: float
    count: int
    height: float
    reached: bool


class Histogram:
    """How many images have which score. A bar never spans the threshold."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._below = [0] * BINS
        self._reached = [0] * BINS

    def add(self, score: float) -> None:
        """Count a score."""
        place = min(round(score * _MILLION) * BINS // _MILLION, BINS - 1)
        (self._reached if score >= self._threshold else self._below)[place] += 1

    @property
    def most(self) -> int:
        """The count of the highest bar; 0 if no image has a score."""
        return max(*self._below, *self._reached)

    @property
    def logarithmic(self) -> bool:
        """Whether the counts differ too much for a linear axis."""
        return self.most > 20

    @property
    def bars(self) -> list[Bar]:
        """The bars that are not empty, in ascending order."""
        found = []
        for place, counts in enumerate(zip(self._below, self._reached, strict=True)):
            start, end = place / BINS, (place + 1) / BINS
            parted = min(max(self._threshold, start), end)
            for count, ends, reached in zip(
                counts, ((start, parted), (parted, end)), (False, True), strict=True
            ):
                if count:
                    found.append(Bar(*ends, count, self.height(count), reached))
        return found

    @property
    def ticks(self) -> list[int]:
        """Counts at which the axis has a line."""
        if self.logarithmic:
            return [10**power for power in range(len(str(self.most)))]
        return sorted({self.most, (self.most + 1) // 2} - {0})

    def height(self, count: int) -> float:
        """Return the pixels of a bar. The logarithmic axis begins at a half."""
        share = (
            math.log(2 * count) / math.log(2 * self.most) if self.logarithmic else count / self.most
        )
        return round(max(_LEAST, share * _HEIGHT), 1)
