from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nsfwscan import OutputError
from nsfwtrain.model.keras import tf
from nsfwtrain.run.log import Log
from nsfwtrain.run.results import read_history
from nsfwtrain.run.state import State


def test_each_epoch_is_a_row_and_an_event(tmp_path: Path) -> None:
    state = State((np.ones((4, 1), np.float32), np.zeros(1, np.float32)))
    log = Log(tmp_path, state)
    for i in (1, 2):
        state.add(i, 1 / i, 0.5, 2, 0.25, 3)
        log.write(state)
    log.close()
    assert (tmp_path / "history.csv").read_text().splitlines() == [
        "epoch,loss,accuracy,val_loss,val_accuracy,seconds",
        "1,1.0,0.5,2.0,0.25,3.0",
        "2,0.5,0.5,2.0,0.25,3.0",
    ]
    tags = []
    for path in (tmp_path / "logs" / "train").iterdir():
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            tags += [(event.step, value.tag) for value in event.summary.value]
    assert (2, "loss") in tags
    assert (1, "probability/kernel") in tags


def test_a_resumed_run_continues_the_rows_of_its_state(tmp_path: Path) -> None:
    """A killed run may have written a row that its state lacks, or a part of one."""
    state = State((np.ones((4, 1), np.float32), np.zeros(1, np.float32)))
    state.add(1, 1, 0.5, 2, 0.25, 3)
    (tmp_path / "history.csv").write_text("epoch,loss\n1,1.0\n2,0.5\n3,0.")
    log = Log(tmp_path, state)
    state.add(2, 0.1, 0.5, 2, 0.25, 3)
    log.write(state)
    log.close()
    pd.testing.assert_frame_equal(read_history(tmp_path), state.history)


def test_an_epoch_appends_to_the_history(tmp_path: Path) -> None:
    """Writing the whole file for each epoch takes longer and longer."""
    state = State((np.ones((4, 1), np.float32), np.zeros(1, np.float32)))
    log = Log(tmp_path, state)
    with (tmp_path / "history.csv").open() as same_file:
        state.add(1, 1, 0.5, 2, 0.25, 3)
        log.write(state)
        assert same_file.read().splitlines()[1:] == ["1,1.0,0.5,2.0,0.25,3.0"]
    log.close()


def test_a_history_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    state = State((np.ones((4, 1), np.float32), np.zeros(1, np.float32)))
    log = Log(tmp_path, state)
    (tmp_path / "history.csv").unlink()
    (tmp_path / "history.csv").mkdir()
    state.add(1, 1, 0.5, 2, 0.25, 3)
    with pytest.raises(OutputError, match=r"cannot write .*history\.csv: Is a directory"):
        log.write(state)
    log.close()
