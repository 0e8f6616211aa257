import hashlib
import threading
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from caches import KEY, LATER, MODEL, OLD, OTHER, SCORE, SHA1, SHA256, altered, filled
from hypothesis import given
from hypothesis import strategies as st

from nsfwscan.cache.score import CacheKey, Hit, Score
from nsfwscan.cache.store import Cache

values = st.floats(0, 1).map(lambda value: round(value, 6))
places = st.just((None, None)) | st.integers(1, 2**31).flatmap(
    lambda total: st.tuples(st.integers(0, total - 1), st.just(total))
)
scores = st.builds(
    lambda value, width, height, frames, place, classes: Score(
        value, width, height, frames, 0, place[0], place[1], classes
    ),
    values, *[st.integers(1, 2**31)] * 3, places, st.none() | st.lists(values).map(tuple),
)  # fmt: skip
digests = st.binary(min_size=32, max_size=32).map(bytes.hex)


@given(st.dictionaries(digests, scores, max_size=5), st.binary(min_size=32, max_size=32))
def test_scores_round_trip_through_the_cache(stored: dict[str, Score], digest: bytes) -> None:
    key = CacheKey(digest, MODEL, 7)
    with TemporaryDirectory() as folder, Cache(Path(folder, "c")) as cache:
        cache.store(stored.items(), key)
        for sha256, score in stored.items():
            assert cache.find(sha256, SHA1, key) == Hit(score, sha256, SHA1, earlier=False)
            assert cache.find(sha256, SHA1, OTHER) is None


def test_a_score_of_an_earlier_scan_is_found(tmp_path: Path) -> None:
    hit = Hit(SCORE, SHA256, SHA1, earlier=True)
    with Cache(filled(tmp_path / "c")) as cache:
        assert cache.find(SHA256, SHA1, LATER) == hit
        assert cache.find_unread("a.jpg", lambda: OLD, LATER) == hit
        assert cache.find(SHA256, SHA1, KEY) == replace(hit, earlier=False)


@pytest.mark.parametrize("changed", range(5))
def test_a_changed_stamp_address_or_key_is_a_miss(tmp_path: Path, changed: int) -> None:
    stamp = tuple(value + (i == changed) for i, value in enumerate(OLD))
    with Cache(filled(tmp_path / "c")) as cache:
        assert cache.find_unread("a.jpg", lambda: stamp, KEY) is None
        assert cache.find_unread("b.jpg", lambda: OLD, KEY) is None
        assert cache.find_unread("a.jpg", lambda: OLD, OTHER) is None
        cache.remember("a.jpg", stamp, SHA256, SHA1)
        assert cache.find_unread("a.jpg", lambda: stamp, KEY) is not None
        assert cache.find_unread("a.jpg", lambda: OLD, KEY) is None


def test_the_stamp_of_an_unknown_address_is_not_read(tmp_path: Path) -> None:
    def never() -> tuple[int, ...]:
        raise AssertionError

    with Cache(filled(tmp_path / "c")) as cache:
        assert cache.find_unread("b.jpg", never, KEY) is None
        assert cache.find_unread("a.jpg", lambda: None, KEY) is None


def test_the_stamp_of_a_recent_file_is_not_stored(tmp_path: Path) -> None:
    now = time.time_ns()
    with Cache(tmp_path / "c") as cache:
        cache.store([(SHA256, SCORE)], KEY)
        cache.remember("a.jpg", (1, 2, 3, now, 0), SHA256, SHA1)
        cache.remember("b.jpg", (1, 2, 3, 0, now), SHA256, SHA1)
        assert cache.find_unread("a.jpg", lambda: (1, 2, 3, now, 0), KEY) is None
        assert cache.find_unread("b.jpg", lambda: (1, 2, 3, 0, now), KEY) is None


def test_the_cache_contains_no_path_and_no_plain_digest_of_one(tmp_path: Path) -> None:
    path = tmp_path / "c"
    secret = "holidays/secret.jpg"
    with Cache(path) as cache:
        cache.remember(secret, OLD, SHA256, SHA1)
    data = path.read_bytes()
    for form in (secret, str(Path(secret).absolute())):
        raw = form.encode()
        assert raw not in data
        for digest in (
            hashlib.sha256(raw),
            hashlib.sha1(raw),
            hashlib.blake2b(raw, digest_size=16),
        ):
            assert digest.digest() not in data
    assert b"secret" not in data


def test_scores_survive_a_kill(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "c")
    cache.store([(SHA256, SCORE)], KEY)
    for name in ("c", "c-wal"):
        (tmp_path / f"k{name}").write_bytes((tmp_path / name).read_bytes())  # the state at a kill
    cache.close()
    with Cache(tmp_path / "kc") as left:
        assert left.find(SHA256, SHA1, KEY) is not None


def test_two_scans_share_a_file(tmp_path: Path) -> None:
    with Cache(tmp_path / "c") as one, Cache(tmp_path / "c") as other:

        def work(cache: Cache, first: int) -> None:
            for i in range(first, first + 100):
                cache.store([(f"{i:064x}", SCORE)], KEY)

        threads = [
            threading.Thread(target=work, args=[cache, first])
            for cache, first in ((one, 0), (one, 50), (other, 100), (other, 0))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (one.failure, other.failure) == (None, None)
        assert one.info().scores == {MODEL[:12]: 200}
        assert other.find(f"{7:064x}", SHA1, KEY) is not None


def test_info_counts_the_scores(tmp_path: Path) -> None:
    with Cache(filled(tmp_path / "c")) as cache:
        info = cache.info()
    assert (info.files, info.scores) == (1, {"ab" * 6: 1})
    assert info.size >= (tmp_path / "c").stat().st_size > 0


def test_a_failing_cache_is_no_longer_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = filled(tmp_path / "c")
    with Cache(path) as cache:
        altered(path, "DROP TABLE score")
        assert cache.find(SHA256, SHA1, KEY) is None
        assert cache.failure is not None
        assert "no such table" in str(cache.failure)
        cache.store([(SHA256, SCORE)], KEY)
        cache.remember("a.jpg", OLD, SHA256, SHA1)
        assert cache.find(SHA256, SHA1, KEY) is None
        assert "no such table" in str(cache.failure)  # the first failure is reported
    (logged,) = caplog.records
    assert (logged.name, logged.levelname) == ("nsfwscan.cache.store", "WARNING")


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE score SET score = 'high'",
        "UPDATE score SET score = 2.0",
        "UPDATE score SET score = 9e999",
        "UPDATE score SET width = x'00'",
        "UPDATE score SET frames = 0",
        "UPDATE score SET frame = 3, total_frames = 3",
        "UPDATE score SET frame = -1, total_frames = 3",
        "UPDATE score SET total_frames = 3",
        "UPDATE score SET scan = 'none'",
        "UPDATE score SET classes = 'a'",
        "UPDATE score SET classes = x'000000'",
        "UPDATE score SET classes = x'ffffffff'",
        "UPDATE file SET sha1 = 'short'",
    ],
)
def test_an_invalid_row_is_never_a_score(tmp_path: Path, damage: str) -> None:
    path = altered(filled(tmp_path / "c"), damage)
    with Cache(path) as cache:
        assert cache.find_unread("a.jpg", lambda: OLD, KEY) is None
        assert "invalid row" in str(cache.failure)
