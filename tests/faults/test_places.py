"""Disks that are full, places that cannot be written, for the report and for the cache."""

import sys
from pathlib import Path

import pytest
from conftest import Run
from faults.scans import many, parsed, redness, start

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX limits")

FULL = 40_000
"""Bytes that a file may have where a test has the disk full."""


def fill_the_disk() -> None:
    """Have the system refuse to write more than `FULL` bytes to any file."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (FULL, FULL))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return redness(tmp_path / "m.onnx")


@pytest.mark.parametrize("named", [True, False])
def test_a_cache_on_a_full_disk_costs_no_record(tmp_path: Path, model: Path, named: bool) -> None:
    many(tmp_path / "photos", 1500)
    place = ["--cache", "c.sqlite"] if named else []
    process = start(
        "photos", "-m", model, "-f", "jsonl", *place, cwd=tmp_path, preexec_fn=fill_the_disk
    )
    out, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert len({one["path"] for one in parsed(out)}) == 1500
    (said,) = [line for line in err.splitlines() if "the scan went on without it" in line]
    assert "the cache " in said
    assert "Traceback" not in err


@pytest.mark.parametrize("format_", ["json", "csv", "text"])
def test_a_report_for_a_full_disk_leaves_the_last_one(
    tmp_path: Path, model: Path, format_: str
) -> None:
    many(tmp_path / "photos", 2000)
    (tmp_path / "report").write_text("of yesterday")
    process = start(
        "photos", "-m", model, "--no-cache", "-f", format_, "-o", "report", "-t", "0",
        cwd=tmp_path, preexec_fn=fill_the_disk,
    )  # fmt: skip
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "nsfwscan: cannot write report: File too large" in err
    assert "Traceback" not in err
    assert (tmp_path / "report").read_text() == "of yesterday"
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".tmp")]


def test_json_lines_are_whole_up_to_where_the_disk_was_full(tmp_path: Path, model: Path) -> None:
    many(tmp_path / "photos", 2000)
    process = start(
        "photos", "-m", model, "--no-cache", "-f", "jsonl", "-o", "report",
        cwd=tmp_path, preexec_fn=fill_the_disk,
    )  # fmt: skip
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "nsfwscan: cannot write report: File too large" in err
    written = (tmp_path / "report").read_text()
    assert len(parsed(written[: written.rfind("\n")])) > 30


@pytest.mark.skipif(sys.platform != "linux", reason="needs a place where even root cannot write")
def test_places_where_nothing_can_be_written(run: Run, tmp_path: Path, model: Path) -> None:
    many(tmp_path / "photos", 3)
    nowhere = "/proc/self"
    done = run("photos", "-m", model, environment={"XDG_CACHE_HOME": nowhere})
    assert done.returncode == 0
    assert "3 found" in done.stdout
    assert f"cannot use the cache {nowhere}/nsfwscan" in done.stderr
    assert "scanning without it" in done.stderr
    for option in ("--cache", "-o"):
        done = run("photos", "-m", model, option, f"{nowhere}/x", "-f", "json")
        assert (done.returncode, done.stdout) == (2, "")
        assert f"{nowhere}/x" in done.stderr
        assert len(done.stderr.splitlines()) == 1
