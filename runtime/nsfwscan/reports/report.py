"""The base of all report formats.

File names are untrusted: no format writes control characters to a terminal, a CSV cell is never a
formula, and a JSON line is one line whatever a name holds.
"""

from abc import ABC, abstractmethod
from typing import TextIO

from nsfwscan.record import Record
from nsfwscan.reports.summary import Summary


class Report(ABC):
    """A report in one format, on an output that the caller opens and closes."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    @abstractmethod
    def add(self, record: Record) -> None:
        """Write one record, or keep it for `close`."""

    def close(self, summary: Summary) -> None:  # noqa: ARG002 - most formats hold records only
        """Write the end of the report."""
        self._out.flush()
