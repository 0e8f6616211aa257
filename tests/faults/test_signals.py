"""Interrupt a scan with signals."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from faults.scans import SCRIPT, feed, many, parsed, redness, start

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")

ENDS = [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)]


def children_of(process: "subprocess.Popen[str]") -> list[int]:
    found = Path(f"/proc/{process.pid}/task").glob("*/children")
    return [int(child) for one in found for child in one.read_text().split()]


@pytest.mark.parametrize(("name", "code"), ENDS)
@pytest.mark.parametrize("format_", ["json", "jsonl", "text"])
@pytest.mark.slow
def test_an_interrupted_scan_prints_its_results(
    tmp_path: Path, format_: str, name: str, code: int
) -> None:
    os.mkfifo(tmp_path / "list")
    photos, report = many(tmp_path / "photos", 2000), tmp_path / "report"
    (tmp_path / "notes.txt").write_text("notes")
    photos.insert(1, tmp_path / "notes.txt")
    process = start(
        "--files-from", tmp_path / "list", "-m", redness(tmp_path / "m.onnx"), "-f", format_,
        "-o", report, "--workers", "1", "--batch-size", "1", "-v",
    )  # fmt: skip
    descriptor = feed(tmp_path / "list", photos)
    assert process.stderr is not None
    err = ""
    while "skipped, text file" not in err:  # results have the order of the list
        err += process.stderr.readline()
    workers = children_of(process)
    process.send_signal(getattr(signal, name))
    err += process.stderr.read()  # communicate() would miss what readline() has buffered
    process.communicate(timeout=60)
    os.close(descriptor)
    assert process.returncode == code
    assert "Traceback" not in err
    assert "Interrupted: " in err
    written = report.read_text()
    if format_ == "text":
        assert re.match(r"Interrupted: [\d,]+ found: [1-9]\d* safe", written.splitlines()[-1])
    else:
        records = parsed(written.replace("[\n", "").replace("\n]", "").replace("},", "}"))
        assert [record["path"] for record in records[:1]] == [str(photos[0])]
        assert not [record for record in records if record["status"] == "error"]
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".tmp")]
    assert workers
    until = time.monotonic() + 10  # the system ends them when the scan's end of a pipe closes
    while any(Path(f"/proc/{pid}/exe").exists() for pid in workers):
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize(("name", "code"), ENDS)
def test_an_interrupt_before_the_first_file_prints_nothing(
    tmp_path: Path, name: str, code: int
) -> None:
    os.mkfifo(tmp_path / "model")  # which nobody writes: loading never ends
    process = start(
        "-m", tmp_path / "model", tmp_path, "-o", tmp_path / "report.json", "-f", "json"
    )
    while not children_of(process):
        time.sleep(0.01)
    process.send_signal(getattr(signal, name))
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (code, "", "")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_scan_under_nohup_survives_its_terminal(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "list")
    photos, model = many(tmp_path / "photos", 3), redness(tmp_path / "m.onnx")
    process = subprocess.Popen(
        ["nohup", SCRIPT, "--files-from", tmp_path / "list", "-m", model, "-f", "jsonl", "-q"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    descriptor = feed(tmp_path / "list", photos[:2])
    assert process.stdout is not None
    out = process.stdout.readline()
    process.send_signal(signal.SIGHUP)
    os.write(descriptor, os.fsencode(photos[2]) + b"\n")
    os.close(descriptor)
    out += process.stdout.read()  # communicate() would miss what readline() has buffered
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert [one["path"] for one in parsed(out)] == [str(photo) for photo in photos]
