"""Kill a scan at random moments, again and again; then let it come to its end."""

import random
import time
from pathlib import Path

import pytest
from conftest import Run
from faults.scans import many, parsed, redness, results, start

KILLS = 100


@pytest.mark.slow
def test_a_hundred_kills_lose_nothing_and_score_nothing_twice(run: Run, tmp_path: Path) -> None:
    many(tmp_path / "photos", 12_000)
    model, report = redness(tmp_path / "m.onnx"), tmp_path / "report.jsonl"
    arguments: list[str | Path] = ["photos", "-m", model, "-f", "jsonl", "-q"]
    started = time.monotonic()
    undisturbed = results(parsed(run(*arguments, "--no-cache").stdout))
    whole = time.monotonic() - started
    assert len(undisturbed) == 12_000
    known: set[str] = set()
    dice, under_way = random.Random(6), 0
    for _ in range(KILLS):
        report.unlink(missing_ok=True)
        process = start(*arguments, "--cache", "c.sqlite", "-o", report, cwd=tmp_path)
        # Most kills come early, so that the scan gets on slowly, and is hit everywhere.
        moment = dice.choice((0.1, 0.2, 1)) * dice.random() * whole
        time.sleep(moment)
        process.kill()
        process.communicate()
        written = report.read_bytes() if report.exists() else b""
        lines = written[: written.rfind(b"\n") + 1].decode()
        for path, record in results(parsed(lines)).items():
            assert record == undisturbed[path]
            known.add(path)
        under_way += 0 < len(lines.splitlines()) < 12_000
    assert under_way > KILLS / 4, "most kills are to hit a scan that scans"
    last = parsed(run(*arguments, "--cache", "c.sqlite").stdout)
    assert results(last) == undisturbed
    assert [one["path"] for one in last] == list(undisturbed)
    # What was once reported is never scored again.
    assert not {one["path"] for one in last if not one["cached"]} & known
