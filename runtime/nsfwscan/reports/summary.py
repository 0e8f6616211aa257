"""The summary of a scan: counts, one line of text, and the exit code."""

from collections import Counter
from dataclasses import dataclass, field
from enum import IntEnum

from nsfwscan.record import Record
from nsfwscan.sources.filetype import Kind


class ExitCode(IntEnum):
    """Exit codes of a scan. If two codes apply, the scan exits with the larger one."""

    SAFE = 0
    FLAGGED = 1
    ERROR = 2
    INTERRUPTED = 130
    BROKEN_PIPE = 141
    TERMINATED = 143


EXIT_CODES = {
    ExitCode.SAFE: "all images are safe, or findings of the baseline",
    ExitCode.FLAGGED: "at least one image is flagged, and there are no errors",
    ExitCode.ERROR: "wrong usage, or an image could not be scored; the other results are printed",
    ExitCode.INTERRUPTED: "interrupted by Ctrl-C; the results so far are printed",
    ExitCode.BROKEN_PIPE: "the program that reads the output closed it (`| head`)",
    ExitCode.TERMINATED: "ended by SIGTERM (129: by SIGHUP); the results so far are printed",
}


_HINTS = {
    Kind.LINK: "--follow follows links",
    Kind.HIDDEN_FILE: "--hidden selects hidden files",
    Kind.UNSELECTED_FILE: "globs are relative to the scanned folder",
}


@dataclass(kw_only=True)
class Summary:
    """The counts of a scan.

    Attributes
    ----------
    safe, flagged, errors
        Records by status, without those that are known.
    uncertain
        How many of the flagged ones are in the review band.
    allowed
        How many of the safe ones an allow-list has made safe.
    known
        Findings of the baseline that are found again.
    cached
        Records whose score comes from an earlier scan.
    skipped
        Entries that are not images or were not selected, by kind.
    seconds
        Wall-clock time of the scan.
    interrupted
        Whether a signal ended the scan.
    failed
        Whether the scan ended early because the model or the list of files failed.
    """

    safe: int = 0
    flagged: int = 0
    errors: int = 0
    uncertain: int = 0
    allowed: int = 0
    known: int = 0
    cached: int = 0
    skipped: Counter[Kind] = field(default_factory=Counter)
    seconds: float = 0.0
    interrupted: bool = False
    failed: bool = False

    def add(self, record: Record, *, known: bool = False) -> None:
        """Count one record, which may be a finding of the baseline."""
        if known:
            self.known += 1
        elif record.status == "safe":
            self.safe += 1
        elif record.status == "flagged":
            self.flagged += 1
            self.uncertain += record.uncertain
        else:
            self.errors += 1
        self.allowed += record.allowed is not None
        self.cached += record.cached

    @property
    def records(self) -> int:
        """The number of records."""
        return self.safe + self.flagged + self.errors + self.known

    @property
    def found(self) -> int:
        """The number of entries, scored and skipped."""
        return self.records + self.skipped.total()

    @property
    def rate(self) -> float:
        """Records in a second."""
        return self.records / self.seconds if self.seconds > 0 else 0.0

    def exit_code(self, *, exit_zero: bool = False) -> ExitCode:
        """Return the exit code. With `exit_zero`, flagged images do not change it.

        Known findings never change it.
        """
        if self.interrupted:
            return ExitCode.INTERRUPTED
        if self.errors or self.failed:
            return ExitCode.ERROR
        return ExitCode.FLAGGED if self.flagged and not exit_zero else ExitCode.SAFE

    def nothing(self) -> str:
        """Say that there were no images, and what may be the reason; empty if there were.

        It is empty too if the scan did not come to its end.
        """
        if self.records or self.interrupted or self.failed:
            return ""
        if not self.skipped:
            return "no images: there are no files"
        hints = [hint for kind, hint in _HINTS.items() if self.skipped[kind]]
        kinds = ", ".join(kind.counted(count) for kind, count in self.skipped.most_common())
        return "; ".join([f"no images: skipped {kinds}", *hints])

    def line(self) -> str:
        """Describe the scan in one line: the counts, and the time."""
        took = f"{self.seconds:.1f} s, {self.rate:.1f} images/s"
        if self.cached:
            took += f", {self.cached:,} from the cache"
        prefix = "Interrupted: " if self.interrupted else "Incomplete: " if self.failed else ""
        return f"{prefix}{self.counts()}; {took}"

    def counts(self) -> str:
        """Say how many entries of which result there are. The parts add up to the number found."""
        plural = "" if self.errors == 1 else "s"
        allowed = f" ({self.allowed:,} allowed)" if self.allowed else ""
        uncertain = f" ({self.uncertain:,} uncertain)" if self.uncertain else ""
        parts = f"{self.safe:,} safe{allowed}, {self.flagged:,} flagged{uncertain}, "
        parts += f"{self.errors:,} error{plural}"
        if self.known:
            parts += f", {self.known:,} as in the baseline"
        if self.skipped:
            kinds = ", ".join(kind.counted(count) for kind, count in self.skipped.most_common())
            parts += f", {self.skipped.total():,} skipped ({kinds})"
        return f"{self.found:,} found: {parts}"
