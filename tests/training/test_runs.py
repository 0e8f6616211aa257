from pathlib import Path

import pytest

from nsfwtrain import runs
from nsfwtrain.errors import RunError

OPTIONS = {
    "mode": "features",
    "batch_size": 8,
    "learning_rate": 0.1,
    "balanced": False,
    "seed": 0,
    "mixed_precision": False,
}
FACTS = {"variant": "b0", "split_sha256": "1", "backbone_fingerprint": "2", "options": OPTIONS}


def test_a_folder_is_one_run_s(tmp_path: Path) -> None:
    out = tmp_path / "runs" / "b0"
    assert runs.begin(out, FACTS, resume=False) is None
    assert runs.begin(out, FACTS, resume=True) is None
    with pytest.raises(RunError, match="holds a run already"):
        runs.begin(out, FACTS, resume=False)
    with pytest.raises(RunError, match="cannot be resumed: its variant was b0, now it is b1"):
        runs.begin(out, FACTS | {"variant": "b1"}, resume=True)
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="cannot use the run's folder"):
        runs.begin(tmp_path / "file", FACTS, resume=False)


def test_what_is_no_run_is_said(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is no finished run"):
        runs.read_facts(tmp_path)
