"""The result record: one for each image, scored or not.

Scripts rely on the fields, their order and their JSON names.
"""

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from nsfwscan.errors import Reason

SCHEMA = 3

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
        ``flagged`` if ``score >= threshold`` and no allow-list says otherwise, else ``safe``;
        ``error`` if there is no score.
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
    allowed
        Why an allow-list turned a flagged image into a safe one. None if none did.
    frame
        Index in the file, from 0, of the frame that has the score. None if one frame was scored,
        the one that viewers show first, and on error.
    total_frames
        Number of frames in the file. None if ``frame`` is.
    uncertain
        Whether the image is flagged for a review by hand: its score is in the review band.
    classes
        Probability in [0, 1] of each class that the model's manifest names, rounded to 6 decimals:
        of the frame that has the score. None on error, and unless the scan was asked for it.
    precision
        Which model of a cascade gave the score: ``reduced`` for the fast one, ``full`` for its
        original. None on error, and without a cascade.
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
    allowed: str | None = None
    frame: int | None = None
    total_frames: int | None = None
    uncertain: bool = False
    classes: dict[str, float] | None = None
    precision: Literal["reduced", "full"] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name, in their documented order."""
        return asdict(self)


FIELDS: tuple[str, ...] = tuple(field.name for field in fields(Record))
