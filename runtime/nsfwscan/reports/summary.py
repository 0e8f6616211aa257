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
    ExitCode.SAFE: "all images are safe",
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
        Records by status.
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
    cached: int = 0
    skipped: Counter[Kind] = field(default_factory=Counter)
    seconds: float = 0.0
    interrupted: bool = False
    failed: bool = False

    def add(self, record: Record) -> None:
        """Count one record."""
        if record.status == "safe":
            self.safe += 1
        elif record.status == "flagged":
            self.flagged += 1
        else:
            self.errors += 1
        self.cached += record.cached

    @property
    def records(self) -> int:
        """The number of records."""
        return self.safe + self.flagged + self.errors

    @property
    def found(self) -> int:
        """The number of entries, scored and skipped."""
        return self.records + self.skipped.total()

    def exit_code(self, *, exit_zero: bool = False) -> ExitCode:
        """Return the exit code. With `exit_zero`, flagged images do not change it."""
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
        """Describe the scan in one line. The parts add up to the number found."""
        plural = "" if self.errors == 1 else "s"
        parts = f"{self.safe:,} safe, {self.flagged:,} flagged, {self.errors:,} error{plural}"
        if self.skipped:
            kinds = ", ".join(kind.counted(count) for kind, count in self.skipped.most_common())
            parts += f", {self.skipped.total():,} skipped ({kinds})"
        rate = self.records / self.seconds if self.seconds > 0 else 0.0
        took = f"{self.seconds:.1f} s, {rate:.1f} images/s"
        if self.cached:
            took += f", {self.cached:,} from the cache"
        prefix = "Interrupted: " if self.interrupted else "Incomplete: " if self.failed else ""
        return f"{prefix}{self.found:,} found: {parts}; {took}"
