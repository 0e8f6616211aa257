from pathlib import Path

import numpy as np
import pytest

from nsfwtrain.errors import RunError
from nsfwtrain.model.head import Weights
from nsfwtrain.run import state as states
from nsfwtrain.run.state import Epoch, State


def head(value: float) -> Weights:
    return np.full((4, 1), value, np.float32), np.zeros(1, np.float32)


def test_a_state_survives_being_written_and_read(tmp_path: Path) -> None:
    row = Epoch(epoch=1, loss=0.5, accuracy=0.75, val_loss=0.6, val_accuracy=0.5, seconds=1.5)
    state = State(head(0), [np.ones(3), np.array(7)], head(1), [row], {"data": 1.5})
    states.save_state(tmp_path, state)
    again = states.load_state(tmp_path)
    assert again is not None
    assert again.history == [row]
    assert again.seconds == {"data": 1.5}
    assert isinstance(again.history[0].epoch, int)
    assert again.best is not None
    assert np.array_equal(again.head[0], state.head[0])
    assert np.array_equal(again.best[0], head(1)[0])
    assert [value.tolist() for value in again.optimizer] == [[1, 1, 1], 7]


def test_no_state_is_none_and_a_broken_one_is_said(tmp_path: Path) -> None:
    assert states.load_state(tmp_path) is None
    for broken in (b"PK\x03\x04 no archive", b""):
        (tmp_path / "state.npz").write_bytes(broken)
        with pytest.raises(RunError, match="train anew in another folder"):
            states.load_state(tmp_path)


def test_a_state_knows_its_best_epoch() -> None:
    def row(epoch: int, loss: float) -> Epoch:
        return Epoch(epoch=epoch, loss=1, accuracy=0, val_loss=loss, val_accuracy=0, seconds=0)

    state = State(head(0))
    assert (state.best_loss, state.epochs_without_gain) == (np.inf, 0)
    state.history = [row(1, 0.5), row(2, 0.3), row(3, 0.4), row(4, 0.35)]
    assert (state.best_loss, state.epochs_without_gain) == (0.3, 2)
