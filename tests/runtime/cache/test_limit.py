import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from caches import KEY, LATER, OLD, SCORE, SHA1
from hypothesis import given
from hypothesis import strategies as st

from nsfwscan.cache import store
from nsfwscan.cache.limit import _oldest
from nsfwscan.cache.store import Cache
from nsfwscan.limits import LEAST_CACHE_SIZE


def names(first: int, count: int) -> list[str]:
    return [f"{(i * 0x9E3779B97F4A7C15) % 2**64:016x}{i:048x}" for i in range(first, first + count)]


@pytest.fixture
def on_day(monkeypatch: pytest.MonkeyPatch) -> "Day":
    return Day(monkeypatch)


class Day:
    """The calendar of a cache."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch

    def __call__(self, day: int) -> None:
        self._patch.setattr(store, "_today", lambda: day)


def test_the_least_recently_used_scores_are_dropped_at_the_limit(
    tmp_path: Path, on_day: Day
) -> None:
    path = tmp_path / "c"
    forgotten, used, late = names(0, 2500), names(5000, 1000), names(9000, 5000)
    on_day(20_000)
    with Cache(path, max_size=LEAST_CACHE_SIZE) as cache:
        cache.store([(sha256, SCORE) for sha256 in forgotten + used], KEY)
    on_day(20_100)
    with Cache(path, max_size=LEAST_CACHE_SIZE) as cache:
        assert all(cache.find(sha256, SHA1, LATER) for sha256 in used)
    on_day(20_200)
    with Cache(path, max_size=LEAST_CACHE_SIZE) as cache:
        for i in range(0, len(late), 500):
            cache.store([(sha256, SCORE) for sha256 in late[i : i + 500]], KEY)
        assert cache.failure is None
        left = {sha256 for sha256 in forgotten + used + late if cache.find(sha256, SHA1, LATER)}
    assert 0.5 * LEAST_CACHE_SIZE < path.stat().st_size <= LEAST_CACHE_SIZE
    assert not left.issuperset(forgotten)
    assert left.issuperset(used)
    assert left.issuperset(late)


@pytest.mark.slow
def test_files_are_dropped_by_their_last_use_too(tmp_path: Path, on_day: Day) -> None:
    path, here = tmp_path / "c", str(tmp_path)
    sha256 = names(0, 1)[0]
    on_day(20_000)
    with Cache(path, max_size=LEAST_CACHE_SIZE) as cache:
        cache.store([(sha256, SCORE)], KEY)
        for i in range(3000):
            cache.remember(f"{here}/{i}", OLD, sha256, SHA1)
    on_day(20_031)
    with Cache(path, max_size=LEAST_CACHE_SIZE) as cache:
        assert all(cache.find_unread(f"{here}/{i}", lambda: OLD, LATER) for i in range(1000))
        for i in range(9000, 15_000):
            cache.remember(f"{here}/{i}", OLD, sha256, SHA1)
        hits = [
            cache.find_unread(f"{here}/{i}", lambda: OLD, LATER) is not None for i in range(3000)
        ]
        assert cache.failure is None
    assert path.stat().st_size <= LEAST_CACHE_SIZE
    assert all(hits[:1000])
    assert not all(hits[1000:])


def test_a_lower_limit_shrinks_the_file(tmp_path: Path) -> None:
    path = tmp_path / "c"
    with Cache(path) as cache:
        cache.store([(sha256, SCORE) for sha256 in names(0, 20_000)], KEY)
    assert path.stat().st_size > 2 * LEAST_CACHE_SIZE
    with Cache(path, max_size=LEAST_CACHE_SIZE) as cache:
        cache.store([(names(20_000, 1)[0], SCORE)], KEY)
    with Cache(path) as cache:
        left = cache.info().scores[KEY.model[:12]]
    assert 0.8 * LEAST_CACHE_SIZE < path.stat().st_size <= LEAST_CACHE_SIZE
    assert 4000 < left < 12_000


def test_reading_drops_nothing(tmp_path: Path) -> None:
    path = tmp_path / "c"
    with Cache(path) as cache:
        cache.store([(sha256, SCORE) for sha256 in names(0, 20_000)], KEY)
    with Cache(path, max_size=LEAST_CACHE_SIZE) as cache:
        assert cache.find(names(0, 1)[0], SHA1, LATER) is not None
        assert cache.info().scores == {KEY.model[:12]: 20_000}


def test_uses_are_written_once_a_month_and_not_all_on_one_day(tmp_path: Path, on_day: Day) -> None:
    path, files = tmp_path / "c", {sha256: str(tmp_path / sha256) for sha256 in names(0, 320)}

    def fresh(day: int) -> tuple[int, int]:
        """Find all files on a day; count the files and the scores that were noted on it."""
        on_day(day)
        with Cache(path) as cache:
            for file in files.values():
                assert cache.find_unread(file, lambda: OLD, LATER) is not None
        with closing(sqlite3.connect(path)) as other:
            counts = [
                other.execute(f"SELECT count(*) FROM {table} WHERE used = {day}").fetchone()[0]
                for table in ("file", "score")
            ]
        return counts[0], counts[1]

    on_day(20_000)
    with Cache(path) as cache:
        for sha256, file in files.items():
            cache.store([(sha256, SCORE)], KEY)
            cache.remember(file, OLD, sha256, SHA1)
    assert fresh(20_015) == (0, 0)
    daily = [fresh(20_016 + i) for i in range(16)]
    assert [sum(counts) for counts in zip(*daily, strict=True)] == [320, 320]
    assert max(files for files, _ in daily) < 60
    assert fresh(1) == (0, 0)  # the clock was wrong


@pytest.mark.parametrize("size", [0, LEAST_CACHE_SIZE - 1])
def test_a_limit_that_holds_nothing_is_refused(tmp_path: Path, size: int) -> None:
    with pytest.raises(ValueError, match=f"max_size must be {LEAST_CACHE_SIZE} or more"):
        Cache(tmp_path / "c", max_size=size)


@given(
    st.lists(st.integers(1, 1000), min_size=1, max_size=9),
    st.floats(0, 1, exclude_min=True),
)
def test_the_share_of_dropped_rows_is_as_wanted(counts: list[int], share: float) -> None:
    days = [(10 * i, count) for i, count in enumerate(counts)]
    day, part = _oldest(days, share)
    older = sum(count for other, count in days if other < day)
    assert older + part * dict(days)[day] == pytest.approx(share * sum(counts))
    assert 0 <= part <= 1
