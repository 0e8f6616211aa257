"""Scores of earlier scans, so that no image is scored twice: an SQLite file in the user's folder.

A score is kept under the SHA-256 of a file's bytes and a cache key, which covers everything else
that can change the score. To find the score of an unchanged file without reading it, the cache
also keeps its digests under a keyed hash of its path, with a digest of its stamp (device, inode,
size and times). The file contains no paths and no names.
"""

import hashlib
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nsfwscan.cache.database import FAILURES, files_of, open_database, transaction
from nsfwscan.errors import CacheError

_SETTLED_NS = 2_000_000_000
"""A file younger than this may change again within one tick of its clock; FAT's is two seconds."""

_log = logging.getLogger(__name__)


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
    """

    value: float
    width: int
    height: int
    frames: int
    views: int = 0


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


class Cache:
    """Scores of earlier scans. Safe to use from several threads at once, and as a context manager.

    If the file fails during a scan, the cache finds and stores nothing from then on.

    Parameters
    ----------
    path
        The file. It is created, with its folder, if it does not exist.

    Attributes
    ----------
    path : Path
        The file.
    failure : CacheError or None
        Why the file is no longer used.

    Raises
    ------
    CacheError
        If the file cannot be opened, is damaged, or was written by a newer version.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.failure: CacheError | None = None
        self._lock = threading.Lock()
        self._connection, self._salt = open_database(self.path)

    def __enter__(self) -> "Cache":
        """Give the cache itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def find_unread(
        self, address: str, stamp: Callable[[], Sequence[int] | None], key: CacheKey
    ) -> Hit | None:
        """Find the score of an entry by its address and stamp, without reading its bytes.

        Parameters
        ----------
        address
            As in `nsfwscan.sources.entry.Entry`.
        stamp
            Gives the entry's current stamp, or None. Called only if the address is in the cache.
        key
            The cache key.
        """
        row = self._row(
            "SELECT score, width, height, frames, views, scan, s.sha256, sha1, stamp FROM file f "
            "JOIN score s ON s.sha256 = f.sha256 AND key = ? WHERE address = ?",
            (key.digest, self._hashed(address)),
        )
        if row is None:
            return None
        *hit, kept = row
        now = stamp()
        return _hit(hit, key) if now is not None and _digest(now) == kept else None

    def find(self, sha256: str, sha1: str, key: CacheKey) -> Hit | None:
        """Find the score of an image by the digests of its bytes."""
        row = self._row(
            "SELECT score, width, height, frames, views, scan, sha256, ? FROM score "
            "WHERE sha256 = ? AND key = ?",
            (bytes.fromhex(sha1), bytes.fromhex(sha256), key.digest),
        )
        return None if row is None else _hit(row, key)

    def remember(self, address: str, stamp: Sequence[int], sha256: str, sha1: str) -> None:
        """Keep an entry's digests, unless it is so young that its stamp may hide a change."""
        if time.time_ns() - max(stamp[-2:]) >= _SETTLED_NS:
            row = (
                self._hashed(address),
                _digest(stamp),
                bytes.fromhex(sha256),
                bytes.fromhex(sha1),
            )
            with self._guarded():
                self._connection.execute("INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?)", row)

    def store(self, scores: Iterable[tuple[str, Score]], key: CacheKey) -> None:
        """Keep scores. They survive a kill of this process.

        Parameters
        ----------
        scores
            SHA-256 and score of each image.
        key
            The cache key.
        """
        rows = [
            (bytes.fromhex(sha256), key.digest, bytes.fromhex(key.model),
             s.value, s.width, s.height, s.frames, key.scan, s.views)
            for sha256, s in scores
        ]  # fmt: skip
        with self._guarded(), transaction(self._connection):
            self._connection.executemany(
                "INSERT OR IGNORE INTO score VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows
            )

    def info(self) -> Info:
        """Count what the cache contains.

        Raises
        ------
        CacheError
            If it is damaged.
        """
        try:
            with self._lock:
                by_model = self._connection.execute(
                    "SELECT lower(substr(hex(model), 1, 12)), count(*) FROM score GROUP BY 1 "
                    "ORDER BY 2 DESC"
                ).fetchall()
                (files,) = self._connection.execute("SELECT count(*) FROM file").fetchone()
        except FAILURES as error:
            raise CacheError(f"cannot use the cache {self.path}: {error}") from error
        size = sum(file.stat().st_size for file in files_of(self.path) if file.exists())
        return Info(size, files, dict(by_model))

    def _hashed(self, address: str) -> bytes:
        return hashlib.blake2b(os.fsencode(address), key=self._salt, digest_size=16).digest()

    def _row(self, query: str, values: tuple[bytes, ...]) -> Sequence[Any] | None:
        with self._guarded():
            row: Sequence[Any] | None = self._connection.execute(query, values).fetchone()
            if row is not None and not _is_valid(row):
                raise sqlite3.DatabaseError("it contains an invalid row")
            return row
        return None

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Admit one thread. Close the file for good if it fails: a scan goes on without it."""
        with self._lock:
            try:
                yield
            except FAILURES as error:
                if self.failure is not None:
                    return  # the connection is closed, as every call from now on finds
                self.failure = CacheError(f"the cache {self.path} failed: {error}")
                _log.warning("%s", self.failure)
                with suppress(sqlite3.Error):
                    self._connection.close()


def _is_valid(row: Sequence[Any]) -> bool:
    """Check a row: SQLite keeps any type in any column."""
    score, *counts, views, scan, sha256, sha1 = row[:8]
    return (
        isinstance(score, float)
        and 0 <= score <= 1
        and all(isinstance(count, int) and count > 0 for count in counts)
        and isinstance(views, int)
        and views >= 0
        and isinstance(scan, int)
        and all(isinstance(digest, bytes) for digest in (sha256, sha1))
        and (len(sha256), len(sha1)) == (32, 20)
    )


def _hit(row: Sequence[Any], key: CacheKey) -> Hit:
    *score, scan, sha256, sha1 = row
    return Hit(Score(*score), sha256.hex(), sha1.hex(), earlier=scan != key.scan)


def _digest(stamp: Sequence[int]) -> bytes:
    return hashlib.blake2b(repr(tuple(stamp)).encode(), digest_size=16).digest()
