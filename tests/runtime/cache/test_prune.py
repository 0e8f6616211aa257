import os
import sqlite3
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path

import pytest
from caches import KEY, LATER, OLD, SCORE, SHA1, altered

from nsfwscan.cache.prune import Pruned, prune
from nsfwscan.cache.store import Cache
from nsfwscan.errors import CacheError

SHARED = Path("/dev/shm")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "c"


def keep(path: Path, *files: Path) -> None:
    """Store a file's digests and a score of its own, which the name gives."""
    with Cache(path) as cache:
        for file in files:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
            cache.remember(str(file), OLD, sha256_of(file), SHA1)
            cache.store([(sha256_of(file), SCORE)], KEY)
        assert cache.failure is None


def sha256_of(file: Path) -> str:
    return file.name.encode().hex().ljust(64, "0")


def found(path: Path, file: Path) -> bool:
    with Cache(path) as cache:
        return cache.find_unread(str(file), lambda: OLD, LATER) is not None


def scored(path: Path, file: Path) -> bool:
    with Cache(path) as cache:
        return cache.find(sha256_of(file), SHA1, LATER) is not None


def counts(done: Pruned) -> tuple[int, int, int, int]:
    return done.files, done.scores, done.unreachable, done.unknown


def test_files_that_no_longer_exist_are_dropped(tmp_path: Path, path: Path) -> None:
    here, deep = tmp_path / "a" / "here", tmp_path / "a" / "b" / "c" / "deep"
    gone, apart = tmp_path / "a" / "gone", tmp_path / "x" / "y" / "apart"
    keep(path, here, deep, gone, apart)
    assert counts(prune(path)) == (0, 0, 0, 0)
    gone.unlink()
    apart.unlink()
    apart.parent.rmdir()
    apart.parent.parent.rmdir()
    assert counts(prune(path)) == (2, 2, 0, 0)
    assert [found(path, file) for file in (here, deep, gone, apart)] == [True, True, False, False]
    assert [scored(path, file) for file in (here, deep, gone, apart)] == [True, True, False, False]
    assert counts(prune(path)) == (0, 0, 0, 0)


def test_a_folder_that_became_a_file_has_lost_its_files(tmp_path: Path, path: Path) -> None:
    file = tmp_path / "a" / "file"
    keep(path, file)
    file.unlink()
    file.parent.rmdir()
    file.parent.touch()
    assert counts(prune(path)) == (1, 1, 0, 0)


def test_a_score_stays_while_another_file_has_the_bytes(tmp_path: Path, path: Path) -> None:
    one, other = tmp_path / "a" / "same", tmp_path / "b" / "same"
    keep(path, one, other)
    one.unlink()
    assert counts(prune(path)) == (1, 0, 0, 0)
    assert found(path, other)


def test_a_score_without_a_file_stays(tmp_path: Path, path: Path) -> None:
    """Standard input has no path, and the same bytes may come again."""
    file = tmp_path / "gone"
    keep(path, file)
    with Cache(path) as cache:
        cache.store([("ab" * 32, SCORE)], KEY)
    file.unlink()
    assert counts(prune(path)) == (1, 1, 0, 0)
    with Cache(path) as cache:
        assert cache.find("ab" * 32, SHA1, LATER) is not None


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """Make a folder that is on another device, at the end of a link."""
    if not SHARED.is_dir() or SHARED.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs two devices")
    (tmp_path / "disk").symlink_to(SHARED, target_is_directory=True)
    return tmp_path / "disk"


