"""What earlier scans found, so that nothing is scored twice: an SQLite file in the user's folder.

A verdict hangs on the SHA-256 of a file's bytes and on all that can change the score. So that an
unchanged file need not be read, its digests are kept under a keyed hash of its path, as long as
device, inode, size and time stamps stay what they were. The file holds no path and no name.
"""

import hashlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nsfwscan.cache.database import FAILURES, files_of, open_cache, transaction
from nsfwscan.errors import CacheError

_SETTLED_NS = 2_000_000_000
"""A file younger than this may still change within one tick of its clock; FAT's is two seconds."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a model said of an image.

    Attributes
    ----------
    score
        Probability of the positive class in [0, 1], rounded as in a record.
    width, height
        Size in pixels as displayed.
    frames
        How many frames were scored.
    """

    score: float
    width: int
    height: int
    frames: int


@dataclass(frozen=True, slots=True)
class Known:
    """A verdict that was looked up.

    Attributes
    ----------
    verdict
        The verdict.
    sha256, sha1
        Lower-case hex digests of the bytes it is about.
    earlier
        Whether an earlier scan found it, and not this one.
    """

    verdict: Verdict
    sha256: str
    sha1: str
    earlier: bool


@dataclass(frozen=True, slots=True)
class Question:
    """What a verdict answers, and to whom.

    Attributes
    ----------
    key
        SHA-256 over all that a score depends on besides a file's bytes, the model included.
    model
        SHA-256 of the model, lower-case hex.
    scan
        A number of the scan that asks, by which it knows its own verdicts.
    """

    key: bytes
    model: str
    scan: int


@dataclass(frozen=True, slots=True)
class Info:
    """What a cache holds.

    Attributes
    ----------
    size
        Bytes on disk.
    places
        Files that need not be read again while they are unchanged.
    verdicts
        Scores by model: the first 12 hex digits of its SHA-256.
    """

    size: int
    places: int
    verdicts: dict[str, int]


class Cache:
    """Verdicts of this scan and of earlier ones. May be used from several threads at once.

    Parameters
    ----------
    path
        The file; it is made, with its folder, where there is none. None: a private one that is
        gone with the scan.

    Attributes
    ----------
    path : Path or None
        The file.
    failure : CacheError or None
        Why the file is no longer used, if it failed under way. A private cache is then in use.

    Raises
    ------
    CacheError
        If it cannot be opened, is damaged, or was written by a newer version.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.failure: CacheError | None = None
        self._lock = threading.Lock()
        self._connection, self._salt = open_cache(path)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def recall(
        self, path: str, stamp: Callable[[], Sequence[int] | None], question: Question
    ) -> Known | None:
        """Look up a file by its path and stamp, without reading it.

        Parameters
        ----------
        path
            The file.
        stamp
            Gives its `nsfwscan.sources.entry.stamp_of`, or None; asked only if the path is known.
        question
            What is asked.
        """
        row = self._row(
            "SELECT score, width, height, frames, scan, v.sha256, sha1, stamp FROM place p "
            "JOIN verdict v ON v.sha256 = p.sha256 AND question = ? WHERE place = ?",
            (question.key, self._place(path)),
        )
        if row is None:
            return None
        *known, kept = row
        now = stamp()
        return _known(known, question) if now is not None and _digest(now) == kept else None

    def find(self, sha256: str, sha1: str, question: Question) -> Known | None:
        """Look up a file by the digests of its bytes."""
        row = self._row(
            "SELECT score, width, height, frames, scan, sha256, ? FROM verdict "
            "WHERE sha256 = ? AND question = ?",
            (bytes.fromhex(sha1), bytes.fromhex(sha256), question.key),
        )
        return None if row is None else _known(row, question)

    def remember(self, path: str, stamp: Sequence[int], sha256: str, sha1: str) -> None:
        """Keep a file's digests, unless it is so young that its stamp may hide a change."""
        if time.time_ns() - max(stamp[-2:]) >= _SETTLED_NS:
            row = (self._place(path), _digest(stamp), bytes.fromhex(sha256), bytes.fromhex(sha1))
            with self._guarded():
                self._connection.execute("INSERT OR REPLACE INTO place VALUES (?, ?, ?, ?)", row)

    def store(self, verdicts: Iterable[tuple[str, Verdict]], question: Question) -> None:
        """Keep verdicts: should this process be killed, they are not lost.

        Parameters
        ----------
        verdicts
            SHA-256 and verdict of each image.
        question
            What they answer.
        """
        rows = [
            (bytes.fromhex(sha256), question.key, bytes.fromhex(question.model),
             v.score, v.width, v.height, v.frames, question.scan)
            for sha256, v in verdicts
        ]  # fmt: skip
        with self._guarded(), transaction(self._connection):
            self._connection.executemany(
                "INSERT OR IGNORE INTO verdict VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows
            )

    def info(self) -> Info:
        """Count what is there.

        Raises
        ------
        CacheError
            If it is damaged.
        """
        try:
            with self._lock:
                by_model = self._connection.execute(
                    "SELECT lower(substr(hex(model), 1, 12)), count(*) FROM verdict GROUP BY 1 "
                    "ORDER BY 2 DESC"
                ).fetchall()
                (places,) = self._connection.execute("SELECT count(*) FROM place").fetchone()
        except FAILURES as error:
            raise CacheError(f"cannot use the cache {self.path}: {error}") from error
        size = sum(file.stat().st_size for file in files_of(self.path) if file.exists())
        return Info(size, places, dict(by_model))

    def _place(self, path: str) -> bytes:
        return hashlib.blake2b(os.fsencode(path), key=self._salt, digest_size=16).digest()

    def _row(self, query: str, values: tuple[bytes, ...]) -> Sequence[Any] | None:
        with self._guarded():
            row: Sequence[Any] | None = self._connection.execute(query, values).fetchone()
            if row is not None and not _is_sound(row):
                raise sqlite3.DatabaseError("it holds a row that is none of ours")
            return row
        return None

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Let one thread in; if the file fails, go on with a private one: a scan needs no cache.

        A private one that fails, on a disk that is full, is followed by another: all that is lost
        is that the same bytes are met again.
        """
        with self._lock:
            try:
                yield
            except FAILURES as error:
                if self.path is not None and self.failure is None:
                    self.failure = CacheError(f"the cache {self.path} failed: {error}")
                with suppress(sqlite3.Error):
                    self._connection.close()
                self._connection, self._salt = open_cache(None)


def _is_sound(row: Sequence[Any]) -> bool:
    """Tell whether a row can be used: SQLite would keep anything in any column."""
    score, *counts, scan, sha256, sha1 = row[:7]
    return (
        isinstance(score, float)
        and 0 <= score <= 1
        and all(isinstance(count, int) and count > 0 for count in counts)
        and isinstance(scan, int)
        and all(isinstance(digest, bytes) for digest in (sha256, sha1))
        and (len(sha256), len(sha1)) == (32, 20)
    )


def _known(row: Sequence[Any], question: Question) -> Known:
    *verdict, scan, sha256, sha1 = row
    return Known(Verdict(*verdict), sha256.hex(), sha1.hex(), earlier=scan != question.scan)


def _digest(stamp: Sequence[int]) -> bytes:
    return hashlib.blake2b(repr(tuple(stamp)).encode(), digest_size=16).digest()
