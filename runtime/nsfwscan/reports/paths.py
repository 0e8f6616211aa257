"""The report that holds the paths of flagged images only."""

from collections.abc import Callable
from typing import TextIO

from nsfwscan.record import Record
from nsfwscan.reports.report import Report
from nsfwscan.reports.text import error_line


class PathsReport(Report):
    r"""The path of each flagged image; errors go to `say`.

    Parameters
    ----------
    out
        The open output.
    clean
        Applied to every path: it escapes control characters where the output is a terminal.
    end
        Written after each path: ``\n`` or ``\0``.
    say
        Called with one line for each error.
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
