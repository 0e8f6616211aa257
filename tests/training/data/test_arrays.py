import hashlib
import resource
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsfwtrain.data.arrays import ArrayCache
from nsfwtrain.errors import CacheError

KEY = {"kind": "test"}


def sha1(number: int) -> str:
    return hashlib.sha1(str(number).encode()).hexdigest()


def open_cache(root: Path, **key: object) -> ArrayCache:
    return ArrayCache(root, KEY | key, (3,), np.float32)


def fill(root: Path, numbers: range) -> ArrayCache:
    with open_cache(root) as cache:
        for i in numbers:
            cache.add([sha1(i)], np.full((1, 3), i, np.float32))
    return cache


def test_arrays_are_returned_in_the_requested_order(tmp_path: Path) -> None:
    fill(tmp_path, range(10))
    cache = open_cache(tmp_path)
    assert len(cache) == 10
    assert sha1(3) in cache
    assert sha1(99) not in cache
    got = cache.get([sha1(7), sha1(0), sha1(7)])
    assert got.dtype == np.float32
    assert got.tolist() == [[7] * 3, [0] * 3, [7] * 3]
    with pytest.raises(KeyError):
        cache.get([sha1(99)])


def test_each_key_has_its_own_cache(tmp_path: Path) -> None:
    fill(tmp_path, range(3))
    assert len(open_cache(tmp_path, backbone="other")) == 0
    assert len(ArrayCache(tmp_path, KEY, (4,), np.float32)) == 0


def test_several_writers_share_a_cache(tmp_path: Path) -> None:
    with open_cache(tmp_path) as one, open_cache(tmp_path) as two:
        for i in range(6):
            (one, two)[i % 2].add([sha1(i)], np.full((1, 3), i, np.float32))
        assert one.get([sha1(4), sha1(0)]).tolist() == [[4] * 3, [0] * 3]  # while it is written
    assert len(open_cache(tmp_path)) == 6
    assert len(one) == 3


@given(st.integers(0, 400), st.integers(0, 255))
def test_damaged_records_are_never_read_and_are_mended(cut: int, noise: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        cache = fill(root, range(10))
        (path,) = cache.folder.glob("*.records")
        data = bytearray(path.read_bytes())
        size = len(data) // 10
        damaged = min(cut, len(data) - 1)
        data[damaged] ^= noise
        path.write_bytes(data[: max(damaged + 1, len(data) - cut)])

        def read(cache: ArrayCache) -> int:
            found = [i for i in range(10) if sha1(i) in cache]
            for i in found:
                assert cache.get([sha1(i)]).tolist() == [[i] * 3]
            return len(found)

        try:
            found = read(open_cache(root))
        except CacheError:
            found = read(open_cache(root))
        assert found >= path.stat().st_size // size - 1


def test_all_damaged_records_of_a_file_are_mended_at_once(tmp_path: Path) -> None:
    (path,) = fill(tmp_path, range(10)).folder.glob("*.records")
    data = bytearray(path.read_bytes())
    for i in (2, 5, 9):
        data[36 * i + 30] ^= 1  # a record has 36 bytes
    path.write_bytes(data)
    cache = open_cache(tmp_path)
    assert len(cache) == 10
    assert cache.get([sha1(4)]).tolist() == [[4] * 3]
    with pytest.raises(CacheError, match=f"^{path} was damaged, and .* run the command again"):
        cache.get([sha1(4), sha1(5)])
    assert len(open_cache(tmp_path)) == 7
    assert len(fill(tmp_path, range(2, 3))) == 8
    assert open_cache(tmp_path).get([sha1(2), sha1(8)]).tolist() == [[2] * 3, [8] * 3]


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="needs Linux")
def test_opening_a_cache_does_not_read_the_arrays(tmp_path: Path) -> None:
    def characters_read() -> int:
        return int(Path("/proc/self/io").read_text().split()[1])

    def open_large() -> ArrayCache:
        return ArrayCache(tmp_path, KEY, (100_000,), np.uint8)

    with open_large() as cache:
        cache.add([sha1(i) for i in range(50)], np.zeros((50, 100_000), np.uint8))
    before = characters_read()
    assert len(open_large()) == 50
    assert characters_read() - before < 100_000


def test_a_full_disk_loses_no_earlier_record(
    tmp_path: Path,
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5 * 36 + 20, hard))  # a record has 36 bytes
    try:
        with open_cache(tmp_path) as cache:
            for i in range(5):
                cache.add([sha1(i)], np.full((1, 3), i, np.float32))
            with pytest.raises(CacheError, match=r"cannot write the cache .*: File too large"):
                cache.add([sha1(5)], np.full((1, 3), 5, np.float32))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    for found in (cache, open_cache(tmp_path)):
        assert len(found) == 5
        assert found.get([sha1(4)]).tolist() == [[4] * 3]


def test_a_cache_deleted_during_use_is_an_error(tmp_path: Path) -> None:
    cache = fill(tmp_path, range(3))
    shutil.rmtree(cache.folder)
    with pytest.raises(CacheError, match=r"cannot read the cache .*: No such file"):
        cache.get([sha1(0)])


def test_an_unusable_cache_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CacheError, match=r"cannot use the cache .*file.*: Not a directory"):
        open_cache(tmp_path / "file")
