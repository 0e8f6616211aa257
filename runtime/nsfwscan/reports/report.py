"""The base class of all report formats.

File names are untrusted. No format writes control characters to a terminal, no CSV cell is a
formula, and no name breaks a JSON line in two.
"""

from abc import ABC, abstractmethod
from typing import TextIO

from nsfwscan.record import Record
from nsfwscan.reports.summary import Summary


class Report(ABC):
    """A report in one format. The caller opens and closes its output."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    @abstractmethod
    def add(self, record: Record) -> None:
        """Write one record, or keep it for `close`."""

    def close(self, summary: Summary) -> None:  # noqa: ARG002 - most formats hold records only
        """Write the end of the report."""
        self._out.flush()


class Reports(Report):
    """Several reports about one scan, each with an output of its own."""

    def __init__(self, *reports: Report) -> None:
        self._reports = reports

    def add(self, record: Record) -> None:
        """Pass a record to each."""
        for report in self._reports:
            report.add(record)

    def close(self, summary: Summary) -> None:
        """Close each."""
        for report in self._reports:
            report.close(summary)
