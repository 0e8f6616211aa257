from dataclasses import replace
from pathlib import Path

import pytest
from caches import KEY, LATER, MODEL, OLD, SCORE, SHA1, SHA256

from nsfwscan.cache.layers import CascadeCache
from nsfwscan.cache.score import CacheKey, Precision, Score
from nsfwscan.cache.store import Cache

FAST = CacheKey(bytes(31) + b"f", "cd" * 32, 1)
BAND = (0.2, 0.7)


def found(cache: Cache, key: CacheKey = LATER) -> list[Score | None]:
    """Return what both ways to look for a score find."""
    layers = CascadeCache(cache, FAST, BAND)
    hits = [layers.find(SHA256, SHA1, key), layers.find_unread("a.jpg", lambda: OLD, key)]
    return [None if hit is None else hit.score for hit in hits]


@pytest.mark.parametrize(
    ("value", "usable"), [(0.19, True), (0.2, False), (0.7, False), (1.0, True)]
)
def test_a_score_of_the_fast_model_counts_outside_the_band(
    tmp_path: Path, value: float, usable: bool
) -> None:
    score = Score(value, 640, 480, 1)
    with Cache(tmp_path / "c") as cache:
        cache.remember("a.jpg", OLD, SHA256, SHA1)
        cache.store([(SHA256, score)], FAST)
        assert found(cache) == [replace(score, precision="reduced") if usable else None] * 2


def test_the_score_of_the_original_goes_first(tmp_path: Path) -> None:
    """That of an earlier scan without the fast model."""
    with Cache(tmp_path / "c") as cache:
        cache.remember("a.jpg", OLD, SHA256, SHA1)
        cache.store([(SHA256, Score(0.9, 640, 480, 1))], FAST)
        cache.store([(SHA256, SCORE)], KEY)
        assert found(cache) == [replace(SCORE, precision="full")] * 2


@pytest.mark.parametrize(("precision", "key"), [("full", KEY), ("reduced", FAST)])
def test_a_score_is_stored_for_the_model_that_gave_it(
    tmp_path: Path, precision: Precision, key: CacheKey
) -> None:
    score = Score(0.9, 640, 480, 1)
    with Cache(tmp_path / "c") as cache:
        CascadeCache(cache, FAST, BAND).store([(SHA256, replace(score, precision=precision))], KEY)
        for asked in (KEY, FAST):
            hit = cache.find(SHA256, SHA1, asked)
            assert (None if hit is None else hit.score) == (score if asked == key else None)
        assert cache.info().scores == {key.model[:12]: 1}
    assert KEY.model == MODEL
