"""Damage to a cache before and during a scan: no record is lost, no score is wrong."""

import os
import shutil
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from conftest import Run
from faults.scans import feed, many, parsed, redness, results, start

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX pipes")

PHOTOS = 600
TABLES = ("file", "score")


def hold(cache: Path) -> sqlite3.Connection:
    holder = sqlite3.connect(cache, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    return holder


def delete(cache: Path) -> None:
    for file in cache.parent.glob(f"{cache.name}*"):
        file.unlink()


def overwrite(cache: Path) -> None:
    for file in cache.parent.glob(f"{cache.name}*"):
        size = file.stat().st_size
        with file.open("r+b") as stream:
            stream.seek(100)
            stream.write(os.urandom(max(0, size - 100)))


def drop(cache: Path) -> None:
    with closing(sqlite3.connect(cache)) as other:
        other.execute("DROP TABLE score")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return redness(tmp_path / "m.onnx")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(hold, "database is locked", marks=pytest.mark.slow),
        (delete, None),
        (overwrite, None),
        (drop, "no such table"),
    ],
)
@pytest.mark.slow
def test_damage_to_the_cache_during_a_scan_loses_no_record(
    run: Run,
    tmp_path: Path,
    model: Path,
    damage: Callable[[Path], sqlite3.Connection | None],
    message: str | None,
) -> None:
    photos, cache = many(tmp_path / "photos", PHOTOS), tmp_path / "c.sqlite"
    os.mkfifo(tmp_path / "list")
    arguments: list[str | Path] = ["-m", model, "-f", "jsonl", "--cache", cache]
    process = start("--files-from", tmp_path / "list", *arguments)
    descriptor = feed(tmp_path / "list", photos[:20])
    assert process.stdout is not None
    out = process.stdout.readline()
    held = damage(cache)
    os.write(descriptor, b"".join(os.fsencode(photo) + b"\n" for photo in photos[20:]))
    os.close(descriptor)
    out += process.stdout.read()  # communicate() would miss what readline() has buffered
    _, err = process.communicate(timeout=120)
    if held is not None:
        held.close()
    assert process.returncode == 1
    assert "Traceback" not in err
    if message is not None:
        assert message in err
        assert "the scan went on without it" in err
    found = results(parsed(out))
    assert found == results(parsed(run(*photos, *arguments, "--no-cache").stdout))
    if damage is overwrite:
        run("cache", "clear", "--cache", cache)
        cache.unlink(missing_ok=True)
    if damage is not drop:  # the file is still usable
        assert results(parsed(run(*photos, *arguments).stdout)) == found
        again = parsed(run(*photos, *arguments).stdout)
        assert results(again) == found
        assert all(one["cached"] for one in again)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        pytest.param(hold, "database is locked", marks=pytest.mark.slow),
        (overwrite, ""),
        (drop, "is damaged; delete it"),
        (lambda cache: cache.write_bytes(b"SQLite format 3\0" + bytes(4000)), ""),
        (lambda cache: sqlite3.connect(cache).execute("PRAGMA user_version = 9"), "(schema 9, "),
    ],
)
def test_a_scan_names_an_unusable_cache_and_continues_without_it(
    run: Run, tmp_path: Path, model: Path, spoil: Callable[[Path], object], message: str
) -> None:
    many(tmp_path / "photos", 20)
    home = {"XDG_CACHE_HOME": str(tmp_path / "home")}
    cache = tmp_path / "home" / "nsfwscan" / "verdicts.sqlite"
    arguments = ["photos", "-m", model, "-f", "jsonl"]
    found = results(parsed(run(*arguments, environment=home).stdout))
    spoiled = spoil(cache)
    done = run(*arguments, environment=home)
    assert results(parsed(done.stdout)) == found
    assert str(cache) in done.stderr
    assert message in done.stderr
    assert "without it" in done.stderr
    assert "Traceback" not in done.stderr
    del spoiled
    assert run("cache", "clear", environment=home).returncode == 0
    assert run(*arguments, "-q", environment=home).stderr == ""


@pytest.mark.slow
def test_two_scans_share_a_cache(run: Run, tmp_path: Path, model: Path) -> None:
    many(tmp_path / "photos", PHOTOS)
    arguments: list[str | Path] = ["photos", "-m", model, "-f", "jsonl", "-q"]
    arguments += ["--cache", "c.sqlite"]
    both = [start(*arguments, cwd=tmp_path) for _ in range(2)]
    outputs = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [1, 1]
    assert [err for _, err in outputs] == ["", ""]
    one, other = (results(parsed(out)) for out, _ in outputs)
    assert one == other
    last = parsed(run(*arguments).stdout)
    assert results(last) == one
    assert all(record["cached"] for record in last)
    with closing(sqlite3.connect(tmp_path / "c.sqlite")) as cache:
        assert cache.execute("SELECT count(*) FROM score").fetchone() == (PHOTOS,)


@pytest.mark.parametrize("command", ["prune", "clear"])
@pytest.mark.slow
def test_a_cache_is_pruned_or_cleared_beside_a_scan(
    run: Run, tmp_path: Path, model: Path, command: str
) -> None:
    gone = many(tmp_path / "gone", PHOTOS)
    arguments: list[str | Path] = ["-m", model, "-f", "jsonl", "-q", "--cache", "c.sqlite"]
    time.sleep(2.1)  # else the files would be too young for their stamps to be stored
    assert run(*gone, *arguments).returncode == 1
    shutil.rmtree(tmp_path / "gone")
    photos = many(tmp_path / "photos", PHOTOS)
    for photo in photos:
        photo.write_bytes(photo.read_bytes() + b"!")  # no bytes that the cache knows
    os.mkfifo(tmp_path / "list")
    time.sleep(2.1)
    scan = start("--files-from", "list", *arguments, cwd=tmp_path)
    descriptor = feed(tmp_path / "list", photos[:50])
    assert scan.stdout is not None
    out = "".join(scan.stdout.readline() for _ in range(20))
    other = start("cache", command, "--cache", "c.sqlite", cwd=tmp_path)
    while other.poll() is None and len(photos) > 100:
        os.write(descriptor, os.fsencode(photos.pop(50)) + b"\n")
        time.sleep(0.01)
    os.write(descriptor, b"".join(os.fsencode(photo) + b"\n" for photo in photos[50:]))
    os.close(descriptor)
    out += scan.stdout.read()  # communicate() would miss what readline() has buffered
    _, err = scan.communicate(timeout=120)
    said, complaints = other.communicate(timeout=120)
    assert (scan.returncode, err) == (1, "")
    assert (other.returncode, complaints) == (0, "")
    found = parsed(out)
    assert len(found) == PHOTOS
    paths = sorted(record["path"] for record in found)
    assert results(found) == results(parsed(run(*paths, *arguments, "--no-cache").stdout))
    again = [parsed(run(*paths, *arguments).stdout) for _ in range(2)]
    assert results(again[0]) == results(again[1]) == results(found)
    assert all(record["cached"] for record in again[1])
    if command == "prune":
        assert f"exist: {PHOTOS}; scores: {PHOTOS}\n" in said
        assert all(record["cached"] for record in again[0])
    with closing(sqlite3.connect(tmp_path / "c.sqlite")) as cache:
        assert cache.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        counts = [cache.execute(f"SELECT count(*) FROM {name}").fetchone() for name in TABLES]
    assert counts == [(PHOTOS,), (PHOTOS,)]
