from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nsfwtrain.errors import RunError
from nsfwtrain.model.head import Weights
from nsfwtrain.run import state as states
from nsfwtrain.run.state import State, history_frame


def head(value: float) -> Weights:
    return np.full((4, 1), value, np.float32), np.zeros(1, np.float32)


@pytest.fixture(autouse=True)
def begun(tmp_path: Path) -> Path:
    path = tmp_path / "begun.json"
    path.write_text('{"variant": "b0"}')
    return path


def test_a_state_is_read_as_written(tmp_path: Path) -> None:
    history = history_frame([(1, 0.5, 0.75, 0.6, 0.5, 1.5)])
    state = State(head(0), [np.ones(3), np.array(7)], head(1), history, {"data": 1.5}, [4], 240)
    states.save_state(tmp_path, state)
    again = states.load_state(tmp_path)
    assert again is not None
    pd.testing.assert_frame_equal(again.history, history)
    assert again.seconds == {"data": 1.5}
    assert (again.batch_sizes, again.prepared) == ([4], 240)
    assert again.history.dtypes["epoch"] == "int64"
    assert again.best is not None
    assert np.array_equal(again.head[0], state.head[0])
    assert np.array_equal(again.best[0], head(1)[0])
    assert [value.tolist() for value in again.optimizer] == [[1, 1, 1], 7]


def test_a_state_of_version_0_1_0_is_read(tmp_path: Path) -> None:
    states.save_state(tmp_path, State(head(0), batch_sizes=[4], prepared=240))
    later = {"batch_sizes", "prepared", "begun_sha256"}
    with np.load(tmp_path / "state.npz") as arrays:
        earlier = {name: arrays[name] for name in arrays.files if name not in later}
    np.savez(tmp_path / "state.npz", **earlier)
    again = states.load_state(tmp_path)
    assert again is not None
    assert (again.batch_sizes, again.prepared) == ([], 0)


def test_a_state_of_another_run_is_an_error(tmp_path: Path, begun: Path) -> None:
    states.save_state(tmp_path, State(head(0)))
    begun.write_text('{"variant": "b1"}')
    with pytest.raises(RunError, match=r"state\.npz or .*begun\.json is damaged, or is that"):
        states.load_state(tmp_path)


def test_a_missing_state_is_none_and_a_broken_state_is_an_error(tmp_path: Path) -> None:
    assert states.load_state(tmp_path) is None
    for broken in (b"PK\x03\x04 no archive", b""):
        (tmp_path / "state.npz").write_bytes(broken)
        with pytest.raises(RunError, match="train again in another folder"):
            states.load_state(tmp_path)


def test_a_state_knows_its_best_epoch() -> None:
    state = State(head(0))
    assert (state.best_loss, state.epochs_without_gain) == (np.inf, 0)
    for epoch, loss in enumerate([0.5, 0.3, 0.4, 0.35], 1):
        state.add(epoch, 1, 0, loss, 0, 0)
    assert state.history["epoch"].tolist() == [1, 2, 3, 4]
    assert (state.best_loss, state.epochs_without_gain) == (0.3, 2)
