import os
import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest
from caches import KEY, LATER, OF_ANIMATION, OLD, SCORE, SHA1, SHA256, altered, filled

from nsfwscan.cache.database import clear, default_path, open_database
from nsfwscan.cache.score import Hit
from nsfwscan.cache.store import Cache
from nsfwscan.errors import CacheError, OutputError


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX permissions")
def test_only_the_user_can_read_the_file(tmp_path: Path) -> None:
    path = filled(tmp_path / "new" / "c")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_file_that_is_not_a_cache_is_refused_and_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "photos.db"
    altered(path, "CREATE TABLE precious (a)")
    (tmp_path / "text").write_text("no database at all, but precious\n" * 9)
    for name in ("photos.db", "text"):
        before = (tmp_path / name).read_bytes()
        with pytest.raises(CacheError, match=name):
            open_database(tmp_path / name)
        with pytest.raises(CacheError, match="is not a cache of nsfwscan"):
            clear(tmp_path / name)
        assert (tmp_path / name).read_bytes() == before
    with pytest.raises(CacheError, match="cannot use the cache"):
        open_database(tmp_path)


def test_a_cache_of_a_newer_version_is_refused_and_kept(tmp_path: Path) -> None:
    path = altered(filled(tmp_path / "c"), "PRAGMA user_version = 99")
    with pytest.raises(CacheError, match=r"another version of nsfwscan \(schema 99, expected 6\)"):
        open_database(path)
    assert path.exists()


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX pipes")
def test_only_a_cache_is_cleared(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "empty-wal").write_text("a neighbour")
    os.mkfifo(tmp_path / "pipe")
    for name in ("empty", "pipe", os.devnull):
        with pytest.raises(CacheError, match="is not a cache of nsfwscan"):
            clear(tmp_path / name)
    for name in ("pipe", os.devnull):
        with pytest.raises(CacheError, match=r"it is not a regular file|No such device"):
            open_database(tmp_path / name)
    assert {path.name for path in tmp_path.iterdir()} == {"empty", "empty-wal", "pipe"}


def test_clear_deletes_a_cache_in_any_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = filled(tmp_path / "c")
    assert clear(path)
    assert list(tmp_path.iterdir()) == []
    assert not clear(path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    place = default_path()
    place.parent.mkdir(parents=True)
    place.write_bytes(b"damaged")
    assert clear(place)
    assert not place.exists()


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM salt",
        "UPDATE salt SET salt = 5",
        "UPDATE salt SET salt = zeroblob(100)",
        "INSERT INTO salt VALUES (x'00')",
        "DROP TABLE file",
        "CREATE VIEW more AS SELECT 1",
        "CREATE TRIGGER t AFTER INSERT ON score BEGIN DELETE FROM score; END",
    ],
)
def test_unexpected_tables_are_refused(tmp_path: Path, damage: str) -> None:
    path = altered(filled(tmp_path / "c"), damage)
    with pytest.raises(CacheError, match="is damaged; delete it, or name another file"):
        open_database(path)


def test_a_scan_waits_for_another_that_creates_the_cache(tmp_path: Path) -> None:
    """SQLite reports a lock immediately here, despite its timeout."""
    other = sqlite3.connect(tmp_path / "c", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    done = threading.Timer(0.3, other.execute, ["ROLLBACK"])
    done.start()
    connection, salt = open_database(tmp_path / "c")
    connection.close()
    assert len(salt) == 32
    done.join()
    other.close()


_TO_SCHEMA_5 = """
ALTER TABLE score DROP COLUMN classes;
PRAGMA user_version = 5;
"""
_TO_SCHEMA_4 = f"""
{_TO_SCHEMA_5}
ALTER TABLE score DROP COLUMN frame;
ALTER TABLE score DROP COLUMN total_frames;
PRAGMA user_version = 4;
"""
_TO_SCHEMA_3 = f"""
{_TO_SCHEMA_4}
PRAGMA auto_vacuum = 0;
ALTER TABLE score DROP COLUMN used;
ALTER TABLE file DROP COLUMN used;
ALTER TABLE file DROP COLUMN folder;
DROP TABLE folder;
PRAGMA user_version = 3;
VACUUM;
"""
_TO_SCHEMA_2 = f"""
{_TO_SCHEMA_3}
ALTER TABLE score DROP COLUMN views;
PRAGMA user_version = 2;
"""
_TO_SCHEMA_1 = f"""
{_TO_SCHEMA_2}
ALTER TABLE score RENAME COLUMN key TO question;
ALTER TABLE score RENAME TO verdict;
ALTER TABLE file RENAME COLUMN address TO place;
ALTER TABLE file RENAME TO place;
PRAGMA user_version = 1;
"""
_EARLIER = {
    "0.1.0": _TO_SCHEMA_1,
    "schema 2": _TO_SCHEMA_2,
    "schema 3": _TO_SCHEMA_3,
    "schema 4": _TO_SCHEMA_4,
    "schema 5": _TO_SCHEMA_5,
}


@pytest.mark.parametrize("statements", _EARLIER.values(), ids=_EARLIER)
def test_a_cache_of_an_earlier_version_is_still_read(tmp_path: Path, statements: str) -> None:
    path = tmp_path / "c"
    with Cache(path) as cache:
        cache.store([(SHA256, SCORE), ("0" * 64, OF_ANIMATION)], KEY)
        cache.remember("a.jpg", OLD, SHA256, SHA1)
    with closing(sqlite3.connect(path)) as old:
        old.executescript(statements)
    hit = Hit(SCORE, SHA256, SHA1, earlier=True)
    for _ in range(2):
        with Cache(path) as cache:
            assert cache.find(SHA256, SHA1, LATER) == hit
            assert cache.find_unread("a.jpg", lambda: OLD, LATER) == hit
            animation = cache.find("0" * 64, SHA1, LATER)
            # Before schema 5, its frame is not known.
            assert (animation is not None) == (statements == _TO_SCHEMA_5)
            assert cache.failure is None
    with closing(sqlite3.connect(path)) as converted:
        assert converted.execute("PRAGMA auto_vacuum").fetchone() == (2,)


def test_a_url_is_no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match="nothing is written to URLs"):
        open_database(Path("s3://bucket/c.db"))
    assert not list(tmp_path.iterdir())
