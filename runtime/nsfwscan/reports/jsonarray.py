"""The report in JSON."""

from nsfwscan.record import Record
from nsfwscan.reports.report import Report
from nsfwscan.reports.summary import Summary
from nsfwscan.util.escape import to_json


class JsonReport(Report):
    """A JSON array of all records, one per line."""

    _separator = "["

    def add(self, record: Record) -> None:
        """Write one element."""
        self._out.write(f"{self._separator}\n{to_json(record.to_dict())}")
        self._separator = ","

    def close(self, summary: Summary) -> None:
        """Write the end of the array."""
        self._out.write("[]\n" if self._separator == "[" else "\n]\n")
        super().close(summary)
