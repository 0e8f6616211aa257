"""The baseline: the findings of an earlier scan, which a later one does not report again.

A finding is a flagged image or an error. An image is the same if its bytes are, wherever its file
is and whatever its name. Where an error left the bytes unread, its path stands for them.
"""

from collections.abc import Callable, Hashable
from pathlib import Path

from nsfwscan.record import Record
from nsfwscan.reports.results import read_results


class Baseline:
    """The findings of an earlier scan.

    Parameters
    ----------
    path
        Its report in the format ``jsonl``, ``json`` or ``parquet``.
    say
        As for `read_results`.

    Raises
    ------
    InputError
        If the file cannot be read, or is not such a report.
    """

    def __init__(self, path: Path, say: Callable[[str], None]) -> None:
        self._found = {_identity(one) for one in read_results(path, say) if one.status != "safe"}

    def knows(self, record: Record) -> bool:
        """Tell whether a record is a finding of the earlier scan."""
        return record.status != "safe" and _identity(record) in self._found


def _identity(record: Record) -> Hashable:
    """Return what is equal in equal findings.

    The score, the threshold and the model are not: what was flagged, and still is, is not new.
    """
    if record.sha256 is not None:
        return record.status, record.reason, record.sha256
    return record.status, record.reason, None, record.path
