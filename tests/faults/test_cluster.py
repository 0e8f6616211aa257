"""Runs on a cluster whose processes are killed: each record is there once in the end."""

import os
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest
from faults.processes import start
from faults.scans import many, redness
from pyarrow import parquet

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc"),
]

COMMAND = ("cluster", "photos", "--model", "m.onnx", "--out", "run", "--block-size", "500")


@pytest.fixture
def at(tmp_path: Path) -> Path:
    redness(tmp_path / "m.onnx")
    many(tmp_path / "photos", 8000)
    for i in range(40):
        broken = b"\xff\xd8\xff\xe0" + bytes(40 + i)
        (tmp_path / "photos" / f"{100 * i:06}-broken.jpg").write_bytes(broken)
    return tmp_path


def parents() -> dict[int, int]:
    """Return the parent of each process that is not a zombie."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (place / "stat").read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state != "Z":
            found[int(place.name)] = int(parent)
    return found


def descendants(root: int) -> set[int]:
    of, found = parents(), {root}
    while more := {pid for pid, parent in of.items() if parent in found} - found:
        found |= more
    return found - {root}


def actors(root: int, kind: str) -> list[int]:
    """Return the processes of a kind of actor below a process."""
    title = f"ray::MapWorker(MapBatches({kind}))"
    found = []
    for pid in sorted(descendants(root)):
        try:
            named = Path(f"/proc/{pid}/cmdline").read_text().startswith(title)
        except OSError:
            continue
        found += [pid] if named else []
    return found


@pytest.fixture
def left() -> Iterator[set[int]]:
    """Give a set for the processes that must not outlive the test, and end those that do.

    The agents of Ray end minutes after a driver that was killed.
    """
    pids = set[int]()
    yield pids
    for pid in pids & parents().keys():
        os.kill(pid, signal.SIGKILL)


def parts(at: Path) -> list[Path]:
    return sorted((at / "run" / "records").glob("*.parquet"))


def has_parts(at: Path, count: int) -> bool:
    return len(parts(at)) >= count


def records(at: Path) -> pa.Table:
    return pa.concat_tables([parquet.read_table(path) for path in parts(at)])


def scanned(at: Path) -> pa.Table:
    options = ("--no-cache", "--quiet", "--format", "parquet", "--output", "local.parquet")
    with start(at, "nsfwscan", "photos", "--model", "m.onnx", *options) as scan:
        assert scan.end()[0] == 2
    return parquet.read_table(at / "local.parquet")


def test_killed_actors_and_a_killed_command_lose_and_double_nothing(
    at: Path, left: set[int]
) -> None:
    with start(at, "nsfwscan", *COMMAND) as run:
        for count, kind in ((2, "Decode"), (4, "Infer")):
            run.wait_until(partial(has_parts, at, count))
            os.kill(actors(run.pid, kind)[0], signal.SIGKILL)
        run.wait_until(lambda: len(parts(at)) >= 7)
        left |= descendants(run.pid)
        run.kill()
        run.wait()
    before = {path: path.stat().st_mtime_ns for path in parts(at)}
    assert 7 <= len(before) < 17
    assert not (at / "run" / "_SUCCESS.json").exists()
    with start(at, "nsfwscan", *COMMAND, "--resume") as run:
        code, out, err = run.end()
    assert (code, out) == (2, "")
    assert "8,040 found: 4,000 safe, 4,000 flagged, 40 errors; " in err
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert records(at) == scanned(at)


def test_killed_actors_alone_are_replaced(at: Path) -> None:
    with start(at, "nsfwscan", *COMMAND) as run:
        for count, kind in ((1, "Infer"), (3, "Decode"), (5, "Decode")):
            run.wait_until(partial(has_parts, at, count))
            os.kill(actors(run.pid, kind)[0], signal.SIGKILL)
        code, out, err = run.end()
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 2
    assert records(at) == scanned(at)


def test_an_interrupted_run_ends_all_its_processes_and_goes_on(at: Path, left: set[int]) -> None:
    """Ctrl-C on a terminal signals every process of the command's group."""
    with start(at, "nsfwscan", *COMMAND, own_group=True) as run:
        run.wait_until(lambda: len(parts(at)) >= 3)
        left |= descendants(run.pid)
        os.killpg(run.pid, signal.SIGINT)
        code, out, err = run.end()
    assert (code, out) == (130, "")
    assert err.splitlines()[-1] == "nsfwscan: go on with --resume; run has the rest"
    assert "Interrupted: " in err
    deadline = time.monotonic() + 30
    while left & parents().keys():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    with start(at, "nsfwscan", *COMMAND, "--resume") as run:
        assert run.end()[0] == 2
    assert records(at) == scanned(at)
