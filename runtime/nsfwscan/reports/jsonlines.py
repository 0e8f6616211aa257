"""The report in JSON Lines."""

from nsfwscan.record import Record
from nsfwscan.reports.report import Report
from nsfwscan.util.escape import to_json


class JsonLinesReport(Report):
    """One JSON object per line, written as soon as its record exists."""

    def add(self, record: Record) -> None:
        """Write one line."""
        self._out.write(to_json(record.to_dict()) + "\n")
        self._out.flush()
