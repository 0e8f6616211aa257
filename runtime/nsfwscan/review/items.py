"""The rows of the page: what is listed of a scan, with thumbnails, and facts about all of it."""

import base64
import os
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from nsfwscan.decoding.pixels import DecodedImage
from nsfwscan.errors import InputError
from nsfwscan.inference.known import BUILT_IN
from nsfwscan.inference.operating import OperatingPoint
from nsfwscan.record import Record
from nsfwscan.review.similar import groups
from nsfwscan.review.thumbnails import Missing, Thumbnails, encode, hash_of
from nsfwscan.sources.remote.url import encoded, is_url
from nsfwscan.util.parallel import map_ahead

THUMBNAILS = "thumbnails"
"""The folder of the thumbnails, in that of the page."""

BINS = 1000
"""Bins of the histogram. One more holds the score 1."""

SINGLE_FILE_MOST = 1000
"""Most thumbnails in a single page: about 40 MB."""

_END = b"\xff\xd9"  # of a complete JPEG file

_WINDOW = 64  # images that are decoded ahead of the page

_Shown = bytes | DecodedImage | Missing
_Found = tuple[Record, _Shown | None]


def is_listed(record: Record, least: float | None) -> bool:
    """Tell whether the page lists an image, see `Items.least`. An error is no image."""
    if record.score is None:
        return False
    lowest = record.threshold / 2 if least is None else least
    return record.status == "flagged" or record.score >= lowest


