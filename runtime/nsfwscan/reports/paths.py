"""The report of the paths of flagged images only."""

from collections.abc import Callable
from typing import TextIO

from nsfwscan.record import Record
from nsfwscan.reports.report import Report
from nsfwscan.reports.text import error_line


class PathsReport(Report):
    """The path of each flagged image, followed by `end`.

    `say` is called with one line for each error. `clean` is applied to every path and escapes
    control characters for a terminal.
    """

    def __init__(
        self, out: TextIO, clean: Callable[[str], str], end: str, say: Callable[[str], None]
    ) -> None:
        super().__init__(out)
        self._clean = clean
        self._end = end
        self._say = say

    def add(self, record: Record) -> None:
        """Write the path of a flagged image."""
        if record.status == "flagged":
            self._out.write(self._clean(record.path) + self._end)
            self._out.flush()
        elif record.status == "error":
            self._say(error_line(record, colored=False))
