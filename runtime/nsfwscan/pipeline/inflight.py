"""Files whose bytes are known and whose verdict is not: the same bytes are scored once.

The first file with some bytes is scored, those that are met meanwhile wait for the same verdict,
and whatever comes later finds it in the cache.
"""

import threading
from concurrent.futures import Future
from dataclasses import dataclass

from nsfwscan.cache.store import Cache, Question, Verdict
from nsfwscan.decoding.protocol import Digests
from nsfwscan.errors import ImageError
from nsfwscan.sources.entry import Skipped


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file: a verdict, or the error that stands in its place.

    Attributes
    ----------
    path
        The file, as found.
    verdict, error
        One of them is None.
    sha256, sha1
        Lower-case hex digests; None where the file was not read.
    cached
        Whether an earlier scan found the verdict.
    """

    path: str
    verdict: Verdict | None = None
    error: ImageError | None = None
    sha256: str | None = None
    sha1: str | None = None
    cached: bool = False


Result = Outcome | Skipped


@dataclass(frozen=True, slots=True)
class _Waiting:
    path: str
    digests: Digests
    result: "Future[Result]"

    def resolve(self, found: Verdict | ImageError, *, cached: bool) -> None:
        verdict, error = (found, None) if isinstance(found, Verdict) else (None, found)
        digests = self.digests
        self.result.set_result(
            Outcome(self.path, verdict, error, digests.sha256, digests.sha1, cached=cached)
        )


class Flights:
    """The bytes under way to their verdicts, and the files that wait for each. Thread-safe.

    Parameters
    ----------
    cache
        Verdicts found so far.
    question
        What its verdicts are about.
    """

    def __init__(self, cache: Cache, question: Question) -> None:
        self._cache = cache
        self._question = question
        self._waiting: dict[str, list[_Waiting]] = {}
        self._lock = threading.Lock()

    def board(self, path: str, digests: Digests, result: "Future[Result]") -> bool:
        """Give a file its result, at once or when its bytes `land`.

        Returns
        -------
        bool
            Whether the caller is to score the bytes, and to have them land, come what may.
        """
        waiting = _Waiting(path, digests, result)
        with self._lock:
            known = self._cache.find(digests.sha256, digests.sha1, self._question)
            if known is None:
                flight = self._waiting.setdefault(digests.sha256, [])
                flight.append(waiting)
                return len(flight) == 1
        waiting.resolve(known.verdict, cached=known.earlier)
        return False

    def land(self, sha256: str, found: Verdict | BaseException) -> None:
        """Resolve all files whose bytes are these.

        Parameters
        ----------
        sha256
            The digest of the bytes.
        found
            The verdict or the `ImageError` that they all get; any other exception is raised where
            their results are taken.
        """
        with self._lock:
            flight = self._waiting.pop(sha256)
        for waiting in flight:
            if isinstance(found, (Verdict, ImageError)):
                waiting.resolve(found, cached=False)
            else:
                waiting.result.set_exception(found)