@pytest.mark.parametrize("left", ["nothing", "a folder", "a folder and a file"])
def test_files_of_a_disk_that_is_not_mounted_are_kept(
    tmp_path: Path, path: Path, disk: Path, left: str
) -> None:
    name = f"nsfwscan-test-{os.getpid()}"
    files = [disk / name / "file", disk / name / "b" / "deep"]
    try:
        keep(path, *files)
        assert counts(prune(path)) == (0, 0, 0, 0)
        disk.unlink()
        if left != "nothing":
            (disk / name).mkdir(parents=True)
        if left == "a folder and a file":
            (disk / name / "file").touch()
        done = prune(path)
        missing = 1 if left == "a folder and a file" else 2
        assert counts(done) == (0, 0, missing, 0)
        assert set(done.places.values()) == {"a disk is not mounted"}
        assert all(str(tmp_path) in place for place in done.places)
        assert all(found(path, file) for file in files)
        if left == "nothing":
            disk.symlink_to(SHARED, target_is_directory=True)
            files[0].unlink()
            assert counts(prune(path)) == (1, 1, 0, 0)
            assert [found(path, file) for file in files] == [False, True]
    finally:
        for file in files:
            (SHARED / file.relative_to(disk)).unlink(missing_ok=True)
        (SHARED / name / "b").rmdir()
        (SHARED / name).rmdir()


def test_files_in_a_folder_that_cannot_be_read_are_kept(
    open_folder: Path, unprivileged: Callable[[], AbstractContextManager[None]]
) -> None:
    path, shut = open_folder / "cache" / "c", open_folder / "shut"
    keep(path, shut / "file", shut / "b" / "deep")
    (shut / "file").unlink()
    for file in (path.parent, *path.parent.iterdir()):
        file.chmod(0o777)
    shut.chmod(0)
    with unprivileged():
        done = prune(path)
    assert counts(done) == (0, 0, 2, 0)
    assert done.places == {str(shut): "Permission denied"}
    shut.chmod(0o755)
    assert counts(prune(path)) == (1, 1, 0, 0)


def test_files_of_an_earlier_version_are_kept_until_a_scan_finds_them(
    tmp_path: Path, path: Path
) -> None:
    here, gone = tmp_path / "a" / "here", tmp_path / "a" / "gone"
    keep(path, here, gone)
    altered(path, "UPDATE file SET folder = NULL")
    altered(path, "DELETE FROM folder")
    gone.unlink()
    assert counts(prune(path)) == (0, 0, 0, 2)
    assert found(path, here)
    assert counts(prune(path)) == (0, 0, 0, 1)
    here.unlink()
    assert counts(prune(path)) == (1, 1, 0, 1)


def test_the_file_shrinks_and_the_rest_is_found(tmp_path: Path, path: Path) -> None:
    files = [tmp_path / "a" / f"{i:04}" for i in range(2000)]
    keep(path, *files)
    for file in files[200:]:
        file.unlink()
    before = path.stat().st_size
    done = prune(path)
    assert counts(done) == (1800, 1800, 0, 0)
    assert path.stat().st_size < before / 4
    assert done.before >= before
    assert done.after == path.stat().st_size
    with Cache(path) as cache:
        assert all(cache.find_unread(str(file), lambda: OLD, LATER) for file in files[:200])
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_rows_that_a_scan_stores_in_the_meantime_stay(tmp_path: Path, path: Path) -> None:
    files = [tmp_path / "a" / f"{i:04}" for i in range(300)]
    keep(path, *files)
    for file in files[:250]:
        file.unlink()
    with Cache(path) as scan:
        worker = threading.Thread(target=prune, args=[path])
        worker.start()
        new = [tmp_path / "b" / f"new{i}" for i in range(200)]
        (tmp_path / "b").mkdir()
        for file in new:
            file.touch()
            scan.remember(str(file), OLD, sha256_of(file), SHA1)
            scan.store([(sha256_of(file), SCORE)], KEY)
        worker.join()
        assert scan.failure is None
        left = [scan.find_unread(str(file), lambda: OLD, LATER) for file in files]
        assert [hit is not None for hit in left] == [False] * 250 + [True] * 50
        assert all(scan.find_unread(str(file), lambda: OLD, LATER) for file in new)


def test_an_unusable_cache_is_refused(path: Path) -> None:
    path.write_text("notes, and no cache\n" * 20)
    with pytest.raises(CacheError, match="cannot use the cache"):
        prune(path)
