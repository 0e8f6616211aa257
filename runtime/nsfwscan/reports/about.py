"""What a report for readers says about its scan, besides the records and their counts."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from nsfwscan.sources.shard import Shard


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """The model and the settings of a scan.

    Attributes
    ----------
    version
        That of this package.
    model
        The model's name.
    sha256
        The model's SHA-256 in lower-case hex.
    label
        What a flagged image is, in the model's word.
    device
        Where the model runs.
    threshold
        Lowest score of a flagged image, in [0, 1].
    sources
        The files and folders that were given.
    started
        When, in UTC.
    settings
        Further options and their values.
    shard
        The share of the files that was scanned. None: all.
    """

    version: str
    model: str
    sha256: str
    label: str
    device: str
    threshold: float
    sources: tuple[str, ...]
    started: datetime
    settings: Mapping[str, str]
    shard: Shard | None = None
