"""A model's score of an image, and what the cache knows of one."""

from dataclasses import dataclass
from typing import Literal

Precision = Literal["reduced", "full"]
"""Which model of a cascade gave a score: the fast one, or its original."""


@dataclass(frozen=True, slots=True)
class Score:
    """A model's score of an image.

    Attributes
    ----------
    value
        Probability of the positive class in [0, 1], rounded as in a record.
    width, height
        Size in pixels as displayed.
    frames, views
        How many frames, and views of a long image, were scored.
    frame, total_frames
        As in `nsfwscan.record.Record`.
    classes
        Probabilities of the classes that the model's manifest names, in its order and rounded as
        `value`, of the frame that has the score. None: it names none.
    precision
        Which model of a cascade gave the score; None without one. The cache does not keep it.
    """

    value: float
    width: int
    height: int
    frames: int
    views: int = 0
    frame: int | None = None
    total_frames: int | None = None
    classes: tuple[float, ...] | None = None
    precision: Precision | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """A score that the cache held.

    Attributes
    ----------
    score
        The score.
    sha256, sha1
        Lower-case hex digests of the image file's bytes.
    earlier
        Whether an earlier scan stored it, and not this one.
    """

    score: Score
    sha256: str
    sha1: str
    earlier: bool


@dataclass(frozen=True, slots=True)
class CacheKey:
    """What a score depends on besides the bytes, and the scan that asks.

    Attributes
    ----------
    digest
        SHA-256 of everything that a score depends on besides a file's bytes, the model included.
    model
        SHA-256 of the model, lower-case hex.
    scan
        A random number of the scan, which tells its own scores from those of earlier scans.
    """

    digest: bytes
    model: str
    scan: int


@dataclass(frozen=True, slots=True)
class Info:
    """What a cache contains.

    Attributes
    ----------
    size
        Bytes on disk.
    files
        Files that are not read again while they are unchanged.
    scores
        Number of scores by model: the first 12 hex digits of its SHA-256.
    """

    size: int
    files: int
    scores: dict[str, int]
