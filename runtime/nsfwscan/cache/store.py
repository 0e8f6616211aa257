"""Scores of earlier scans, so that no image is scored twice: an SQLite file in the user's folder.

A score is kept under the SHA-256 of a file's bytes and a cache key, which covers everything else
that can change the score. To find the score of an unchanged file without reading it, the cache
also keeps its digests under a keyed hash of its path, with a digest of its stamp (device, inode,
size and times; of an object, its entity tag and size). The file contains no paths and no names.

Each row has the day of its last use, by which the least recently used rows are dropped at a size
limit, and each folder has a row, so that `nsfwscan.cache.prune` can look for files without names.
"""

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from nsfwscan.cache.database import FAILURES, open_database, size_on_disk, transaction
from nsfwscan.cache.hashes import hash_of_device, hash_of_numbers, hash_of_path
from nsfwscan.cache.limit import evict
from nsfwscan.cache.rewrite import size_of
from nsfwscan.cache.rows import SCORE_COLUMNS, is_valid, packed, to_hit
from nsfwscan.cache.score import CacheKey, Hit, Info, Score
from nsfwscan.errors import CacheError
from nsfwscan.limits import LEAST_CACHE_SIZE, MAX_CACHE_SIZE

_SETTLED_NS = 2_000_000_000
"""A file younger than this may change again within one tick of its clock; FAT's is two seconds."""

_DAY_SECONDS = 86_400
_FRESH_DAYS, _SPREAD_DAYS = 15, 16
"""A day of use is written anew after the first number of days, and some more: a different number
for each row. So most scans write few of them, and not all rows of a scan are due on one day."""

_STEP_SECONDS, _CLOSE_SECONDS = 0.02, 1.0
"""Time to drop rows in after each write, and at the end. The next scan goes on with the rest."""

_USES = 1 << 15
"""Uses that are stored in one transaction: the more, the fewer pages are written twice."""

_log = logging.getLogger(__name__)


