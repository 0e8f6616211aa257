from concurrent.futures import Future
from pathlib import Path

import pytest

from nsfwscan.cache.store import Cache, Question, Verdict
from nsfwscan.decoding.protocol import Digests
from nsfwscan.errors import ImageError, Reason
from nsfwscan.pipeline.inflight import Flights, Outcome, Result

QUESTION = Question(b"q" * 32, "c" * 64, scan=1)
VERDICT = Verdict(0.5, 8, 6, 1)
ONE = Digests("a" * 64, "1" * 40, None)
OTHER = Digests("b" * 64, "1" * 40, None)


def boarded(flights: Flights, path: str, digests: Digests = ONE) -> "tuple[bool, Future[Result]]":
    result: Future[Result] = Future()
    return flights.board(path, digests, result), result


def outcome(result: "Future[Result]") -> Outcome:
    found = result.result(timeout=0)
    assert isinstance(found, Outcome)
    return found


def test_the_same_bytes_are_scored_once() -> None:
    flights = Flights(Cache(), QUESTION)
    first, one = boarded(flights, "a")
    second, two = boarded(flights, "b")
    assert (first, second) == (True, False)
    flights.land(ONE.sha256, VERDICT)
    assert [(outcome(r).path, outcome(r).verdict) for r in (one, two)] == [
        ("a", VERDICT),
        ("b", VERDICT),
    ]


def test_other_bytes_with_the_same_sha1_are_scored() -> None:
    flights = Flights(Cache(), QUESTION)
    assert boarded(flights, "a")[0]
    assert boarded(flights, "b", OTHER)[0]


def test_a_known_verdict_comes_at_once(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "c.sqlite")
    cache.store([(ONE.sha256, VERDICT)], QUESTION)
    for question, cached in ((QUESTION, False), (Question(b"q" * 32, "c" * 64, scan=2), True)):
        to_score, result = boarded(Flights(cache, question), "a")
        assert not to_score
        assert (outcome(result).verdict, outcome(result).cached) == (VERDICT, cached)
    cache.close()


@pytest.mark.parametrize("found", [ImageError(Reason.CORRUPT, "cut short"), OSError("no")])
def test_what_goes_wrong_is_told_to_all(found: Exception) -> None:
    flights = Flights(Cache(), QUESTION)
    results = [boarded(flights, path)[1] for path in "ab"]
    flights.land(ONE.sha256, found)
    for result in results:
        if isinstance(found, ImageError):
            assert outcome(result).error is found
        else:
            assert result.exception(timeout=0) is found
    assert boarded(flights, "c")[0]  # it is tried again
