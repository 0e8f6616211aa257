"""What the allow-list and the baseline make of the records of a scan."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date

from nsfwscan.record import Record
from nsfwscan.review.allowlist import Allowance
from nsfwscan.review.baseline import Baseline


class Screen:
    """Judges records by the allow-list first, and then by the baseline.

    Parameters
    ----------
    allowances
        The allow-list, by SHA-256.
    baseline
        None for none: nothing is known.
    today
        The day on which an entry must not have expired.
    on_expired
        Called with each record that stays flagged because its entry has expired, and the entry.

    Attributes
    ----------
    expired : int
        How many they are.
    """

    def __init__(
        self,
        allowances: Mapping[str, Allowance],
        baseline: Baseline | None,
        today: date,
        on_expired: Callable[[Record, Allowance], None],
    ) -> None:
        self._allowances = allowances
        self._baseline = baseline
        self._today = today
        self._on_expired = on_expired
        self.expired = 0

    def judge(self, record: Record) -> tuple[Record, bool]:
        """Judge a record. An error always stays one.

        Returns
        -------
        tuple of Record and bool
            The record, which is ``safe`` if it was flagged and is allowed; and whether it is a
            finding of the baseline.
        """
        entry = self._allowances.get(record.sha256 or "")
        if record.status == "flagged" and entry is not None:
            if entry.applies(self._today):
                return replace(record, status="safe", allowed=entry.reason, uncertain=False), False
            self.expired += 1
            self._on_expired(record, entry)
        return record, self._baseline is not None and self._baseline.knows(record)
