"""The report in CSV."""

import csv
from collections.abc import Callable
from typing import TextIO

from nsfwscan.record import FIELDS, Record
from nsfwscan.reports.report import Report
from nsfwscan.util.escape import to_json

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""From OWASP's page on CSV injection. The last four are the full-width forms of = + - @."""


class CsvReport(Report):
    """Comma-separated values with a header: RFC 4180, except that lines end in a line feed.

    `clean` is applied to every text. It escapes control characters for a terminal.
    """

    def __init__(self, out: TextIO, clean: Callable[[str], str]) -> None:
        super().__init__(out)
        self._clean = clean
        # Quote all text, because the writer's default does not quote a carriage return in a name.
        self._writer = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
        self._writer.writerow(FIELDS)

    def add(self, record: Record) -> None:
        """Write one row."""
        self._writer.writerow([self._cell(value) for value in record.to_dict().values()])
        self._out.flush()

    def _cell(self, value: object) -> object:
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, dict):
            value = to_json(value)
        if not isinstance(value, str):
            return value
        text = self._clean(value)
        # A spreadsheet would run such a cell as a formula. The quote makes it text.
        return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
