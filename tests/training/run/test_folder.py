from pathlib import Path

import numpy as np
import pytest

from nsfwscan import OutputError
from nsfwtrain.data.tables import split_frame
from nsfwtrain.errors import RunError
from nsfwtrain.run import folder
from nsfwtrain.run.state import State, history_frame, save_state

OPTIONS = {
    "recipe": "study",
    "mode": "features",
    "batch_size": 8,
    "learning_rate": 0.1,
    "balanced": False,
    "seed": 0,
    "mixed_precision": False,
}
HISTORY = history_frame([(1, 1, 0, 1, 0, 0)])
STATE = State((np.zeros((2, 1), np.float32), np.zeros(1, np.float32)), history=HISTORY)
SPLIT = split_frame([("a" * 40 + ".png", 1, "train")])
FACTS = {"variant": "b0", "split_sha256": "1", "backbone_fingerprint": "2", "options": OPTIONS}


def test_a_folder_holds_one_run(tmp_path: Path) -> None:
    out = tmp_path / "runs" / "b0"
    assert folder.begin(out, FACTS, SPLIT, resume=False) is None
    assert (
        folder.begin(out, FACTS | {"split_sha256": "fixed"}, SPLIT, resume=False) is None
    )  # untrained
    assert folder.begin(out, FACTS, SPLIT, resume=True) is None
    save_state(out, STATE)
    with pytest.raises(RunError, match="holds a run already"):
        folder.begin(out, FACTS, SPLIT, resume=False)
    with pytest.raises(RunError, match="cannot be resumed: its variant was b0, now it is b1"):
        folder.begin(out, FACTS | {"variant": "b1"}, SPLIT, resume=True)
    (out / "run.json").write_text("{}")
    assert folder.begin(out, FACTS, SPLIT, resume=True) is not None
    assert not (out / "run.json").exists()  # until it is finished again
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="cannot use the run's folder"):
        folder.begin(tmp_path / "file", FACTS, SPLIT, resume=False)


def test_a_place_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"cannot write .*: Not a directory"):
        folder.check_place(tmp_path / "file", ())
    folder.check_place(tmp_path / "new" / "run", ())
    assert not (tmp_path / "new").exists()
    (tmp_path / "run" / "scores.csv").mkdir(parents=True)
    with pytest.raises(OutputError, match=r"scores\.csv: it is a folder"):
        folder.check_place(tmp_path / "run", ())
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "split.csv").touch()
    with pytest.raises(OutputError, match=r"split\.csv is an input"):
        folder.check_place(tmp_path / "own", [tmp_path / "own" / "split.csv"])
