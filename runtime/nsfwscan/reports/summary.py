"""What a scan comes to: counts that add up, one line to say them, and the exit code."""

from collections import Counter
from dataclasses import dataclass, field
from enum import IntEnum

from nsfwscan.record import Record
from nsfwscan.sources.filetype import Kind


class ExitCode(IntEnum):
    """How a scan ends, for scripts. The larger one wins where two apply."""

    SAFE = 0
    FLAGGED = 1
    ERROR = 2
    INTERRUPTED = 130
    BROKEN_PIPE = 141
    TERMINATED = 143


EXIT_CODES = {
    ExitCode.SAFE: "every image found is safe",
    ExitCode.FLAGGED: "at least one image is flagged, and there were no errors",
    ExitCode.ERROR: "wrong usage, or something could not be scored; findings are printed all the "
    "same",
    ExitCode.INTERRUPTED: "interrupted by Ctrl-C; what was found until then is printed",
    ExitCode.BROKEN_PIPE: "the reader of the output went away (`| head`)",
    ExitCode.TERMINATED: "ended by SIGTERM (129: by SIGHUP); printed as at 130",
}


@dataclass(kw_only=True)
class Summary:
    """The counts of a scan.

    Attributes
    ----------
    safe, flagged, errors
        Records by status.
    cached
        Records whose score is an earlier scan's.
    skipped
        Entries that were found and are no image, or were not wanted, by kind.
    seconds
        Wall-clock time of the scan.
    interrupted
        Whether the user or the system ended it.
    failed
        Whether it could not go on: the model failed, or the list of files.
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
        """How many records there are."""
        return self.safe + self.flagged + self.errors

    @property
    def found(self) -> int:
        """How many entries there are: records and what was skipped."""
        return self.records + self.skipped.total()

    def exit_code(self, *, exit_zero: bool = False) -> ExitCode:
        """Give the exit code; `exit_zero` makes a flagged image no reason for another than 0."""
        if self.interrupted:
            return ExitCode.INTERRUPTED
        if self.errors or self.failed:
            return ExitCode.ERROR
        return ExitCode.FLAGGED if self.flagged and not exit_zero else ExitCode.SAFE

    def line(self) -> str:
        """Say it in one line, in numbers that add up."""
        errors = f"{self.errors:,} error" + ("" if self.errors == 1 else "s")
        parts = [f"{self.safe:,} safe", f"{self.flagged:,} flagged", errors]
        said = ", ".join(parts)
        if self.skipped:
            kinds = ", ".join(kind.counted(count) for kind, count in self.skipped.most_common())
            said += f", {self.skipped.total():,} skipped ({kinds})"
        rate = self.records / self.seconds if self.seconds > 0 else 0.0
        known = f", {self.cached:,} from the cache" if self.cached else ""
        early = "Interrupted: " if self.interrupted else "Incomplete: " if self.failed else ""
        took = f"{self.seconds:.1f} s, {rate:.1f} images/s{known}"
        return f"{early}{self.found:,} found: {said}; {took}"
