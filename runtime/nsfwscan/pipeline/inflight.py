"""Bytes that are being scored: the same bytes are scored once in a scan.

The first entry with some bytes claims them and is scored. Entries with the same bytes that arrive
in the meantime wait for its score. Later ones find it among the recent scores, or in the cache.
"""

import threading
from concurrent.futures import Future
from dataclasses import dataclass

from nsfwscan.cache.layers import CascadeCache
from nsfwscan.cache.score import CacheKey, Score
from nsfwscan.cache.store import Cache
from nsfwscan.decoding.protocol import Digests
from nsfwscan.errors import ImageError
from nsfwscan.sources.entry import Skipped

RECENT = 1 << 15
"""At least so many of a scan's last scores, and at most twice as many, stay in memory: 20 MB."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one entry: a score or an error.

    Attributes
    ----------
    location
        As in `nsfwscan.sources.entry.Entry`.
    score
        The score, or None.
    error
        Why there is no score, or None.
    sha256, sha1
        Lower-case hex digests of the bytes; None if they were not read.
    cached
        Whether an earlier scan stored the score.
    """

    location: str
    score: Score | None = None
    error: ImageError | None = None
    sha256: str | None = None
    sha1: str | None = None
    cached: bool = False


Result = Outcome | Skipped


@dataclass(frozen=True, slots=True)
class _Waiting:
    location: str
    digests: Digests
    result: "Future[Result]"

    def resolve(self, found: Score | ImageError, *, cached: bool) -> None:
        score, error = (found, None) if isinstance(found, Score) else (None, found)
        sha256, sha1 = self.digests.sha256, self.digests.sha1
        self.result.set_result(Outcome(self.location, score, error, sha256, sha1, cached=cached))


class InFlight:
    """The bytes in flight, and the entries that wait for each. Thread-safe.

    Parameters
    ----------
    cache
        Scores of earlier scans, or None.
    key
        The cache key of this scan.
    """

    def __init__(self, cache: Cache | CascadeCache | None, key: CacheKey) -> None:
        self._cache = cache
        self._key = key
        self._waiting: dict[str, list[_Waiting]] = {}
        # Two generations: when the newer one is full, it replaces the older one.
        self._newer: dict[str, Score] = {}
        self._older: dict[str, Score] = {}
        self._lock = threading.Lock()

    def claim(self, location: str, digests: Digests, result: "Future[Result]") -> bool:
        """Resolve an entry's result, now or when its bytes are complete.

        Returns
        -------
        bool
            Whether the caller has to score the bytes, and to `complete` them in any case.
        """
        waiting = _Waiting(location, digests, result)
        with self._lock:
            score, cached = self._find(digests)
            if score is None:
                entries = self._waiting.setdefault(digests.sha256, [])
                entries.append(waiting)
                return len(entries) == 1
        waiting.resolve(score, cached=cached)
        return False

    def _find(self, digests: Digests) -> tuple[Score | None, bool]:
        score = self._newer.get(digests.sha256) or self._older.get(digests.sha256)
        if score is not None or self._cache is None:
            return score, False
        hit = self._cache.find(digests.sha256, digests.sha1, self._key)
        return (None, False) if hit is None else (hit.score, hit.earlier)

    def complete(self, sha256: str, found: Score | BaseException) -> None:
        """Resolve all entries with these bytes.

        Parameters
        ----------
        sha256
            The digest of the bytes.
        found
            Their score, or the `ImageError` of them all. Any other exception is raised where
            their results are consumed.
        """
        with self._lock:
            entries = self._waiting.pop(sha256)
            if isinstance(found, Score):
                self._newer[sha256] = found
                if len(self._newer) >= RECENT:
                    self._older, self._newer = self._newer, {}
        for waiting in entries:
            if isinstance(found, (Score, ImageError)):
                waiting.resolve(found, cached=False)
            else:
                waiting.result.set_exception(found)
