"""The result record: one for each image, scored or not.

Scripts rely on the fields, their order and their JSON names.
"""

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from nsfwscan.errors import Reason

SCHEMA = 2

Status = Literal["safe", "flagged", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The result of one file.

    Attributes
    ----------
    schema
        Version of this record's layout.
    path
        Location of the image. For a file: the given path, joined with the path below it. Lone
        surrogates stand for bytes that are not UTF-8 (`os.fsdecode`).
    status
        ``flagged`` if ``score >= threshold``, else ``safe``; ``error`` if there is no score.
    score
        Probability of the positive class in [0, 1], rounded to 6 decimals. An animation has the
        maximum over its frames, and a long image over the whole and its views. None on error.
    threshold
        Lowest score of a flagged image, in [0, 1].
    reason
        Stable word for why there is no score. None unless ``status`` is ``error``.
    detail
        The reason as a sentence. None unless ``status`` is ``error``.
    sha256, sha1
        Lower-case hex digests of the image's bytes; None if they were not read.
    width, height
        Size in pixels, with the EXIF orientation applied. None if it is unknown.
    frames
        Number of scored frames: 0 on error, 1 for a still image.
    model
        First 12 hex digits of the model's SHA-256.
    device
        Where the model ran: ``cpu`` or ``cuda:N``.
    cached
        Whether the score came from an earlier scan.
    views
        Number of scored parts of a long image, besides the whole; mostly 0.
    """

    schema: int = SCHEMA
    path: str
    status: Status
    score: float | None
    threshold: float
    reason: Reason | None
    detail: str | None
    sha256: str | None
    sha1: str | None
    width: int | None
    height: int | None
    frames: int
    model: str
    device: str
    cached: bool = False
    views: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name, in their documented order."""
        return asdict(self)


FIELDS: tuple[str, ...] = tuple(field.name for field in fields(Record))
