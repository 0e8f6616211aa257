import hashlib
import os
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from caches import LATER, MODEL, OLD, OTHER, QUESTION, SHA1, SHA256, VERDICT, altered, filled
from hypothesis import given
from hypothesis import strategies as st

from nsfwscan.cache.store import Cache, Known, Question, Verdict

scores = st.floats(0, 1).map(lambda score: round(score, 6))
verdicts = st.builds(Verdict, scores, *[st.integers(1, 2**31)] * 3)
digests = st.binary(min_size=32, max_size=32).map(bytes.hex)


@given(st.dictionaries(digests, verdicts, max_size=5), st.binary(min_size=32, max_size=32))
def test_verdicts_come_back_as_they_were(stored: dict[str, Verdict], key: bytes) -> None:
    question = Question(key, MODEL, 7)
    with closing(Cache()) as cache:
        cache.store(stored.items(), question)
        for sha256, verdict in stored.items():
            assert cache.find(sha256, SHA1, question) == Known(verdict, sha256, SHA1, earlier=False)
            assert cache.find(sha256, SHA1, OTHER) is None


def test_a_verdict_outlives_the_scan_and_is_then_an_earlier_one(tmp_path: Path) -> None:
    known = Known(VERDICT, SHA256, SHA1, earlier=True)
    with closing(Cache(filled(tmp_path / "c"))) as cache:
        assert cache.find(SHA256, SHA1, LATER) == known
        assert cache.recall("a.jpg", lambda: OLD, LATER) == known
        assert cache.find(SHA256, SHA1, QUESTION) == replace(known, earlier=False)


@pytest.mark.parametrize("changed", range(5))
def test_a_changed_stamp_another_path_or_question_is_not_recalled(
    tmp_path: Path, changed: int
) -> None:
    stamp = tuple(value + (i == changed) for i, value in enumerate(OLD))
    with closing(Cache(filled(tmp_path / "c"))) as cache:
        assert cache.recall("a.jpg", lambda: stamp, QUESTION) is None
        assert cache.recall("b.jpg", lambda: OLD, QUESTION) is None
        assert cache.recall("a.jpg", lambda: OLD, OTHER) is None
        cache.remember("a.jpg", stamp, SHA256, SHA1)
        assert cache.recall("a.jpg", lambda: stamp, QUESTION) is not None
        assert cache.recall("a.jpg", lambda: OLD, QUESTION) is None


def test_the_stamp_of_a_path_that_is_not_known_is_not_asked_for(tmp_path: Path) -> None:
    def never() -> tuple[int, ...]:
        raise AssertionError

    with closing(Cache(filled(tmp_path / "c"))) as cache:
        assert cache.recall("b.jpg", never, QUESTION) is None
        assert cache.recall("a.jpg", lambda: None, QUESTION) is None


def test_a_young_file_is_not_remembered_by_its_stamp() -> None:
    now = time.time_ns()
    with closing(Cache()) as cache:
        cache.store([(SHA256, VERDICT)], QUESTION)
        cache.remember("a.jpg", (1, 2, 3, now, 0), SHA256, SHA1)
        cache.remember("b.jpg", (1, 2, 3, 0, now), SHA256, SHA1)
        assert cache.recall("a.jpg", lambda: (1, 2, 3, now, 0), QUESTION) is None
        assert cache.recall("b.jpg", lambda: (1, 2, 3, 0, now), QUESTION) is None


def test_no_path_and_no_name_stands_in_clear_nor_as_a_plain_digest(tmp_path: Path) -> None:
    path = tmp_path / "c"
    secret = "holidays/secret.jpg"
    with closing(Cache(path)) as cache:
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


def test_what_is_kept_survives_a_kill(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "c")
    cache.store([(SHA256, VERDICT)], QUESTION)
    for name in ("c", "c-wal"):
        (tmp_path / f"k{name}").write_bytes((tmp_path / name).read_bytes())  # as a kill leaves it
    cache.close()
    with closing(Cache(tmp_path / "kc")) as left:
        assert left.find(SHA256, SHA1, QUESTION) is not None


def test_two_scans_share_a_file(tmp_path: Path) -> None:
    with closing(Cache(tmp_path / "c")) as one, closing(Cache(tmp_path / "c")) as other:

        def work(cache: Cache, first: int) -> None:
            for i in range(first, first + 100):
                cache.store([(f"{i:064x}", VERDICT)], QUESTION)

        threads = [
            threading.Thread(target=work, args=[cache, first])
            for cache, first in ((one, 0), (one, 50), (other, 100), (other, 0))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (one.failure, other.failure) == (None, None)
        assert one.info().verdicts == {MODEL[:12]: 200}
        assert other.find(f"{7:064x}", SHA1, QUESTION) is not None


def test_info_counts(tmp_path: Path) -> None:
    with closing(Cache(filled(tmp_path / "c"))) as cache:
        info = cache.info()
    assert (info.places, info.verdicts) == (1, {"ab" * 6: 1})
    assert info.size >= (tmp_path / "c").stat().st_size > 0


def test_a_file_that_fails_under_way_is_given_up(tmp_path: Path) -> None:
    path = filled(tmp_path / "c")
    with closing(Cache(path)) as cache:
        altered(path, "DROP TABLE verdict")
        assert cache.find(SHA256, SHA1, QUESTION) is None
        assert cache.failure is not None
        assert "no such table" in str(cache.failure)
        cache.store([(SHA256, VERDICT)], QUESTION)  # identical files are still met once
        assert cache.find(SHA256, SHA1, QUESTION) is not None


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE verdict SET score = 'high'",
        "UPDATE verdict SET score = 2.0",
        "UPDATE verdict SET score = 9e999",
        "UPDATE verdict SET width = x'00'",
        "UPDATE verdict SET frames = 0",
        "UPDATE verdict SET scan = 'none'",
        "UPDATE place SET sha1 = 'short'",
    ],
)
def test_a_row_that_makes_no_sense_is_never_a_verdict(tmp_path: Path, damage: str) -> None:
    path = altered(filled(tmp_path / "c"), damage)
    with closing(Cache(path)) as cache:
        assert cache.recall("a.jpg", lambda: OLD, QUESTION) is None
        assert "none of ours" in str(cache.failure)


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX limits")
def test_a_private_cache_needs_no_room_on_the_disk(tmp_path: Path) -> None:
    """It spills into a nameless file once it is large; what is lost then is no more than a gain."""
    script = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "from nsfwscan.cache.store import *\n"
        "cache, question = Cache(), Question(bytes(32), 'ab' * 32, 1)\n"
        "for i in range(40_000):\n"
        "    sha256 = f'{i * 7919 % 40_009:064x}'\n"
        "    cache.store([(sha256, Verdict(0.5, 8, 6, 1))], question)\n"
        "    cache.find(sha256, 'ab' * 20, question)\n"
        "print(cache.failure)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True, text=True, check=False, env=os.environ | {"TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "None\n", "")
