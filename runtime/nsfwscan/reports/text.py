"""The text report, for people."""

from typing import TextIO

from nsfwscan.record import Record
from nsfwscan.reports.report import Report
from nsfwscan.reports.summary import Summary
from nsfwscan.util.escape import printable

_FLAGGED, _ERROR, _BOLD = "1;31", "1;33", "1"  # ANSI (ECMA-48) graphic renditions


class TextReport(Report):
    """Flagged images by descending score, then errors, then the summary line.

    With `show_allowed`, allowed images stand between the first two.
    """

    def __init__(self, out: TextIO, *, colored: bool, quiet: bool, show_allowed: bool) -> None:
        super().__init__(out)
        self._colored = colored
        self._quiet = quiet
        self._flagged: list[tuple[float, str, str]] = []
        self._show_allowed = show_allowed
        self._allowed: list[tuple[float, str, str]] = []
        self._errors: list[Record] = []

    def add(self, record: Record) -> None:
        """Keep a record for `close`."""
        if record.status == "flagged" and record.score is not None:
            self._flagged.append((-record.score, record.path, _notes(record)))
        elif record.allowed is not None and record.score is not None and self._show_allowed:
            self._allowed.append((-record.score, record.path, record.allowed))
        elif record.status == "error":
            self._errors.append(record)

    def close(self, summary: Summary) -> None:
        """Write the flagged images, the allowed ones, the errors and the summary line."""
        flagged = _style("flagged", _FLAGGED, colored=self._colored)
        for negative, path, notes in sorted(self._flagged):
            self._out.write(f"{flagged}  {-negative:.3f}  {printable(path)}{notes}\n")
        for negative, path, reason in sorted(self._allowed):
            shown = f"{printable(path)}: {printable(reason)}"
            self._out.write(f"allowed  {-negative:.3f}  {shown}\n")
        for record in self._errors:
            self._out.write(f"{error_line(record, colored=self._colored)}\n")
        if not self._quiet:
            self._out.write(f"{_style(summary.line(), _BOLD, colored=self._colored)}\n")
        super().close(summary)


def error_line(record: Record, *, colored: bool) -> str:
    """Describe an error record in one line."""
    error = _style("error", _ERROR, colored=colored)
    detail = printable(record.detail or "")
    return f"{error}    {record.reason}  {printable(record.path)}: {detail}"


def _notes(record: Record) -> str:
    """Say what else is known of a flagged image: its classes, the most probable one first."""
    notes = ["uncertain"] if record.uncertain else []
    for name, value in sorted((record.classes or {}).items(), key=lambda item: -item[1]):
        notes.append(f"{printable(name)} {value:.3f}")
    return f"  ({', '.join(notes)})" if notes else ""


def _style(text: str, rendition: str, *, colored: bool) -> str:
    return f"\x1b[{rendition}m{text}\x1b[0m" if colored else text