@dataclass
class Items:
    """The rows of the page, in the order of the records.

    Attributes
    ----------
    out
        The folder of the page.
    base
        The folder that relative paths of records refer to.
    least
        Lowest score of a safe image that is listed. None: half the threshold.
    single
        Whether the rows hold the thumbnails themselves.
    points
        Operating points of the model. None: those of the record's model, if it is a known one.
    """

    out: Path
    base: Path
    least: float | None
    single: bool
    points: Sequence[OperatingPoint] | None
    _histogram: list[int] = field(default_factory=lambda: [0] * (BINS + 1))
    _hashes: "array[int]" = field(default_factory=lambda: array("Q"))
    _threshold: float = 0.5
    _model: str = ""
    _flagged: int = 0
    _unlisted: int = 0

    def rows(
        self,
        records: Iterable[Record],
        thumbnails: Thumbnails,
        workers: int,
        advance: Callable[[int], None],
    ) -> Iterator[list[Any]]:
        """Yield a row for each listed record.

        A row has the record's path, status, score, reason, detail, sha256, sha1, width, height,
        frames, views, frame and total_frames; then the size in bytes, the date in seconds since
        1970, the URL of the thumbnail, why there is none, the URL of the file, and whether it is
        uncertain.

        Parameters
        ----------
        records
            The records of the scan.
        thumbnails
            Decodes the images.
        workers
            Number of threads.
        advance
            Called with the number of records so far.

        Raises
        ------
        InputError
            If a single page would hold more than `SINGLE_FILE_MOST` thumbnails.
        OutputError
            If a thumbnail cannot be written.
        """

        def found(record: Record) -> _Found:
            return record, self._found(record, thumbnails)

        # Threads wait for the workers, and this one encodes: more would wait for the interpreter.
        for record, shown in map_ahead(
            found, self._listed(records, advance), workers=workers, window=_WINDOW
        ):
            made, hash_ = self._row(record, shown)
            if hash_ is not None:
                self._hashes.append(hash_)
                if self.single and len(self._hashes) > SINGLE_FILE_MOST:
                    raise InputError(
                        f"more than {SINGLE_FILE_MOST:,} images are too many for --single-file; "
                        "leave it out, or raise --min-score"
                    )
            yield made

    def facts(self) -> dict[str, Any]:
        """Return the facts of the scan, once all rows are made.

        `groups` has a number for each row that is not an error.
        """
        return {
            "id": os.fspath(self.out.resolve()),
            "base": os.fspath(self.base.absolute()),
            "threshold": self._threshold,
            "histogram": self._histogram,
            "flagged": self._flagged,
            "unlisted": self._unlisted,
            "groups": groups(self._hashes),
            "points": self._points(),
        }

    def _points(self) -> list[list[Any]]:
        """Return threshold, recall, false-positive rate and author of each measured point."""
        points = self.points
        if points is None:
            manifests = (m for sha256, m in BUILT_IN.items() if sha256.startswith(self._model))
            found = next(manifests, None) if self._model else None
            points = () if found is None else found.operating_points
        return [
            [point.threshold, point.recall, point.false_positive_rate, point.by]
            for point in points
            if point.recall is not None or point.false_positive_rate is not None
        ]

    def _listed(
        self, records: Iterable[Record], advance: Callable[[int], None]
    ) -> Iterator[Record]:
        """Count all records, and yield those that are listed."""
        for number, record in enumerate(records, start=1):
            advance(number)
            self._threshold, self._model = record.threshold, record.model
            if record.score is None:
                yield record
                continue
            self._histogram[round(record.score * 1e6) * BINS // 10**6] += 1
            self._flagged += record.status == "flagged"
            if is_listed(record, self.least):
                yield record
            else:
                self._unlisted += 1

    def _row(self, record: Record, shown: _Shown | None) -> tuple[list[Any], int | None]:
        path = self._path(record)
        size = date = None
        with suppress(OSError, ValueError):
            status = os.stat(path)
            size, date = status.st_size, int(status.st_mtime)
        image = note = hash_ = None
        if shown is not None:
            # Equal bytes are always similar, and a plain image is similar to no other.
            hash_ = int((record.sha256 or "0")[:16], 16)
            if isinstance(shown, Missing):
                note = shown.why
            else:
                jpeg = shown if isinstance(shown, bytes) else self._written(record, shown)
                hash_ = hash_of(jpeg) or hash_
                image = self._url(jpeg, record)
        made = [
            record.path, record.status, record.score, record.reason, record.detail, record.sha256,
            record.sha1, record.width, record.height, record.frames, record.views, record.frame,
            record.total_frames, size, date, image, note, self._link(path),
            record.uncertain,
        ]  # fmt: skip
        return made, hash_

    def _path(self, record: Record) -> str:
        return record.path if is_url(record.path) else os.path.join(self.base, record.path)

    def _found(self, record: Record, thumbnails: Thumbnails) -> _Shown | None:
        """Return a thumbnail that is there already, or what to make one of; None for an error."""
        if record.score is None:
            return None
        if record.sha256 is None:
            return Missing("the record has no digest")
        if is_url(record.path):
            return Missing("only images in files are shown; this one is in a store")
        if not self.single:
            with suppress(OSError):
                found = (self.out / _file_of(record)).read_bytes()
                if found.endswith(_END):
                    return found
        return thumbnails.decode(self._path(record), record.sha256, record.frame)

    def _written(self, record: Record, image: DecodedImage) -> bytes:
        """Make a thumbnail."""
        jpeg = encode(image)
        if not self.single:
            file = self.out / _file_of(record)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(jpeg)  # an interrupted one is not complete, and is made again
        return jpeg

    def _url(self, jpeg: bytes, record: Record) -> str:
        if self.single:
            return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
        return _file_of(record)

    def _link(self, path: str) -> str:
        if is_url(path):
            return encoded(path)
        try:
            relative = os.path.relpath(path, self.out.parent if self.single else self.out)
        except ValueError:  # on another drive
            return Path(path).as_uri()
        return "./" + quote(os.fsencode(relative.replace(os.sep, "/")))


def _file_of(record: Record) -> str:
    name = record.sha256 or ""
    frame = "" if record.frame is None else f"-{record.frame}"
    return f"{THUMBNAILS}/{name[:2]}/{name}{frame}.jpg"
