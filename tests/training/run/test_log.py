from pathlib import Path

import numpy as np

from nsfwtrain.model.keras import tf
from nsfwtrain.run.log import Log
from nsfwtrain.run.state import State


def test_each_epoch_is_a_row_and_an_event(tmp_path: Path) -> None:
    state = State((np.ones((4, 1), np.float32), np.zeros(1, np.float32)))
    log = Log(tmp_path)
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
