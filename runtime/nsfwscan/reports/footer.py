"""What a report in Parquet says about its scan, in the footer of the file."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from nsfwscan.record import SCHEMA
from nsfwscan.reports.summary import Summary
from nsfwscan.sources.filetype import Kind
from nsfwscan.sources.shard import Shard, parse_shard
from nsfwscan.util.escape import to_json

KEY = "nsfwscan"
"""The key of the JSON in the metadata of the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What all shards of one scan have in common.

    Attributes
    ----------
    version
        That of this package.
    model
        The model's SHA-256 in lower-case hex.
    threshold
        Lowest score of a flagged image, in [0, 1].
    schema
        Version of the records' layout.
    sources
        The files, folders and URLs that were given, and the list of them.
    options
        The other options on which scores and decisions depend, and their values.
    """

    version: str
    model: str
    threshold: float
    schema: int = SCHEMA
    sources: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Footer:
    """The origin, the shard and the counts of a report. The counts add up to `found`.

    Attributes
    ----------
    origin
        What made it.
    shard
        The share of the files. None: all.
    safe, flagged, errors
        Records of the report, by status.
    known
        Findings of the baseline, which are not in the report.
    skipped
        Entries that are not images or were not selected, by kind.
    interrupted
        Whether the scan did not come to its end.
    """

    origin: Origin
    shard: Shard | None
    safe: int
    flagged: int
    errors: int
    known: int
    skipped: Counter[Kind] = field(default_factory=Counter)
    interrupted: bool

    @property
    def found(self) -> int:
        """The number of entries, scored and skipped."""
        return self.safe + self.flagged + self.errors + self.known + self.skipped.total()

    def to_json(self) -> str:
        """Return the footer as JSON, with the fields of the origin at the same level."""
        counts = ("found", "safe", "flagged", "errors", "known", "skipped")
        return to_json(
            asdict(self.origin)
            | {"shard": None if self.shard is None else str(self.shard)}
            | {"counts": {name: getattr(self, name) for name in counts}}
            | {"interrupted": self.interrupted}
        )


def footer_of(origin: Origin, shard: Shard | None, summary: Summary) -> Footer:
    """Make the footer of a scan that has ended."""
    return Footer(
        origin=origin,
        shard=shard,
        safe=summary.safe,
        flagged=summary.flagged,
        errors=summary.errors,
        known=summary.known,
        skipped=summary.skipped,
        interrupted=summary.interrupted or summary.failed,
    )


def parse_footer(text: bytes) -> Footer:
    """Read what `Footer.to_json` has written.

    Raises
    ------
    ValueError, TypeError, KeyError, InputError
        If it is something else.
    """
    values: dict[str, Any] = json.loads(text)
    counts, shard = values["counts"], values["shard"]
    origin = {name: values[name] for name in ("version", "model", "threshold", "schema", "options")}
    origin["sources"] = tuple(values["sources"])
    return Footer(
        origin=Origin(**origin),
        shard=None if shard is None else parse_shard(shard),
        skipped=Counter({Kind(kind): int(count) for kind, count in counts["skipped"].items()}),
        interrupted=bool(values["interrupted"]),
        **{name: int(counts[name]) for name in ("safe", "flagged", "errors", "known")},
    )
