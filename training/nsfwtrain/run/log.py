"""Each epoch of a run, in ``history.csv`` and for TensorBoard."""

import csv
from dataclasses import asdict
from pathlib import Path

from nsfwscan.util.files import atomic_write
from nsfwtrain.model.keras import tf
from nsfwtrain.run.state import State


class Log:
    """Writes each epoch into a run's folder.

    Parameters
    ----------
    out
        The folder.
    """

    def __init__(self, out: Path) -> None:
        self._path = out / "history.csv"
        self._train = tf.summary.create_file_writer(str(out / "logs" / "train"))
        self._validation = tf.summary.create_file_writer(str(out / "logs" / "validation"))

    def write(self, state: State) -> None:
        """Write the last epoch, and the history whole: a killed run may have missed a row.

        Raises
        ------
        OutputError
            If ``history.csv`` cannot be written.
        """
        row, head = state.history[-1], state.head
        with atomic_write(self._path) as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(asdict(row))
            writer.writerows(asdict(epoch).values() for epoch in state.history)
        with self._train.as_default(step=row.epoch):
            tf.summary.scalar("loss", row.loss)
            tf.summary.scalar("accuracy", row.accuracy)
            tf.summary.histogram("probability/kernel", head[0])
            tf.summary.histogram("probability/bias", head[1])
        with self._validation.as_default(step=row.epoch):
            tf.summary.scalar("loss", row.val_loss)
            tf.summary.scalar("accuracy", row.val_accuracy)

    def close(self) -> None:
        """End the files."""
        self._train.close()
        self._validation.close()
