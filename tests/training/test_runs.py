from pathlib import Path

import numpy as np
import pytest

from nsfwtrain import runs
from nsfwtrain.errors import RunError
from nsfwtrain.loop import Epoch, State
from nsfwtrain.model import initial_head

OPTIONS = {"mode": "features", "batch_size": 8, "learning_rate": 0.1, "balanced": False, "seed": 0}
FACTS = {"variant": "b0", "split_sha256": "1", "backbone_fingerprint": "2", "options": OPTIONS}


def test_a_state_survives_being_written_and_read(tmp_path: Path) -> None:
    row = Epoch(epoch=1, loss=0.5, accuracy=0.75, val_loss=0.6, val_accuracy=0.5, seconds=1.5)
    state = State(initial_head(4, 0), [np.ones(3), np.array(7)], initial_head(4, 1), [row])
    runs.save_state(tmp_path, state)
    again = runs.load_state(tmp_path)
    assert again is not None
    assert again.history == [row]
    assert isinstance(again.history[0].epoch, int)
    assert again.best is not None
    assert np.array_equal(again.head[0], state.head[0])
    assert np.array_equal(again.best[0], initial_head(4, 1)[0])
    assert [value.tolist() for value in again.optimizer] == [[1, 1, 1], 7]


def test_no_state_is_none_and_a_broken_one_is_said(tmp_path: Path) -> None:
    assert runs.load_state(tmp_path) is None
    (tmp_path / "state.npz").write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(RunError, match="train anew in another folder"):
        runs.load_state(tmp_path)


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
    with pytest.raises(RunError, match="holds no model that loads"):
        runs.load_model(tmp_path)
