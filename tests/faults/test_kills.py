"""Kill a scan repeatedly as it progresses, then let it finish."""

import json
import random
import time
from pathlib import Path

import pytest
from conftest import Run
from faults.scans import many, parsed, redness, results, start

IMAGES = 6_000
KILLS = 15


@pytest.mark.slow
def test_scores_survive_kills_at_every_stage(run: Run, tmp_path: Path) -> None:
    """Each kill comes a fifteenth of the scan later, among images that have no score yet.

    Every fifth kill comes while the scan starts.
    """
    many(tmp_path / "photos", IMAGES)
    model, report = redness(tmp_path / "m.onnx"), tmp_path / "report.jsonl"
    arguments: list[str | Path] = ["photos", "-m", model, "-f", "jsonl", "-q"]
    whole = run(*arguments, "--no-cache").stdout
    undisturbed = results(parsed(whole))
    assert len(undisturbed) == IMAGES
    reported: set[str] = set()
    dice, in_progress = random.Random(6), 0
    for turn in range(KILLS):
        report.unlink(missing_ok=True)
        process = start(*arguments, "--cache", "c.sqlite", "-o", report, cwd=tmp_path)
        if turn % 5 == 0:
            time.sleep(dice.random())
        else:
            place = len(whole) * (turn + dice.random()) / KILLS
            while process.poll() is None and (not report.exists() or report.stat().st_size < place):
                time.sleep(0.001)
        process.kill()
        process.communicate()
        written = report.read_bytes() if report.exists() else b""
        lines = written[: written.rfind(b"\n") + 1].decode()
        for path, record in results(parsed(lines)).items():
            assert record == undisturbed[path]
            reported.add(path)
        in_progress += 0 < len(lines.splitlines()) < IMAGES
    assert in_progress > KILLS / 2, "most kills must hit a scan that is scoring"
    last = parsed(run(*arguments, "--cache", "c.sqlite").stdout)
    assert results(last) == undisturbed
    assert [one["path"] for one in last] == list(undisturbed)
    assert not {one["path"] for one in last if not one["cached"]} & reported


def test_a_report_removes_what_a_killed_scan_left(run: Run, tmp_path: Path) -> None:
    many(tmp_path / "photos", 300)
    model = redness(tmp_path / "m.onnx")
    arguments: list[str | Path] = ["photos", "-m", model, "-f", "json", "-o", "report.json", "-q"]
    process = start(*arguments, "--no-cache", cwd=tmp_path)
    while process.poll() is None and not list(tmp_path.glob(".nsfwscan-*.tmp/report.json")):
        time.sleep(0.001)
    process.kill()
    process.communicate()
    assert list(tmp_path.glob(".nsfwscan-*.tmp/report.json"))
    run(*arguments, "--no-cache")
    assert {path.name for path in tmp_path.iterdir()} == {"photos", "m.onnx", "report.json"}
    assert len(json.loads((tmp_path / "report.json").read_text())) == 300