class Cache:
    """Scores of earlier scans. Safe to use from several threads at once, and as a context manager.

    If the file fails during a scan, the cache finds and stores nothing from then on.

    Parameters
    ----------
    path
        The file. It is created, with its folder, if it does not exist.
    max_size
        Most bytes of the file, `LEAST_CACHE_SIZE` or more. When a scan stores more, the least
        recently used scores are dropped.

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
    ValueError
        If the size is out of range.
    """

    def __init__(self, path: str | os.PathLike[str], *, max_size: int = MAX_CACHE_SIZE) -> None:
        if max_size < LEAST_CACHE_SIZE:
            raise ValueError(f"max_size must be {LEAST_CACHE_SIZE} or more, got {max_size}")
        self.path = Path(path)
        self.failure: CacheError | None = None
        self._max_size = max_size
        self._eviction: Iterator[int] | None = None
        self._uses = list[tuple[bytes, bytes, bytes, str | None]]()
        self._lock = threading.Lock()
        self._connection, self._salt = open_database(self.path)

    def __enter__(self) -> "Cache":
        """Give the cache itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Store which rows were used, and close the file."""
        with self._guarded():
            self._store_uses()
        if self._eviction is not None:
            self._limit_size(_CLOSE_SECONDS)
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
        hashed = hash_of_path(address, self._salt)
        row = self._row(
            f"SELECT {SCORE_COLUMNS}, scan, s.sha256, sha1, "  # noqa: S608 - no input
            "min(s.used, f.used) < ? OR folder IS NULL, stamp FROM file f "
            "JOIN score s ON s.sha256 = f.sha256 AND key = ? WHERE address = ?",
            (_due(hashed), key.digest, hashed),
        )
        if row is None:
            return None
        *hit, old, kept = row
        now = stamp()
        if now is None or hash_of_numbers(now) != kept:
            return None
        if old:
            self._note(hit[-2], key, hashed, os.path.dirname(address))
        return to_hit(hit, key)

    def find(self, sha256: str, sha1: str, key: CacheKey) -> Hit | None:
        """Find the score of an image by the digests of its bytes."""
        digest = bytes.fromhex(sha256)
        row = self._row(
            f"SELECT {SCORE_COLUMNS}, scan, sha256, ?, used < ? FROM score "  # noqa: S608 - no input
            "WHERE sha256 = ? AND key = ?",
            (bytes.fromhex(sha1), _due(digest), digest, key.digest),
        )
        if row is None:
            return None
        *hit, old = row
        if old:
            self._note(hit[-2], key)
        return to_hit(hit, key)

    def remember(self, address: str, stamp: Sequence[int], sha256: str, sha1: str) -> None:
        """Keep an entry's digests, unless it is so young that its stamp may hide a change."""
        if time.time_ns() - max(stamp[-2:]) >= _SETTLED_NS:
            hashed, digest = hash_of_path(address, self._salt), hash_of_numbers(stamp)
            digests = bytes.fromhex(sha256), bytes.fromhex(sha1)
            with self._guarded(), transaction(self._connection):
                folder = self._folder(os.path.dirname(address))
                self._connection.execute(
                    "INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?, ?, ?)",
                    (hashed, digest, *digests, folder, _today()),
                )
            self._limit_size()

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
             s.value, s.width, s.height, s.frames, key.scan, s.views, _today(),
             s.frame, s.total_frames, packed(s.classes))
            for sha256, s in scores
        ]  # fmt: skip
        with self._guarded(), transaction(self._connection):
            self._connection.executemany(
                "INSERT OR IGNORE INTO score VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows
            )
        self._limit_size()

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
        return Info(size_on_disk(self.path), files, dict(by_model))

    def _folder(self, path: str) -> bytes | None:
        """Store a folder and those above it, and return its hash; None if it does not exist."""
        if not os.path.isabs(path):  # below a URL; `prune` does not look for it
            return hash_of_path(path, self._salt)
        parent = os.path.dirname(path)
        hashed, above = hash_of_path(path, self._salt), hash_of_path(parent, self._salt)
        try:
            row = (above, hashed, hash_of_device(path))
        except (OSError, ValueError):
            return None
        known = "SELECT 1 FROM folder WHERE parent = ? AND address = ? AND device = ?"
        if self._connection.execute(known, row).fetchone() is None:
            self._connection.execute("INSERT OR REPLACE INTO folder VALUES (?, ?, ?)", row)
            if parent != path:
                self._folder(parent)
        return hashed

    def _note(
        self, sha256: bytes, key: CacheKey, file: bytes = b"", folder: str | None = None
    ) -> None:
        """Note the use of a score, and of the file by which it was found, with its folder."""
        with self._guarded():
            self._uses.append((sha256, key.digest, file, folder))
            if len(self._uses) >= _USES:
                self._store_uses()

    def _store_uses(self) -> None:
        uses, self._uses, today = self._uses, [], _today()
        if not uses:
            return
        with transaction(self._connection):
            folders = {path: self._folder(path) for *_, path in uses if path is not None}
            self._connection.executemany(
                "UPDATE file SET used = ?, folder = ? WHERE address = ?",
                [(today, folders[path], file) for *_, file, path in uses if path is not None],
            )
            self._connection.executemany(
                "UPDATE score SET used = ? WHERE sha256 = ? AND key = ?",
                [(today, sha256, key) for sha256, key, *_ in uses],
            )

    def _limit_size(self, seconds: float = _STEP_SECONDS) -> None:
        """Drop rows if the file has become too large: some in each call, so that no scan waits."""
        until = time.monotonic() + seconds
        with self._guarded():
            while self._eviction is not None or size_of(self._connection) > self._max_size:
                if self._eviction is None:
                    self._store_uses()  # of rows that would be dropped
                    self._eviction = evict(self._connection, self._max_size)
                if next(self._eviction, None) is None:
                    self._eviction = None
                if time.monotonic() > until:
                    return

    def _row(self, query: str, values: tuple[bytes | int, ...]) -> Sequence[Any] | None:
        with self._guarded():
            row: Sequence[Any] | None = self._connection.execute(query, values).fetchone()
            if row is not None and not is_valid(row):
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


def _today() -> int:
    """Return the day, by which uses are counted: days since 1970."""
    return int(time.time()) // _DAY_SECONDS


def _due(digest: bytes) -> int:
    """Return the day before which the last use of a row must lie to be written anew."""
    return _today() - _FRESH_DAYS - digest[0] % _SPREAD_DAYS
