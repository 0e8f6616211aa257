"""Damage to a cache before and during a scan: no record is lost, no score is wrong."""

import os
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from conftest import Run
from faults.scans import feed, many, parsed, redness, results, start

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX pipes")

PHOTOS = 600


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
    rest, err = process.communicate(timeout=120)
    if held is not None:
        held.close()
    assert process.returncode == 1
    assert "Traceback" not in err
    if message is not None:
        assert message in err
        assert "the scan went on without it" in err
    found = results(parsed(out + rest))
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
