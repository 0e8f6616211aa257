from concurrent.futures import Future
from pathlib import Path

import pytest

from nsfwscan.cache.score import CacheKey, Score
from nsfwscan.cache.store import Cache
from nsfwscan.decoding.protocol import Digests
from nsfwscan.errors import ImageError, Reason
from nsfwscan.pipeline.inflight import RECENT, InFlight, Outcome, Result

KEY = CacheKey(b"q" * 32, "c" * 64, scan=1)
SCORE = Score(0.5, 8, 6, 1)
ONE = Digests("a" * 64, "1" * 40, None)
OTHER = Digests("b" * 64, "1" * 40, None)


def claimed(
    in_flight: InFlight, path: str, digests: Digests = ONE
) -> "tuple[bool, Future[Result]]":
    result: Future[Result] = Future()
    return in_flight.claim(path, digests, result), result


def outcome(result: "Future[Result]") -> Outcome:
    found = result.result(timeout=0)
    assert isinstance(found, Outcome)
    return found


def test_the_same_bytes_are_scored_once() -> None:
    in_flight = InFlight(None, KEY)
    first, one = claimed(in_flight, "a")
    second, two = claimed(in_flight, "b")
    assert (first, second) == (True, False)
    in_flight.complete(ONE.sha256, SCORE)
    assert [(outcome(r).location, outcome(r).score) for r in (one, two)] == [
        ("a", SCORE),
        ("b", SCORE),
    ]


def test_different_bytes_with_the_same_sha1_are_scored() -> None:
    in_flight = InFlight(None, KEY)
    assert claimed(in_flight, "a")[0]
    assert claimed(in_flight, "b", OTHER)[0]


def test_a_cached_score_is_returned_immediately(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "c.sqlite")
    cache.store([(ONE.sha256, SCORE)], KEY)
    for key, cached in ((KEY, False), (CacheKey(b"q" * 32, "c" * 64, scan=2), True)):
        to_score, result = claimed(InFlight(cache, key), "a")
        assert not to_score
        assert (outcome(result).score, outcome(result).cached) == (SCORE, cached)
    cache.close()


@pytest.mark.parametrize("found", [ImageError(Reason.CORRUPT, "cut short"), OSError("no")])
def test_an_error_is_the_result_of_all_identical_images(found: Exception) -> None:
    in_flight = InFlight(None, KEY)
    results = [claimed(in_flight, path)[1] for path in "ab"]
    in_flight.complete(ONE.sha256, found)
    for result in results:
        if isinstance(found, ImageError):
            assert outcome(result).error is found
        else:
            assert result.exception(timeout=0) is found
    assert claimed(in_flight, "c")[0]  # it is tried again


def test_recent_scores_are_kept_without_a_cache_and_old_ones_are_dropped() -> None:
    in_flight = InFlight(None, KEY)
    for i in range(2 * RECENT):
        digests = Digests(f"{i:064x}", "1" * 40, None)
        assert claimed(in_flight, "a", digests)[0]
        in_flight.complete(digests.sha256, SCORE)
    to_score, result = claimed(in_flight, "b", digests)
    assert not to_score
    assert (outcome(result).score, outcome(result).cached) == (SCORE, False)
    assert not claimed(in_flight, "b", Digests(f"{RECENT:064x}", "1" * 40, None))[0]
    assert claimed(in_flight, "b", Digests(f"{0:064x}", "1" * 40, None))[0]
