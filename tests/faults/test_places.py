"""Full disks and unwritable paths, for the report and for the cache."""

import sys
from pathlib import Path

import pytest
from conftest import Run
from faults.scans import many, parsed, redness, start

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX limits")

FULL = 40_000
"""Largest size of a file, in bytes, on a full disk."""


def fill_the_disk() -> None:
    """Make the system refuse to write more than `FULL` bytes to any file."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (FULL, FULL))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return redness(tmp_path / "m.onnx")


@pytest.mark.parametrize("explicit", [True, False])
@pytest.mark.slow
def test_a_cache_on_a_full_disk_loses_no_record(
    tmp_path: Path, model: Path, explicit: bool
) -> None:
    many(tmp_path / "photos", 1500)
    place = ["--cache", "c.sqlite"] if explicit else []
    process = start(
        "photos", "-m", model, "-f", "jsonl", *place, cwd=tmp_path, preexec_fn=fill_the_disk
    )
    out, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert len({one["path"] for one in parsed(out)}) == 1500
    (warning,) = [line for line in err.splitlines() if "the scan went on without it" in line]
    assert "the cache " in warning
    assert "Traceback" not in err


@pytest.mark.parametrize("format_", ["json", "csv", "text"])
@pytest.mark.slow
def test_a_report_on_a_full_disk_keeps_the_previous_one(
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


def test_json_lines_before_a_full_disk_are_complete(tmp_path: Path, model: Path) -> None:
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


@pytest.mark.skipif(sys.platform != "linux", reason="needs a path that even root cannot write")
def test_unwritable_paths_are_named(run: Run, tmp_path: Path, model: Path) -> None:
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
