"""Short scans of damaged images; see `mutants` for the damage."""

import json
from collections import Counter
from pathlib import Path

import pytest
from conftest import Run
from fuzz.mutants import mutants, seeds
from helpers import mean_model

from nsfwscan import Manifest, Preprocess


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return mean_model(tmp_path / "m.onnx", Manifest(name="m", preprocess=Preprocess(size=8)))


def records(run: Run, *arguments: object) -> list[dict[str, object]]:
    done = run(*arguments, "-f", "jsonl", "-q", "--no-cache")
    assert done.stderr == ""
    assert done.returncode in {0, 1, 2}
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_seed_is_valid(run: Run, tmp_path: Path, model: Path) -> None:
    (tmp_path / "sound").mkdir()
    for name, data in seeds().items():
        (tmp_path / "sound" / f"a.{name}").write_bytes(data)
    found = records(run, "sound", "-m", model)
    assert [one["detail"] for one in found] == [None] * len(seeds())


@pytest.mark.slow
def test_each_damaged_file_gets_one_record(run: Run, tmp_path: Path, model: Path) -> None:
    (tmp_path / "damaged").mkdir()
    made = dict(mutants(600, seed=1))
    for name, data in made.items():
        (tmp_path / "damaged" / name).write_bytes(data)
    found = records(run, "damaged", "-m", model)
    assert sorted(Path(str(one["path"])).name for one in found) == sorted(made)
    reasons = Counter(one["reason"] for one in found)
    assert not set(reasons) & {"crashed", "timeout"}, reasons
    for one in found:
        assert (one["score"] is None) == (one["status"] == "error") == (one["reason"] is not None)
    assert reasons[None] > 50, "some damage is harmless"
    assert reasons["corrupt"] > 50
    assert reasons["truncated"] > 10
