"""The cache as a cascade uses it: the scores of two models, each under its own cache key."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from nsfwscan.cache.score import CacheKey, Hit, Precision, Score
from nsfwscan.cache.store import Cache


class CascadeCache:
    """Finds the scores of the original first, then those of the fast model outside the band.

    So a cascade uses what a scan with either model has stored, and stores for both.

    Parameters
    ----------
    cache
        The file.
    reduced
        The cache key of the fast model. Methods are called with that of the original.
    interval
        The scores of the fast model to be replaced, see `nsfwscan.inference.cascade.Cascade`.
    """

    def __init__(self, cache: Cache, reduced: CacheKey, interval: tuple[float, float]) -> None:
        self._cache = cache
        self._reduced = reduced
        self._low, self._high = interval
        self.remember = cache.remember

    def find_unread(
        self, address: str, stamp: Callable[[], Sequence[int] | None], key: CacheKey
    ) -> Hit | None:
        """Find the score of an entry as `Cache.find_unread` does."""
        return self._find(lambda key: self._cache.find_unread(address, stamp, key), key)

    def find(self, sha256: str, sha1: str, key: CacheKey) -> Hit | None:
        """Find the score of an image as `Cache.find` does."""
        return self._find(lambda key: self._cache.find(sha256, sha1, key), key)

    def store(self, scores: Iterable[tuple[str, Score]], key: CacheKey) -> None:
        """Keep scores as `Cache.store` does, each under the key of the model that gave it."""
        kept = list(scores)
        for of, under in (("reduced", self._reduced), ("full", key)):
            if some := [(digest, score) for digest, score in kept if score.precision == of]:
                self._cache.store(some, under)

    def _find(self, find: Callable[[CacheKey], Hit | None], key: CacheKey) -> Hit | None:
        if (hit := find(key)) is not None:
            return _marked(hit, "full")
        hit = find(self._reduced)
        if hit is None or self._low <= hit.score.value <= self._high:
            return None
        return _marked(hit, "reduced")


def _marked(hit: Hit, precision: Precision) -> Hit:
    return replace(hit, score=replace(hit.score, precision=precision))
